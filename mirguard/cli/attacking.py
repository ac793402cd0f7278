"""`mirguard attack`, and which attacks there are."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

from mirguard.cli.detecting import verdict_line
from mirguard.cli.terminal import Line, chosen_model, decibels, declared_options, given, model_option, show_json
from mirguard.errors import UsageError


def _attack(options: argparse.Namespace) -> int:
    from mirguard.attacks.catalogue import find_attack
    from mirguard.channel.chain import parse
    from mirguard.clip import check_export, load_clip
    from mirguard.detectors.catalogue import find_detector

    find_attack(options.attack)
    for name in options.evade:
        find_detector(name)
    clip = load_clip(options.file)
    output = check_export(options.output, options.subtype)
    if output.exists() and output.samefile(clip.source):
        raise UsageError(f"{output} is the sound to be attacked; choose another name for the adversarial one (-o).")
    restriction = _restriction(options).check(clip.duration, clip.sample_rate)
    channel = tuple(parse(text) for text in options.channel)
    from mirguard.experiment import plan, run  # torch takes a second: whatever can be refused before it, is
    from mirguard.experiment.detecting import detect, evadables
    from mirguard.models.catalogue import load_model

    model = chosen_model(options)
    surrogates = tuple(load_model(name) for name in options.surrogate)
    evade = evadables(model, options.evade)
    experiment = plan(
        clip,
        model,
        options.attack,
        target=options.target,
        truth=options.truth,
        snr=options.snr,
        seed=options.seed,
        subtype=options.subtype,
        surrogates=surrogates,
        channel=channel,
        draws=options.draws,
        restriction=restriction,
        evade=options.evade,
        **given(options),
    )
    with Line(not options.json) as line:
        outcome = run(
            experiment,
            clip,
            model,
            surrogates=surrogates,
            evade=evade,
            progress=lambda now: line(_progress(now)),
            export_to=output,
        )
        baseline = None
        if options.baseline:
            from mirguard.experiment.baseline import noise_baseline

            baseline = noise_baseline(outcome, clip, model, options.baseline)
    document = {**outcome.to_json(), "file": options.file}
    if baseline is not None:
        document["noise_baseline"] = baseline.to_json()
    readings = detect(model, outcome.clip, [one.detector for one in evade]) if evade else []
    if readings:
        document["evaded"] = {reading.detector: reading.to_json() for reading in readings}
    if options.json:
        show_json(document)
        return 0
    clean, exported = outcome.clean, outcome.exported.decision
    print(
        f"{'Fooled' if outcome.success else 'Not fooled'}: {clean.label} ({clean.confidence:.1%}) → "
        f"{exported.label} ({exported.confidence:.1%}) in the exported file"
    )
    print(
        f"  {outcome.windows_flipped} of {len(clean.windows)} windows flipped, SNR {decibels(outcome.snr_db)}, largest |δ| "
        f"{outcome.linf:.2g}, {outcome.gradients} gradients, {outcome.forwards} queries, {outcome.seconds:.1f} s, "
        f"{experiment.knowledge}"
    )
    if baseline is not None:
        print(f"  {baseline.sentence}")
    for reading in readings:
        print(f"  {verdict_line(reading)}")
    for warning in outcome.warnings:
        print(f"  {warning}")
    print(f"  {outcome.exported.path}")
    return 0


def _progress(now: Any) -> str:
    total = f"/{now.total}" if now.total else ""
    spent = f"{now.gradients}{total} gradients" if now.gradients else f"{now.forwards} queries"
    return f"{spent}, margin {now.margin:+.2f}, SNR {now.snr_db:.1f} dB"


def _restriction(options: argparse.Namespace) -> Any:
    from mirguard.attacks.restriction import Restriction

    return Restriction(
        time=_range(options.time, "--time", "seconds"),
        band=_range(options.band, "--band", "Hz"),
        above=options.above,
        masked=options.masked,
    )


def _range(text: str | None, option: str, unit: str) -> tuple[float, float] | None:
    """ "LO-HI" as two numbers."""
    if text is None:
        return None
    low, dash, high = text.partition("-")
    try:
        if dash:
            return float(low), float(high)
    except ValueError:
        pass
    raise UsageError(f"{option} is a range in {unit}, such as 1-4; got {text!r}.")


def _arguments(attack: argparse.ArgumentParser) -> None:
    from mirguard.attacks.catalogue import list_attacks
    from mirguard.channel.chain import describe
    from mirguard.clip import SUBTYPES

    model_option(attack)
    attack.add_argument("file", metavar="FILE")
    names = ", ".join(found.name for found in list_attacks())
    attack.add_argument("--attack", default="pgd", metavar="NAME", help=f"{names} (default pgd)")
    attack.add_argument(
        "-o", "--output", required=True, metavar="OUT.wav", help="where the adversarial sound goes (.wav or .flac)"
    )
    attack.add_argument("--target", metavar="LABEL", help="the label to reach (default: any other)")
    attack.add_argument("--truth", metavar="LABEL", help="the clip's true label, for --goal perfect")
    attack.add_argument("--snr", type=float, metavar="DB", help="the budget as the SNR that the result keeps at least")
    attack.add_argument("--seed", type=int, default=0)
    attack.add_argument(
        "--subtype", default="PCM_16", choices=tuple(SUBTYPES), help="sample format of the export (default PCM_16)"
    )
    attack.add_argument(
        "--surrogate",
        nargs="+",
        default=(),
        metavar="M",
        help="zero knowledge: attack these models in equal parts instead, and see whether the result carries over",
    )
    attack.add_argument(
        "--evade",
        nargs="+",
        default=(),
        metavar="DETECTOR",
        help="perfect knowledge: deceive these detectors, fitted on the model, as well",
    )
    attack.add_argument("--time", metavar="FROM-TO", help="change the clip only in this range, in seconds")
    attack.add_argument("--band", metavar="LO-HI", help="change only this range of frequencies, in Hz")
    attack.add_argument(
        "--above",
        type=float,
        metavar="DB",
        help="change only what is at least this loud, in dB re the loudest (such as -30)",
    )
    attack.add_argument("--masked", action="store_true", help="keep the perturbation under the masking threshold")
    attack.add_argument(
        "--channel",
        nargs="+",
        default=(),
        metavar="EFFECT",
        help="make the result survive this chain: each step is the mean over fresh draws of it; EFFECT is NAME or "
        f"NAME:PARAMETER=VALUE,... of {describe()}".replace("%", "%%"),
    )
    attack.add_argument("--draws", type=int, default=8, metavar="N", help="draws of the channel a step (default 8)")
    attack.add_argument(
        "--baseline",
        nargs="?",
        type=int,
        const=20,
        default=0,
        metavar="N",
        help="try white noise at the result's SNR as well, N times (default 20)",
    )
    declared_options(attack, list_attacks())


def _attacks(options: argparse.Namespace) -> int:
    from mirguard.attacks.catalogue import list_attacks

    found = list_attacks()
    if options.json:
        show_json({"attacks": [_about(attack) for attack in found]})
        return 0
    for attack in found:
        print(f"{attack.name:14} {attack.title}: {attack.knowledge}")
        about = f"{attack.help} {attack.reference}. {' '.join(parameter.option for parameter in attack.parameters)}"
        print(textwrap.fill(about, 100, initial_indent=" " * 15, subsequent_indent=" " * 15, break_on_hyphens=False))
    return 0


def _about(attack: Any) -> dict[str, Any]:
    return {
        "name": attack.name,
        "title": attack.title,
        "help": attack.help,
        "reference": attack.reference,
        "knowledge": attack.knowledge,
        "norm": attack.norm,
        "gradients": attack.gradients,
        "targeted": attack.targeted,
        "untargeted": attack.untargeted,
        "parameters": [
            {
                "name": parameter.name,
                "help": parameter.help,
                "kind": parameter.kind.__name__,
                "default": None if callable(parameter.default) else parameter.default,
                "range": [parameter.minimum, parameter.maximum],
                "unit": parameter.unit,
                "choices": list(parameter.choices),
            }
            for parameter in attack.parameters
        ],
    }


COMMANDS = {
    "attack": ("Attack a file and export the adversarial sound.", _arguments, _attack),
    "attacks": (
        "List the attacks: what each does, what it knows, where it comes from.",
        lambda _parser: None,
        _attacks,
    ),
}
