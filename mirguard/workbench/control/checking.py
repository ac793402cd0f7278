"""Checking whether a robustness figure is to be believed: a long job behind everything else."""

from __future__ import annotations

import time
from typing import Any

from PySide6.QtCore import QObject, Signal

from mirguard.workbench.bench import WARNING, Bench
from mirguard.workbench.check_requests import CheckModel
from mirguard.workbench.lanes import Answer

TOLD_SECONDS = 0.1  # at most so often is the progress shown


class Checking(QObject):
    """One model at a time. What was found stays until the next check begins."""

    begun = Signal(str, float, int)  # the model's title, the SNR in dB, how many windows
    progressed = Signal(str, object)  # a sentence ("" when over), and the fraction done or None
    found = Signal(object)  # Finding

    def __init__(self, bench: Bench, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench, self._told = bench, 0.0
        bench.on(CheckModel, self._done, self._progress, self._failed, self._cancelled)

    def run(self, wish: dict[str, Any]) -> None:
        """Check the model in use: snr_db, count, own (the open clips, else fresh sounds)."""
        document = self._bench.document
        if document.model is None:
            self._bench.say("Choose a model first.", WARNING)
            return
        clips = tuple(entry.clip for entry in document.entries.values()) if wish["own"] else ()
        if wish["own"] and not clips:
            self._bench.say("Load the clips first, or take fresh sounds.", WARNING)
            return
        self.begun.emit(document.model.title, wish["snr_db"], wish["count"])
        self.progressed.emit("Starting …", 0.0)
        self._bench.engine.ask(CheckModel(document.model.name, wish["snr_db"], wish["count"], clips))

    def cancel(self) -> bool:
        """True if there was anything to stop."""
        return self._bench.engine.cancel("CheckModel")

    def _progress(self, answer: Answer) -> None:
        if not isinstance(answer.value, tuple):
            self.found.emit(answer.value)
        elif time.monotonic() - self._told >= TOLD_SECONDS:
            self._told = time.monotonic()
            self.progressed.emit(*answer.value)

    def _done(self, _answer: Answer) -> None:
        self.progressed.emit("", None)

    def _failed(self, answer: Answer) -> None:
        self.progressed.emit("", None)
        self._bench.say_failure(answer)

    def _cancelled(self, _answer: Answer) -> None:
        self.progressed.emit("", None)
