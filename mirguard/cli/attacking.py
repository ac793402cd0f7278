"""`mirguard attack`."""

from __future__ import annotations

import argparse

from mirguard.cli.terminal import Line, chosen_model, decibels, model_option, show_json
from mirguard.errors import UsageError


def _attack(options: argparse.Namespace) -> int:
    from mirguard.attacks.catalogue import find_attack
    from mirguard.clip import check_export, load_clip

    find_attack(options.attack)
    clip = load_clip(options.file)
    output = check_export(options.output, options.subtype)
    if output.exists() and output.samefile(clip.source):
        raise UsageError(f"{output} is the sound to be attacked; choose another name for the adversarial one (-o).")
    from mirguard.experiment import plan, run  # torch takes a second: whatever can be refused before it, is

    model = chosen_model(options)
    given = {name: value for name, value in vars(options).items() if name.startswith("set_") and value is not None}
    experiment = plan(
        clip,
        model,
        options.attack,
        target=options.target,
        snr=options.snr,
        seed=options.seed,
        subtype=options.subtype,
        **{name.removeprefix("set_"): value for name, value in given.items()},
    )
    watch = None if options.json else Line()
    try:
        outcome = run(experiment, clip, model, progress=watch, export_to=output)
    finally:
        if watch:
            watch.end()
    document = {**outcome.to_json(), "file": options.file}
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
        f"{outcome.linf:.2g}, {outcome.gradients} gradients, {outcome.seconds:.1f} s"
    )
    for warning in outcome.warnings:
        print(f"  {warning}")
    print(f"  {outcome.exported.path}")
    return 0


def _arguments(attack: argparse.ArgumentParser) -> None:
    from mirguard.attacks.catalogue import list_attacks
    from mirguard.clip import SUBTYPES

    model_option(attack)
    attack.add_argument("file", metavar="FILE")
    names = ", ".join(found.name for found in list_attacks())
    attack.add_argument("--attack", default="pgd", metavar="NAME", help=f"{names} (default pgd)")
    attack.add_argument(
        "-o", "--output", required=True, metavar="OUT.wav", help="where the adversarial sound goes (.wav or .flac)"
    )
    attack.add_argument("--target", metavar="LABEL", help="the label to reach (default: any other)")
    attack.add_argument("--snr", type=float, metavar="DB", help="the budget as the SNR that the result keeps at least")
    attack.add_argument("--seed", type=int, default=0)
    attack.add_argument(
        "--subtype", default="PCM_16", choices=tuple(SUBTYPES), help="sample format of the export (default PCM_16)"
    )
    # Every declared parameter of every attack, once; those that the chosen attack lacks are refused by name.
    declared = {parameter.name: parameter for found in list_attacks() for parameter in found.parameters}
    for parameter in declared.values():
        users = ", ".join(
            found.name for found in list_attacks() if parameter.name in {p.name for p in found.parameters}
        )
        choices = f" ({', '.join(parameter.choices)})" if parameter.choices else ""
        attack.add_argument(
            parameter.option,
            dest=f"set_{parameter.name}",
            metavar={bool: "yes|no", int: "N", float: "X", str: "NAME"}[parameter.kind],
            help=f"{parameter.help.replace('%', '%%')}{choices} [{users}]",
        )


COMMANDS = {"attack": ("Attack a file and export the adversarial sound.", _arguments, _attack)}
