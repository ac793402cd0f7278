"""Probing how the model answers around the result of the clip on screen, while somebody looks."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from mirguard.workbench.bench import Bench
from mirguard.workbench.insight_requests import MapSurface, Respond
from mirguard.workbench.lanes import Answer


class Probing(QObject):
    """The response along the perturbation is asked for by itself, the surface when it is wanted."""

    responded = Signal(object, str)  # Response or None, and a sentence on why there is none
    mapped = Signal(object, bool)  # Surface or None, and whether more of it is on its way

    def __init__(self, bench: Bench, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench = bench
        self._on, self._reach = False, 2.0
        self._asked: tuple | None = None
        bench.on(Respond, self._responded, self._responded, self._failed)
        bench.on(MapSurface, self._mapped, self._mapped, self._failed, lambda _answer: self.mapped.emit(None, False))
        for topic in ("current", "outcome", "model", "run", "labels"):
            bench.document.watch(topic, self.look)

    def show(self, on: bool) -> None:
        self._on = on
        self.look()

    def set_reach(self, reach: float) -> None:
        """From −reach to +reach times the perturbation."""
        self._reach = reach
        self.look()

    def look(self) -> None:
        """Ask for what is on screen, unless it is there or on its way."""
        document = self._bench.document
        entry, model = document.current, document.model
        ready = entry is not None and entry.outcome is not None and model is not None and entry.decision is not None
        running = document.run is not None and entry is not None and document.run.key == entry.key
        wanted = None
        if self._on and ready and not running:
            wanted = entry.key, entry.outcome.clip.hash, model.name, self._reach
        if wanted == self._asked and wanted is not None:
            return
        self._asked = wanted
        for slot in ("Respond", "MapSurface"):
            self._bench.engine.forget(slot)
        self.mapped.emit(None, False)
        if wanted is None:
            self.responded.emit(
                None, "" if running else "Run an attack to see how the model answers along its perturbation"
            )
            return
        delta = entry.outcome.perturbation.mono()
        if not delta.any():
            self.responded.emit(None, "The perturbation is empty")
            return
        self.responded.emit(None, "Asking the model …")
        self._bench.engine.ask(Respond(entry.key, entry.clip, delta, model.name, self._reach))

    def map(self, across: str) -> None:
        """The margin over the perturbation and a second direction, at leisure."""
        document = self._bench.document
        entry = document.current
        if self._asked is None or entry is None or entry.outcome is None:
            return
        delta, model = entry.outcome.perturbation.mono(), document.model
        if across == "gradient" and not model.differentiable:
            self._bench.say(f"{model.title} gives no gradients; choose a random direction.")
            return
        target = entry.outcome.target if entry.outcome.target in model.labels else None
        self.mapped.emit(None, True)
        self._bench.engine.ask(
            MapSurface(entry.key, entry.clip, delta, model.name, entry.decision.label, target, across, self._reach)
        )

    def cancel(self) -> bool:
        """Map no further; True if there was anything to stop."""
        return self._bench.engine.cancel("MapSurface")

    def _responded(self, answer: Answer) -> None:
        self.responded.emit(answer.value, "")

    def _mapped(self, answer: Answer) -> None:
        self.mapped.emit(answer.value, answer.state == "progress")

    def _failed(self, answer: Answer) -> None:
        self.mapped.emit(None, False)
        self._bench.say_failure(answer)
