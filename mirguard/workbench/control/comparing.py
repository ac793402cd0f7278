"""What white noise of the same level does, beside every finished attack."""

from __future__ import annotations

from PySide6.QtCore import QObject

from mirguard.workbench.bench import Bench
from mirguard.workbench.insight_requests import TryNoise
from mirguard.workbench.lanes import Answer


class Comparing(QObject):
    """Asks for the baseline of the result on screen, behind everything else."""

    def __init__(self, bench: Bench, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench = bench
        bench.on(TryNoise, self._tried, failed=lambda _answer: None)  # a line that is missing is no trouble
        for topic in ("outcome", "current", "run"):
            bench.document.watch(topic, self._look)

    def _look(self) -> None:
        document = self._bench.document
        entry = document.current
        if document.run is None and entry is not None and entry.outcome is not None and entry.baseline is None:
            model = entry.made_with[1]
            if document.model is not None and document.model.name == model and entry.outcome.linf > 0:
                self._bench.engine.ask(TryNoise(entry.key, entry.clip, entry.outcome, model))

    def _tried(self, answer: Answer) -> None:
        document = self._bench.document
        entry = document.entries.get(answer.request.key)
        if entry is not None and entry.outcome is answer.request.outcome:
            document.set_baseline(entry.key, answer.value)
