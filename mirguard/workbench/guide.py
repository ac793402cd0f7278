"""The real window off-screen and somebody who drives it: for the demonstration and for the pictures of the window."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QApplication

from mirguard.errors import MirguardError
from mirguard.playback.player import Player
from mirguard.playback.sinks import NullSink
from mirguard.workbench.app import make_application
from mirguard.workbench.facts import ADVERSARIAL, ORIGINAL, SIDES, Entry, ModelFacts, ReferenceFacts
from mirguard.workbench.settings import Settings
from mirguard.workbench.theme import apply_theme
from mirguard.workbench.window import Window

PATIENCE = {"the model": 600, "its labels": 300, "the attack": 1800, "the detector": 300}  # seconds; else 120
STEP = 0.005  # seconds between looks


@contextmanager
def guided_window(folder: Path, theme: str, size: tuple[int, int]) -> Iterator[Guide]:
    """A window of that size with settings of its own, which are kept in `folder` while it lives: it neither follows nor
    changes what the person has set, and plays to nobody."""
    app = make_application()
    apply_theme(app, theme)
    kept = folder / ".settings.ini"
    player = Player(opener=lambda rate, channels, *_: (NullSink(rate, channels), None))
    window = Window(Settings(QSettings(str(kept), QSettings.Format.IniFormat)), player)
    try:
        window.resize(*size)
        window.show()
        yield Guide(app, window)
    finally:
        window.close()
        window.deleteLater()
        kept.unlink(missing_ok=True)


class Guide:
    """Lets the window live until something has come true, and remembers what it complained of."""

    def __init__(self, app: QApplication, window: Window) -> None:
        self._app, self.window, self.complaint = app, window, ""
        window.bench.said.connect(self._hear)

    def _hear(self, kind: str, sentence: str, details: str) -> None:
        if kind == "error":
            self.complaint = sentence  # whoever waits next is told
        elif kind == "warning":
            print(f"mirguard: {sentence}", file=sys.stderr)

    def wait(self, what: str, there: Callable[[], object]) -> None:
        """Come back when it is there; MirguardError with what the window complained of first, or nothing at all for long."""
        until = time.monotonic() + PATIENCE.get(what, 120)
        while not there():
            if self.complaint:
                raise MirguardError(self.complaint)
            if time.monotonic() > until:
                raise MirguardError(f"The demonstration waited too long for {what}; try a shorter sound.")
            self.live(STEP)
        self.live()

    def live(self, seconds: float = 0.0) -> None:
        """Let the window do what it has to, for so long at the least."""
        until = time.monotonic() + seconds
        self._app.processEvents()
        while time.monotonic() < until:
            time.sleep(STEP)
            self._app.processEvents()

    # --- what a person does ---

    def load_model(self, name: str | None) -> ModelFacts:
        """The model named, or the workbench's own choice."""
        self.window.start(model=name)
        self.wait("the model", lambda: self.window.document.model is not None)
        return self.window.document.model

    def open(self, file: str | None) -> Entry:
        """A sound file, or the clip that comes with the program; back when the model has said what it hears."""
        if file:
            self.window.loading.open([file])
        else:
            self.window.loading.open_demo()
        self.wait("the clip", lambda: self.window.document.current is not None)
        entry = self.window.document.current
        self.wait("its labels", lambda: entry.decision is not None)
        return entry

    def attack(self, snr: float) -> Entry:
        """Run the attack as designed within that SNR in dB; back with its result."""
        document = self.window.document
        document.change_design(held="snr", level=snr)
        self.window.attacking.run()
        self.wait("the attack", lambda: document.run is None)
        if document.current.outcome is None:
            raise MirguardError(self.complaint or "The attack gave no result.")
        return document.current

    def read_detector(self) -> ReferenceFacts:
        """Wait for the readings of both sounds where the detector has a reference."""
        document = self.window.document
        self.wait("the detector", lambda: document.reference is not None)
        if not document.reference.trouble:
            self.wait("the detectors", lambda: {ORIGINAL, ADVERSARIAL} <= set(document.current.readings))
        return document.reference

    def draw(self) -> None:
        """Wait until every spectrogram is drawn, and clear messages away."""
        stack = self.window.spectrograms.stack
        self.wait("the pictures", lambda: all(stack.spectrogram(side) is not None for side in SIDES))
        self.window.messages.clear()
        self.wait("the pictures", lambda: not self.window.bench.pictures.busy)
