"""`mirguard universal make | list | try`: one perturbation for all clips."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import Any

from mirguard.cli.terminal import Line, chosen_model, declared_options, given, model_option, show_json, tell
from mirguard.errors import UsageError

CLIPS = 200
TOY = "toy"


def _make(options: argparse.Namespace) -> int:
    from mirguard.attacks.universal_file import SUFFIX, own_path, save_universal

    output = _output(options.output, own_path, SUFFIX)
    if output.exists() and not options.replace:
        raise UsageError(f"{output.name} is there already; choose another name, or say --replace.")
    from mirguard.experiment.universal import find_method, make_universal
    from mirguard.models.catalogue import load_model

    find_method(options.method)
    model = chosen_model(options)
    others = tuple(load_model(name) for name in options.others)
    with Line(not options.json) as line:
        clips, held_out, skipped = _sounds(options, line)
        made = make_universal(
            model,
            clips,
            options.method,
            name=output.stem,
            epsilon=options.epsilon,
            snr=options.snr,
            norm=options.norm,
            target=options.target,
            seed=options.seed,
            held_out=held_out,
            others=others,
            source=_source(options),
            progress=line,
            **given(options),
        )
        save_universal(made, output)
    for sentence in skipped:
        tell(f"Left out: {sentence}")
    if options.json:
        show_json({**made.to_json(), "path": str(output)})
        return 0
    _show(made)
    if not held_out:
        print("  No clip was held out: how it does on others is not known (mirguard universal try).")
    print(f"  {output}")
    return 0


def _try(options: argparse.Namespace) -> int:
    from mirguard.attacks.universal_file import load_universal

    saved = load_universal(options.perturbation)
    options.held_out = 0.0
    options.model = options.model or saved.model
    from mirguard.experiment.universal import fooling

    model = chosen_model(options)
    with Line(not options.json) as line:
        clips, _none, skipped = _sounds(options, line, split="test")
        # Nothing can be known here of which files it was made from, so the figure is of clips as they are given.
        found = fooling(saved, model, clips, snr=options.snr, held_out=options.folder == TOY, progress=line)
    for sentence in skipped:
        tell(f"Left out: {sentence}")
    if options.json:
        show_json({"perturbation": saved.name, "made_for": saved.model, "folder": options.folder, **found.to_json()})
    else:
        low, high = found.interval
        print(
            f"{saved.name} on {found.model}: fools {found.rate:.1%} of {found.clips} clips (95 % interval {low:.1%} to "
            f"{high:.1%}) at {found.snr_db:.1f} dB SNR; white noise of the same size {found.noise / found.clips:.1%}"
        )
    return 0


def _list(options: argparse.Namespace) -> int:
    from mirguard.attacks.universal_file import list_universals

    found = list_universals()
    if options.json:
        show_json({"universals": [one.to_json() for one in found]})
        return 0
    for one in found:
        _show(one)
    if not found:
        print("There are no universal perturbations yet; 'mirguard universal make' makes one.")
    return 0


def _show(one: Any) -> None:
    aim = f"brings out {one.target}" if one.target else "any other label"
    seconds = len(one.v) / one.sample_rate
    about = f"{aim}; made for {one.model} by {one.method}, {one.norm}, {seconds:g} s at {one.sample_rate} Hz"
    print(f"{one.name:20} {about}")
    for rate in one.rates:
        print(textwrap.fill(rate.sentence, 110, initial_indent=" " * 21, subsequent_indent=" " * 23))


def _output(text: str, own_path: Any, suffix: str) -> Path:
    """A plain name is kept with the user's own, anything else is a path."""
    path = Path(text).expanduser()
    if path.name == text and path.suffix != suffix:
        return own_path(text)
    if not path.parent.is_dir():
        raise UsageError(f"There is no folder {path.parent} to write {path.name} into.")
    return path if path.suffix == suffix else path.with_name(path.name + suffix)


def _source(options: argparse.Namespace) -> str:
    return "toy dataset" if options.folder == TOY else str(Path(options.folder).expanduser().absolute())


