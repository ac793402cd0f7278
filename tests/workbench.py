"""A workbench for tests: the real window off-screen, with settings of its own and a sink that keeps time silently."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QEvent, QSettings

from mirguard.playback.player import Player
from mirguard.playback.sinks import NullSink
from mirguard.workbench.settings import Settings
from mirguard.workbench.window import Window

TOY = "toy-instruments"
PATIENCE = 60_000  # ms; how long an answer may take on a busy machine before a test says it never came


def silent_player() -> Player:
    return Player(opener=lambda rate, channels, *_: (NullSink(rate, channels), None))


class Bench:
    """The window of a test, and waiting for what it does."""

    def __init__(self, qtbot, folder: Path, settings_name: str = "settings.ini") -> None:
        self._qtbot = qtbot
        self.settings = Settings(QSettings(str(folder / settings_name), QSettings.Format.IniFormat))
        self.window = Window(self.settings, silent_player())
        self.said: list[tuple[str, str, str]] = []
        self.window.bench.said.connect(lambda *message: self.said.append(message))
        self.document = self.window.document
        self.window.show()
        qtbot.waitExposed(self.window)

    def start(self, *files: Path, model: str = TOY) -> None:
        self.window.start([str(file) for file in files], model)
        self.until(lambda: self.document.model is not None)

    def until(self, there: Callable[[], object]) -> None:
        self._qtbot.waitUntil(lambda: bool(there()), timeout=PATIENCE)

    def load(self, *files: Path):
        """Open files and wait for the first one's labels; its entry."""
        self.window.loading.open(files)
        self.until(lambda: self.document.find(files[0].absolute()) is not None and not self.window.loading.busy)
        entry = self.document.find(files[0].absolute())
        self.until(lambda: entry.decision is not None or entry.trouble)
        return entry

    def run(self):
        """Attack the clip on screen and wait for the result; its entry."""
        entry = self.document.current
        self.window.attacking.run()
        self.until(lambda: self.document.run is None)
        return entry

    def sentences(self, kind: str | None = None) -> list[str]:
        return [sentence for said, sentence, _ in self.said if kind in (None, said)]

    def heard(self, words: str) -> bool:
        return any(words in sentence for sentence in self.sentences())

    def close(self) -> None:
        """Close the window and have it gone: a hundred forgotten windows would all follow the next change of theme."""
        self.window.close()
        self.window.deleteLater()
        QCoreApplication.sendPostedEvents(self.window, QEvent.Type.DeferredDelete)
