"""Making one perturbation for many clips, as a long job of the engine, and taking it up in the designer."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from mirguard.attacks.universal_file import own_path
from mirguard.clip import Clip
from mirguard.errors import MirguardError
from mirguard.workbench.bench import NOTE, WARNING, Bench
from mirguard.workbench.lanes import Answer
from mirguard.workbench.requests import MakeUniversal


@dataclass(frozen=True)
class Wish:
    """What a person asks for: `folder` of clips, or the `clips` themselves."""

    name: str
    method: str
    snr: float
    target: str | None = None
    folder: Path | None = None
    clips: tuple[Clip, ...] = field(default=(), repr=False)


class Generalising(QObject):
    """One at a time. `working` carries a sentence ("" when over) and the fraction done or None."""

    working = Signal(str, object)
    made = Signal(object)  # Universal
    failed = Signal(str)
    cancelled = Signal()

    def __init__(self, bench: Bench, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench, self._began, self._done = bench, 0.0, 0.0
        bench.on(MakeUniversal, self._made, self._progress, self._failed, self._cancelled)

    def make(self, wish: Wish) -> None:
        """Ask for a perturbation for the model in use."""
        model = self._bench.document.model
        if model is None:
            self.failed.emit("Choose a model first; a universal perturbation is made for one.")
            return
        try:
            own_path(wish.name)
        except MirguardError as error:
            self.failed.emit(str(error))
            return
        self._began = time.monotonic()
        self.working.emit("Loading the clips …", None)
        request = MakeUniversal(model.name, wish.name, wish.method, wish.snr, wish.target, wish.folder, wish.clips)
        self._bench.engine.ask(request)

    def cancel(self) -> bool:
        """Stop; True if one was being made."""
        return self._bench.engine.holds("MakeUniversal") and self._bench.engine.cancel("MakeUniversal")

    def _progress(self, answer: Answer) -> None:
        sentence, fraction = answer.value
        if (fraction or 0.0) < self._done:  # the next of several tasks
            self._began = time.monotonic()
        self._done = fraction or 0.0
        self.working.emit(f"{sentence}{_left(time.monotonic() - self._began, fraction)}", fraction)

    def _made(self, answer: Answer) -> None:
        made, skipped = answer.value
        self.working.emit("", None)
        document = self._bench.document
        document.change_design(attack="universal")
        document.set_value("perturbation", made.name)
        held_out = [rate for rate in made.rates if rate.held_out] or list(made.rates)
        self._bench.say(f"{made.name} is made. On {held_out[0].sentence}.", NOTE)
        if skipped:
            self._bench.say(f"Left out: {'; '.join(skipped[:3])}{' …' if len(skipped) > 3 else ''}", WARNING)
        self.made.emit(made)

    def _failed(self, answer: Answer) -> None:
        self.working.emit("", None)
        self.failed.emit(answer.value)
        self._bench.say_failure(answer)

    def _cancelled(self, answer: Answer) -> None:
        self.working.emit("", None)
        self.cancelled.emit()


def _left(seconds: float, fraction: float | None) -> str:
    """How long it will take yet, once that can be told."""
    if not fraction or fraction < 0.03 or seconds < 3.0:
        return " …"
    left = seconds / fraction - seconds
    return f", about {left / 60:.0f} min left" if left > 90 else f", about {max(1, round(left))} s left"
