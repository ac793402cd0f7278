"""The whole way through the program without a screen: load, attack, read the detector, export, picture, report.

    python -m mirguard.workbench.demonstration --output DIR [FILE]

It drives the real window off-screen: what works here works there.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mirguard.errors import FileError, MirguardError

if TYPE_CHECKING:
    from mirguard.workbench.control.exporting import ExportResult
    from mirguard.workbench.guide import Guide

SIZE = (1600, 1000)
BUDGETS = (40.0, 35.0, 30.0, 25.0, 20.0)  # dB: the quietest perturbation that is enough is the one shown
# The bundled clip is a synthetic one: the model that knows its kind needs no network and has a clean reference.
MODEL_OF_THE_DEMO_CLIP = "toy-instruments"


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration; returns the exit status."""
    options = _options(arguments)
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    try:
        output = Path(options.output).expanduser().resolve()
        _make_folder(output)
        for line in demonstrate(output, options.file, options.model, options.snr, options.steps):
            print(line, flush=True)
    except MirguardError as error:
        print(f"mirguard: {error}", file=sys.stderr)
        return error.status
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m mirguard.workbench.demonstration",
        description="Attack a sound, read the detector and write both sounds, a picture of the window and a report.",
    )
    parser.add_argument("file", nargs="?", help="a sound file (default: the clip that comes with the program)")
    parser.add_argument("--output", default="mirguard-demo", help="folder to write into (default: %(default)s)")
    parser.add_argument(
        "--model",
        help=f"name of a model (default: as in the workbench; {MODEL_OF_THE_DEMO_CLIP} for the clip of the program)",
    )
    parser.add_argument(
        "--snr", type=float, help="SNR in dB that the result keeps (default: the first of 40, 35, 30 … that is enough)"
    )
    parser.add_argument("--steps", type=int, default=40, help="gradient steps at the most (default: %(default)s)")
    return parser.parse_args(arguments)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"The folder {folder} cannot be made: {error.strerror}; choose another one.") from error
    if not os.access(folder, os.W_OK):
        raise FileError(f"{folder} is read-only for you; choose another folder.")


def demonstrate(output: Path, file: str | None, model: str | None, snr: float | None, steps: int) -> Iterator[str]:
    """Do it all, yielding lines on what was done; raises MirguardError where a step fails."""
    from mirguard.workbench.guide import guided_window
    from mirguard.workbench.report import write_report

    with guided_window(output, "dark", SIZE) as guide:
        window = guide.window
        facts = guide.load_model(model or (None if file else MODEL_OF_THE_DEMO_CLIP))
        yield f"Model: {facts.title}"
        entry = guide.open(file)
        yield f"Clip: {entry.name}, heard as {entry.decision.label} ({entry.decision.confidence:.0%})"
        window.document.set_value("steps", steps)
        for level in BUDGETS if snr is None else (snr,):
            outcome = guide.attack(level).outcome
            heard = outcome.exported.decision
            yield (
                f"Attack within {level:g} dB: heard as {heard.label} ({heard.confidence:.0%}) after export, "
                f"SNR {outcome.snr_db:.1f} dB"
            )
            if outcome.success:
                break
        reference = guide.read_detector()
        if reference.trouble:
            yield f"Detector: {reference.trouble}"
        for side, readings in entry.readings.items():
            flagging = [reading.detector for reading in readings if reading.flagged]
            verdict = f"flagged by {', '.join(flagging)}" if flagging else "passes"
            yield f"Detectors: {side} {verdict} ({len(readings)} asked, {window.document.fpr:.0%} false positives each)"
        exports = [_export(guide, what, output / f"{what}.wav") for what in ("adversarial", "perturbation")]
        guide.draw()
        picture = output / "window.png"
        if not window.grab().save(str(picture)):
            raise FileError(f"{picture} cannot be written; choose another folder.")
        report = write_report(output / "report.html", window.document, entry, exports, picture)
        yield "Written:"
        for path in (*(export.path for export in exports), picture, report):
            yield f"  {path}"


def _export(guide: Guide, what: str, path: Path) -> ExportResult:
    exporting, results = guide.window.exporting, []
    exporting.exported.connect(results.append)
    if exporting.export(what, path, guide.window.document.current.outcome.experiment.subtype):
        guide.wait("a file", lambda: results)
    exporting.exported.disconnect(results.append)
    if not results or results[0].trouble:
        raise FileError(guide.complaint or f"{path} cannot be written.")
    return results[0]


if __name__ == "__main__":
    sys.exit(main())
