"""Stepping back to what an attack tried on its way, and to its perturbation at other sizes: shown and played for a while."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal

from mirguard.workbench.bench import Bench
from mirguard.workbench.facts import Entry
from mirguard.workbench.lanes import Answer
from mirguard.workbench.pictures import MixMoment
from mirguard.workbench.views.formats import format_figures


class Stepping(QObject):
    """Makes moments of the clip on screen; the newest wish wins."""

    begun = Signal()  # the result gives way to a moment

    def __init__(self, bench: Bench, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench = bench
        bench.on(MixMoment, self._mixed)
        bench.document.watch("current", self._forget)
        bench.document.watch("run", self._forget)

    def to_look(self, look: float) -> None:
        """The step of the attack that was kept nearest to that look at the model."""
        entry = self._entry()
        kept = None if entry is None or entry.trail is None else entry.trail.nearest(look)
        if kept is not None:
            words = f"step {kept.look}"
            self._ask(entry, kept.codes, kept.scale, words, kept.decision, kept.snr_db, kept.look)

    def to_scale(self, scale: float, probabilities: Sequence[float]) -> None:
        """The clip with so many times the result's perturbation, in which the model hears its labels with these probabilities."""
        entry, model = self._entry(), self._bench.document.model
        if entry is None or entry.outcome is None or model is None:
            return
        from mirguard.models.decision import Decision

        shares = tuple(float(share) for share in probabilities)
        top = max(range(len(shares)), key=shares.__getitem__)
        decision = Decision(model.labels[top], shares[top], model.labels, shares, ())
        snr = entry.outcome.snr_db
        if snr is not None:
            snr = snr - 20.0 * math.log10(abs(scale)) if scale else math.inf
        delta = entry.outcome.perturbation.mono()
        self._ask(entry, delta, scale, f"{format_figures(scale, 2)} × perturbation", decision, snr)

    def back(self) -> None:
        """The result again."""
        self._forget()
        self._bench.document.set_moment(None)

    def _entry(self) -> Entry | None:
        """The clip on screen, unless an attack on it brings newer sounds."""
        document = self._bench.document
        busy = document.run is not None and document.run.key == document.current_key
        return None if busy else document.current

    def _ask(self, entry: Entry, *what) -> None:
        self._bench.pictures.ask(MixMoment(entry.key, entry.clip, *what))

    def _forget(self) -> None:
        self._bench.pictures.forget("MixMoment")

    def _mixed(self, answer: Answer) -> None:
        document = self._bench.document
        if answer.request.key == document.current_key:
            first = document.moment is None
            document.set_moment(answer.value)
            if first:
                self.begun.emit()
