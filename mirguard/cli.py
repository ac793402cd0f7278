"""The terminal's way in: `mirguard [FILE ...]` opens the workbench, `mirguard COMMAND ...` works without a window.

With --json a command prints one JSON document on standard output and nothing else there. Errors are one line on standard
error that says what is wrong and what to do. Exit status: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from mirguard import __version__
from mirguard.errors import MirguardError, UsageError


class Parser(argparse.ArgumentParser):
    """argparse with errors of one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:].rstrip('.')}; see {self.prog} --help.")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # → and δ on a terminal that has none, names in another encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _command(arguments) if arguments and arguments[0] in COMMANDS else _workbench(arguments)
        print(end="", flush=True)
        return status
    except MirguardError as error:
        _tell(str(error))
        return error.status
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # whoever read our output has left (`| head`): no error
            _tell(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.")
        _let_go_of_output()
        return 1
    except MemoryError:
        _tell("There is not enough memory for this; try a shorter clip.")
        return 1
    except KeyboardInterrupt:
        _tell("stopped.")
        return 1


def _tell(sentence: str) -> None:
    """One line on standard error."""
    print("mirguard:", *sentence.split(), file=sys.stderr)


def _let_go_of_output() -> None:
    """Where standard output takes nothing more, not even the interpreter's end may try to write there."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _command(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    return options.run(options)


def _workbench(arguments: list[str]) -> int:
    parser = Parser(
        prog="mirguard",
        description="Open the workbench, or work in the terminal: how fragile is a music classifier?",
        epilog="Commands: " + ", ".join(COMMANDS) + ". 'mirguard COMMAND --help' says more of each.",
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="sound files to open")
    parser.add_argument("--version", action="version", version=f"mirguard {__version__}")
    files = parser.parse_args(arguments).files
    unknown = [name for name in files if not Path(name).suffix and not Path(name).exists()]
    if unknown:
        raise UsageError(f"{unknown[0]!r} is neither a file nor a command; the commands are {', '.join(COMMANDS)}.")
    from mirguard.workbench.app import main as open_workbench

    return open_workbench(files)


def _classify(options: argparse.Namespace) -> int:
    from mirguard.clip import load_clip
    from mirguard.models.tracks import classify

    if options.top < 1:
        raise UsageError(f"How many labels to show (--top) is at least 1; got {options.top}.")
    model = _model(options)

    def one(name: str) -> dict[str, Any]:
        clip = load_clip(name)
        decision = classify(model, clip)
        return {
            "file": name,
            "label": decision.label,
            "confidence": decision.confidence,
            "windows": len(decision.windows),
            "top": [{"label": label, "confidence": p} for label, p in decision.top(options.top)],
            "seconds": clip.duration,
            "clip_hash": clip.hash,
        }

    def show(found: dict[str, Any]) -> None:
        print(found["file"])
        for entry in found["top"]:
            print(f"  {entry['confidence']:7.1%}  {entry['label']}")

    return _each(options, {"model": model.name, "model_hash": model.hash}, one, show)


def _attack(options: argparse.Namespace) -> int:
    from mirguard.attacks.catalogue import find_attack
    from mirguard.clip import check_export, load_clip

    find_attack(options.attack)
    clip = load_clip(options.file)
    output = check_export(options.output, options.subtype)
    if output.exists() and output.samefile(clip.source):
        raise UsageError(f"{output} is the sound to be attacked; choose another name for the adversarial one (-o).")
    from mirguard.experiment import plan, run  # torch takes a second: whatever can be refused before it, is

    model = _model(options)
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
    watch = None if options.json else _Line()
    try:
        outcome = run(experiment, clip, model, progress=watch, export_to=output)
    finally:
        if watch:
            watch.end()
    document = {**outcome.to_json(), "file": options.file}
    if options.json:
        _print(document)
        return 0
    clean, exported = outcome.clean, outcome.exported.decision
    print(
        f"{'Fooled' if outcome.success else 'Not fooled'}: {clean.label} ({clean.confidence:.1%}) → "
        f"{exported.label} ({exported.confidence:.1%}) in the exported file"
    )
    print(
        f"  {outcome.windows_flipped} of {len(clean.windows)} windows flipped, SNR {_db(outcome.snr_db)}, largest |δ| "
        f"{outcome.linf:.2g}, {outcome.gradients} gradients, {outcome.seconds:.1f} s"
    )
    for warning in outcome.warnings:
        print(f"  {warning}")
    print(f"  {outcome.exported.path}")
    return 0


def _detect(options: argparse.Namespace) -> int:
    from mirguard.clip import load_clip
    from mirguard.detectors.catalogue import FPR, find_detector, list_detectors
    from mirguard.detectors.detect import fit, require_reference
    from mirguard.detectors.reference import hear

    names = [find_detector(name).name for name in options.detector or [known.name for known in list_detectors()]]
    fpr = FPR.check(options.fpr)
    model = _model(options)
    reference = require_reference(model, options.reference)
    for sentence in reference.skipped if options.reference else ():
        _tell(f"left out of the reference: {sentence}")
    detectors = [fit(name, model, reference) for name in names]
    for detector in detectors:
        detector.threshold(fpr)  # a reference too small for the rate is said once, before any file is heard

    def one(name: str) -> dict[str, Any]:
        features, decision = hear(model, load_clip(name))
        readings = [detector.read(features, decision, fpr) for detector in detectors]
        return {"file": name, "detectors": {reading.detector: reading.to_json() for reading in readings}}

    def show(found: dict[str, Any]) -> None:
        print(found["file"])
        for name, reading in found["detectors"].items():
            verdict = "FLAGGED" if reading["flagged"] else "not flagged"
            print(
                f"  {name}: {verdict}; score {reading['score']:.4g}, threshold {reading['threshold']:.4g} at "
                f"{reading['fpr']:.1%} false positives, above {reading['percentile']:.0f} % of {reading['clean_clips']} clean clips"
            )

    about = {
        "model": model.name,
        "model_hash": model.hash,
        "reference": {"source": reference.source, "clips": reference.size, "skipped": list(reference.skipped)},
    }
    return _each(options, about, one, show)


def _compare(options: argparse.Namespace) -> int:
    from mirguard.analysis.measures import compare
    from mirguard.clip import load_clip

    figures = compare(load_clip(options.original), load_clip(options.processed))
    if options.json:
        _print({"original": options.original, "processed": options.processed, **figures})
        return 0
    for name, value in figures.items():
        print(f"  {name:18} {'–' if value is None else f'{value:.4g}'}")
    return 0


def _models(options: argparse.Namespace) -> int:
    from mirguard.models.catalogue import UNUSABLE, find_model, list_models

    one = options.action == "show"
    if one != (options.name is not None):
        raise UsageError(
            f"'mirguard models {options.action}' {'needs the name of a model' if one else 'takes no name'}."
        )
    found = [find_model(options.name)] if one else list_models()
    if options.json:
        documents = [vars(info) for info in found]
        _print(documents[0] if one else {"models": documents})
        return 0
    for info in found:
        print(f"{info.name:18} {info.title}")
        if info.state != UNUSABLE:
            print(
                f"{'':18} {info.task}, {len(info.labels)} labels, windows of {info.window / info.sample_rate:g} s at "
                f"{info.sample_rate} Hz; {info.state}"
            )
        for sentence in filter(None, (info.note, info.how)):
            print(f"{'':18} {sentence}")
        if one:
            print(f"{'':18} {', '.join(info.labels)}")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from mirguard.doctor import examine

    findings = examine(self_test=not options.quick)
    failed = any(finding.verdict == "fails" for finding in findings)
    if options.json:
        _print({"healthy": not failed, "findings": [vars(finding) for finding in findings]})
    else:
        for finding in findings:
            print(f"{finding.verdict:8} {finding.what}: {finding.detail}")
    return int(failed)


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "classify": _classify,
    "attack": _attack,
    "detect": _detect,
    "compare": _compare,
    "models": _models,
    "doctor": _doctor,
}


def _parser() -> Parser:
    parser = Parser(prog="mirguard")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, what: str, *, model: bool = False) -> argparse.ArgumentParser:
        new = commands.add_parser(name, help=what, description=what)
        new.set_defaults(run=COMMANDS[name])
        new.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
        if model:
            new.add_argument(
                "--model",
                metavar="M",
                help="a model of 'mirguard models list' (default: musicnn-mtt, else the toy model)",
            )
        return new

    classify = command("classify", "What does a model hear in these files?", model=True)
    classify.add_argument("files", nargs="+", metavar="FILE")
    classify.add_argument("--top", type=int, default=5, metavar="N", help="how many labels to show (default 5)")

    _attack_options(command("attack", "Attack a file and export the adversarial sound.", model=True))

    detect = command("detect", "Would a detector flag these files?", model=True)
    detect.add_argument("files", nargs="+", metavar="FILE")
    detect.add_argument(
        "--detector", action="append", metavar="NAME", help="which detector (default: all); may be repeated"
    )
    detect.add_argument(
        "--reference", metavar="DIR", help="a folder of clean music; kept for later calls with this model"
    )
    detect.add_argument(
        "--fpr", type=float, default=0.05, metavar="P", help="false-positive rate, counted in clips (default 0.05)"
    )

    compare = command("compare", "How far is a processed sound from its original?")
    compare.add_argument("original", metavar="ORIGINAL")
    compare.add_argument("processed", metavar="PROCESSED")

    models = command("models", "Which models are there?")
    models.add_argument("action", choices=("list", "show"), help="'list' all, or 'show' one with its labels")
    models.add_argument("name", nargs="?", metavar="M")

    doctor = command("doctor", "What this machine has, and whether MIRGuard works on it.")
    doctor.add_argument("--quick", action="store_true", help="leave out the self-test")
    return parser


def _attack_options(attack: argparse.ArgumentParser) -> None:
    from mirguard.attacks.catalogue import list_attacks
    from mirguard.clip import SUBTYPES

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


def _model(options: argparse.Namespace) -> Any:
    """The model asked for; without --model the default, or the toy model with a word on standard error why."""
    import torch

    from mirguard.models.bundled import NAME as TOY
    from mirguard.models.catalogue import default_model, load_model

    torch.set_flush_denormal(True)  # denormal weights make inference on a CPU many times slower
    told = []

    def progress(text: str, _done: float | None) -> None:
        if text not in told:  # it comes again and again while a download goes on
            told.append(text)
            _tell(f"{text} ...")

    try:
        return load_model(options.model or default_model(), progress)
    except MirguardError as error:
        if options.model:
            raise
        _tell(f"{error} Going on with {TOY}.")
        return load_model(TOY)


def _each(
    options: argparse.Namespace,
    about: dict[str, Any],
    one: Callable[[str], dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
) -> int:
    """Do every file; one that fails is named on standard error, the others go on, and the worst status is returned.

    With --json the document holds the files that could be done; where none could there is no document."""
    documents, status = [], 0
    for name in options.files:
        try:
            found = one(name)
        except MirguardError as error:
            named = Path(name).name in str(error)
            _tell(str(error) if named else f"{name}: {error}")
            status = max(status, error.status)
            continue
        documents.append(found)
        if not options.json:
            show(found)
    if options.json and documents:
        _print({**about, "files": documents})
    return status


def _print(document: Any) -> None:
    """Strict JSON in ASCII, which every pipe can carry; an infinite SNR (nothing changed) is null."""

    def strict(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strict(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [strict(entry) for entry in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    print(json.dumps(strict(document), indent=2, allow_nan=False))


def _db(value: float | None) -> str:
    return "undefined (silence)" if value is None else f"{value:.1f} dB"


class _Line:
    """Progress of an attack on one line of standard error, when that is a terminal."""

    def __init__(self) -> None:
        self._shown = False

    def __call__(self, progress: Any) -> None:
        if not sys.stderr.isatty():
            return
        total = f"/{progress.total}" if progress.total else ""
        print(
            f"\r\033[K{progress.gradients}{total} gradients, margin {progress.margin:+.2f}, SNR {progress.snr_db:.1f} dB",
            end="",
            file=sys.stderr,
            flush=True,
        )
        self._shown = True

    def end(self) -> None:
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
