"""The whole way through the program without a screen: load, attack, read the detector, export, picture, report.

    python -m mirguard.workbench.demonstration --output DIR [FILE]

It drives the real window off-screen: what works here works there.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mirguard.errors import FileError, MirguardError

if TYPE_CHECKING:
    from mirguard.workbench.window import Window

SIZE = (1600, 1000)
BUDGETS = (40.0, 35.0, 30.0, 25.0, 20.0)  # dB: the quietest perturbation that is enough is the one shown
PATIENCE = {"the model": 600, "the clip": 120, "its labels": 300, "the attack": 1800, "the detector": 300, "a file": 120}


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
    parser.add_argument("--model", help="name of a model (default: as in the workbench)")
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


def demonstrate(output: Path, file: str | None, model: str | None, snr: float | None, steps: int):
    """Do it all, yielding lines on what was done; raises MirguardError where a step fails."""
    from PySide6.QtCore import QSettings

    from mirguard.playback.player import Player
    from mirguard.playback.sinks import NullSink
    from mirguard.workbench.app import make_application
    from mirguard.workbench.report import write_report
    from mirguard.workbench.settings import Settings
    from mirguard.workbench.theme import apply_theme
    from mirguard.workbench.window import Window

    app = make_application()
    apply_theme(app, "dark")
    # Settings of its own: a demonstration neither follows nor changes what the person has set.
    settings = Settings(QSettings(str(output / ".settings.ini"), QSettings.Format.IniFormat))
    player = Player(opener=lambda rate, channels, *_: (NullSink(rate, channels), None))
    window = Window(settings, player)
    guide = Guide(app, window)
    try:
        window.resize(*SIZE)
        window.show()
        window.start(model=model)
        guide.wait("the model", lambda: window.document.model is not None)
        yield f"Model: {window.document.model.title}"
        if file:
            window.loading.open([file])
        else:
            window.loading.open_demo()
        guide.wait("the clip", lambda: window.document.current is not None)
        entry = window.document.current
        guide.wait("its labels", lambda: entry.decision is not None)
        yield f"Clip: {entry.name}, heard as {entry.decision.label} ({entry.decision.confidence:.0%})"
        window.document.set_value("steps", steps)
        for level in BUDGETS if snr is None else (snr,):
            window.document.change_design(held="snr", level=level)
            window.attacking.run()
            guide.wait("the attack", lambda: window.document.run is None)
            if entry.outcome is None:
                raise MirguardError(guide.complaint or "The attack gave no result.")
            outcome, heard = entry.outcome, entry.outcome.exported.decision
            yield (
                f"Attack within {level:g} dB: heard as {heard.label} ({heard.confidence:.0%}) after export, "
                f"SNR {outcome.snr_db:.1f} dB"
            )
            if outcome.success:
                break
        guide.wait("the detector", lambda: window.document.reference is not None)
        facts = window.document.reference
        if not facts.trouble:
            guide.wait("the detector", lambda: len(entry.readings) == 2)
            for side, reading in entry.readings.items():
                verdict = "flagged" if reading.flagged else "passes"
                yield f"Detector: {side} {reading.score:.2f} against a threshold of {reading.threshold:.2f}: {verdict}"
        else:
            yield f"Detector: {facts.trouble}"
        exports = [_export(window, guide, what, output / f"{what}.wav") for what in ("adversarial", "perturbation")]
        guide.wait("the pictures", lambda: _all_drawn(window))
        window.messages.clear()
        guide.wait("the pictures", lambda: not window.bench.pictures.busy)
        picture = output / "window.png"
        if not window.grab().save(str(picture)):
            raise FileError(f"{picture} cannot be written; choose another folder.")
        report = write_report(output / "report.html", window.document, entry, exports, picture)
        yield "Written:"
        for path in (*(export.path for export in exports), picture, report):
            yield f"  {path}"
    finally:
        window.close()
        (output / ".settings.ini").unlink(missing_ok=True)


def _export(window: Window, guide: Guide, what: str, path: Path):
    results: list = []
    window.exporting.exported.connect(results.append)
    if window.exporting.export(what, path, window.document.current.outcome.experiment.subtype):
        guide.wait("a file", lambda: bool(results))
    window.exporting.exported.disconnect(results.append)
    if not results or results[0].trouble:
        raise FileError(guide.complaint or f"{path} cannot be written.")
    return results[0]


def _all_drawn(window: Window) -> bool:
    stack = window.spectrograms.stack
    return all(stack.spectrogram(side) is not None for side in ("original", "adversarial", "perturbation"))


class Guide:
    """Lets the window live until something has come true, and remembers what it complained of."""

    def __init__(self, app, window: Window) -> None:
        self._app, self.complaint = app, ""
        window.bench.said.connect(self._hear)

    def _hear(self, kind: str, sentence: str, details: str) -> None:
        if kind != "note":
            print(f"mirguard: {sentence}", file=sys.stderr)
        if kind == "error":
            self.complaint = sentence

    def wait(self, what: str, there: Callable[[], bool]) -> None:
        """Come back when it is there; MirguardError if there is an error first, or nothing at all for long."""
        until = time.monotonic() + PATIENCE.get(what, 60)
        while not there():
            if self.complaint:
                raise MirguardError(f"The demonstration ended while waiting for {what}: {self.complaint}")
            if time.monotonic() > until:
                raise MirguardError(f"The demonstration waited too long for {what}; try a shorter sound.")
            self._app.processEvents()
            time.sleep(0.005)
        self._app.processEvents()


if __name__ == "__main__":
    sys.exit(main())
