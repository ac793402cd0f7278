"""Weighing what a label hangs on in the clip on screen, while somebody wants to see it."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from mirguard.workbench.bench import Bench
from mirguard.workbench.insight_requests import FindSlopes
from mirguard.workbench.lanes import Answer
from mirguard.workbench.pictures import DrawSaliency


class Weighing(QObject):
    """Asks for the slopes of a label once and for the map that is chosen of them; says what there is to see."""

    weighed = Signal(object, str)  # Spectrogram or None, and a sentence

    def __init__(self, bench: Bench, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench = bench
        self._on, self._label, self._which = False, None, "gradient"
        self._window: int | None = None
        self._asked: tuple | None = None  # of what the slopes are, or are being found
        self._slopes = None
        bench.on(FindSlopes, self._found, failed=self._failed)
        bench.on(DrawSaliency, self._drawn)
        for topic in ("current", "labels", "model"):
            bench.document.watch(topic, self._look)

    def show(self, on: bool) -> None:
        self._on = on
        self._look()

    def choose(self, label: str | None, which: str) -> None:
        """Of which label, None for the one heard, and as which map."""
        again = which != self._which
        self._label, self._which = label, which
        if self._on and again and self._slopes is not None:
            self._draw()
        self._look()

    def set_window(self, window: int | None) -> None:
        """Another transform length."""
        self._window = window
        if self._on and self._slopes is not None:
            self._draw()

    def _look(self) -> None:
        document = self._bench.document
        entry, model = document.current, document.model
        sentence, wanted = "", None
        if not self._on:
            pass
        elif entry is None or model is None:
            sentence = "Load a clip first"
        elif not model.differentiable:
            sentence = f"{model.title} gives no gradients"
        elif self._label not in model.labels and entry.decision is None:
            sentence = "Listening …"
        else:
            label = self._label if self._label in model.labels else entry.decision.label
            wanted = entry.key, model.name, label
            sentence = f"Weighing {label} …"
        if wanted == self._asked and wanted is not None:
            return
        self._asked, self._slopes = wanted, None
        self._bench.engine.forget("FindSlopes")
        self._bench.pictures.forget("DrawSaliency")
        self.weighed.emit(None, sentence)
        if wanted is not None:
            self._bench.engine.ask(FindSlopes(entry.key, entry.clip, model.name, wanted[2]))

    def _found(self, answer: Answer) -> None:
        self._slopes = answer.value
        self._draw()

    def _draw(self) -> None:
        entry = self._bench.document.current
        self._bench.pictures.ask(DrawSaliency(self._slopes, entry.key, entry.clip, self._which, self._window))

    def _drawn(self, answer: Answer) -> None:
        if self._slopes is answer.request.slopes:
            self.weighed.emit(answer.value, f"What “{self._slopes.label}” hangs on")

    def _failed(self, answer: Answer) -> None:
        self.weighed.emit(None, "")
        self._bench.say_failure(answer)