def _sounds(options: argparse.Namespace, line: Line, split: str = "train") -> tuple[list, list, tuple[str, ...]]:
    """Clips to work with, clips held out, and why others were left out. Of the toy dataset the latter are its test split's: other
    players in other rooms."""
    from mirguard.experiment.sound_set import divided_folder

    if options.folder != TOY:
        return divided_folder(options.folder, options.clips, options.held_out, options.seed, progress=line)
    if options.clips < 1 or not 0.0 <= options.held_out < 1.0:
        raise UsageError("--clips is at least 1, and --held-out is 0 to below 1.")
    away = round(options.held_out * options.clips)
    seed = options.seed + 1000  # none that the bundled models were trained on
    return toy_clips(options.clips - away, seed, split, line), toy_clips(away, seed, "test", line), ()


def toy_clips(count: int, seed: int, split: str, say: Any) -> list:
    from mirguard.clip import Clip
    from mirguard.datasets.synthesis import dataset

    clips = []
    for number, made in enumerate(dataset(count, seed, split)):
        say(f"Synthesising clip {number + 1} of {count}", number / count)
        clips.append(Clip(made.samples, made.sample_rate, provenance={"name": f"{made.label} {number}"}))
    return clips


def _arguments(parser: argparse.ArgumentParser) -> None:
    from mirguard.attacks.declared.universal import METHODS

    actions = parser.add_subparsers(required=True, dest="action")

    def action(name: str, sentence: str, run: Any) -> argparse.ArgumentParser:
        new = actions.add_parser(name, help=sentence, description=sentence)
        new.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document and nothing else"
        )
        new.set_defaults(run=run)
        return new

    def sounds(to: argparse.ArgumentParser) -> None:
        model_option(to)
        to.add_argument("--clips", type=int, default=CLIPS, metavar="N", help=f"clips at the most (default {CLIPS})")
        to.add_argument("--seed", type=int, default=0)

    make = action("make", "Make one perturbation for all clips of a folder, and hold it to others.", _make)
    make.add_argument("folder", metavar="DIR", help=f"a folder of sounds, or {TOY!r} for the synthetic ones")
    sounds(make)
    make.add_argument("-o", "--output", required=True, metavar="NAME", help="what it is to be called, or a path")
    make.add_argument("--replace", action="store_true", help="take the place of the one of that name")
    make.add_argument(
        "--method", default="abdoli", metavar="NAME", help=f"{', '.join(one.name for one in METHODS)} (default abdoli)"
    )
    make.add_argument("--snr", type=float, metavar="DB", help="how far below every clip's level it lies (default 30)")
    make.add_argument("--epsilon", type=float, metavar="E", help="instead: an amplitude, the same for every clip")
    make.add_argument("--norm", default="l2", choices=("l2", "linf"), help="how its size is measured (default l2)")
    make.add_argument("--target", metavar="LABEL", help="the label to bring out (default: any other)")
    make.add_argument(
        "--held-out",
        type=float,
        default=0.3,
        metavar="PART",
        help="part of the clips that it is only tried on (default 0.3)",
    )
    make.add_argument("--others", nargs="+", default=(), metavar="M", help="models that it is tried on as well")
    declared_options(make, METHODS)

    action("list", "Which universal perturbations are there, and what do they achieve?", _list)

    tried = action("try", "How many clips of a folder does a universal perturbation fool?", _try)
    tried.add_argument("perturbation", metavar="NAME", help="one of 'mirguard universal list', or a file")
    tried.add_argument("folder", metavar="DIR", help=f"a folder of sounds, or {TOY!r} for the synthetic test clips")
    sounds(tried)
    tried.add_argument("--snr", type=float, metavar="DB", help="lay it on at this SNR instead of its own size")


def _universal(options: argparse.Namespace) -> int:
    return options.run(options)


COMMANDS = {"universal": ("Make, list and try perturbations that fool a model on any clip.", _arguments, _universal)}
