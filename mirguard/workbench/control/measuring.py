"""Measuring how good detectors are: a long job beside everything else."""

from __future__ import annotations

import time
from typing import Any

from PySide6.QtCore import QObject, Signal

from mirguard.workbench.bench import Bench
from mirguard.workbench.detection_requests import MeasureDetectors
from mirguard.workbench.lanes import Answer
from mirguard.workbench.panels.run_row import duration


class Measuring(QObject):
    """One report at a time; the last one stays until the next is there."""

    progressed = Signal(str, object)  # a sentence ("" when over), and the fraction done or None
    measured = Signal(object)  # DetectionReport
    failed = Signal(str)
    cancelled = Signal()

    def __init__(self, bench: Bench, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench, self._began = bench, 0.0
        self.report = None
        bench.on(MeasureDetectors, self._measured, self._progress, self._failed, self._cancelled)

    def run(self, wish: dict[str, Any]) -> None:
        """Measure on the model in use; `wish` has the other fields of MeasureDetectors."""
        model = self._bench.document.model
        if model is None:
            self.failed.emit("Choose a model first; a detector is fitted on one.")
            return
        self._began = 0.0
        self.progressed.emit("Starting …", None)
        self._bench.engine.ask(MeasureDetectors(model.name, **wish))

    def cancel(self) -> bool:
        """True if there was anything to stop."""
        return self._bench.engine.holds("MeasureDetectors") and self._bench.engine.cancel("MeasureDetectors")

    def _progress(self, answer: Answer) -> None:
        sentence, fraction = answer.value
        if fraction is not None:
            self._began = self._began or time.monotonic()
            passed = time.monotonic() - self._began
            if fraction > 0 and passed > 3:
                sentence += f" about {duration(passed / fraction - passed)} left"
        self.progressed.emit(sentence, fraction)

    def _measured(self, answer: Answer) -> None:
        self.report = answer.value
        self.progressed.emit("", None)
        self.measured.emit(answer.value)

    def _failed(self, answer: Answer) -> None:
        self.progressed.emit("", None)
        self.failed.emit(answer.value)
        if answer.details:
            self._bench.say_failure(answer)

    def _cancelled(self, _answer: Answer) -> None:
        self.progressed.emit("", None)
        self.cancelled.emit()
