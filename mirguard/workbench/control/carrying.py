"""Counting what an attack on some models does to others: a long job beside everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from mirguard.files import write_whole
from mirguard.workbench.bench import ERROR, WARNING, Bench
from mirguard.workbench.insight_requests import CountTransfer
from mirguard.workbench.lanes import Answer


class Carrying(QObject):
    """One matrix at a time; the last one stays until the next is there."""

    progressed = Signal(str, object)  # a sentence ("" when over), and the fraction done or None
    counted = Signal(object)  # TransferMatrix

    def __init__(self, bench: Bench, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench = bench
        self.matrix = None
        bench.on(CountTransfer, self._counted, self._progress, self._failed, self._cancelled)

    def run(self, wish: dict[str, Any]) -> None:
        """Count as wished: attack, goal, snr_db, sounds, toy, ensembles, models."""
        document = self._bench.document
        clips = () if wish["toy"] else tuple(entry.clip for entry in document.entries.values())
        if not wish["toy"] and not clips:
            self._bench.say("Load the clips first, or take toy clips.", WARNING)
            return
        self.progressed.emit("Starting …", 0.0)
        self._bench.engine.ask(CountTransfer(clips=clips, **wish))

    def cancel(self) -> bool:
        """True if there was anything to stop."""
        return self._bench.engine.cancel("CountTransfer")

    def export(self, path: Path) -> None:
        """The matrix as CSV."""
        from mirguard.experiment.insight.transfer_sounds import as_csv

        try:
            write_whole(path, as_csv(self.matrix).encode())
        except OSError as error:
            self._bench.say(f"{path} cannot be written: {error.strerror}. Choose another folder.", ERROR)
        else:
            self._bench.say(f"The matrix was written to {path.name}.")

    def _progress(self, answer: Answer) -> None:
        self.progressed.emit(*answer.value)

    def _counted(self, answer: Answer) -> None:
        self.matrix = answer.value
        self.counted.emit(self.matrix)
        self.progressed.emit("", None)

    def _failed(self, answer: Answer) -> None:
        self.progressed.emit("", None)
        self._bench.say_failure(answer)

    def _cancelled(self, _answer: Answer) -> None:
        self.progressed.emit("", None)
