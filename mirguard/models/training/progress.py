"""How far a training is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mirguard.models.training.loop import Epoch

HEARING, LEARNING, TESTING, SAVING = "hearing", "learning", "testing", "saving"


@dataclass(frozen=True)
class TrainingProgress:
    """What is being done: `stage` is "hearing", "learning", "testing" or "saving", `fraction` the part of the stage that is done,
    where known. `epoch` comes after each pass over the training sounds, for methods that make several."""

    stage: str
    fraction: float | None
    sentence: str
    epoch: Epoch | None = None


class Teller:
    """Tells how far training is; nothing happens where nobody listens."""

    def __init__(self, progress: Callable[[TrainingProgress], None] | None) -> None:
        self._progress = progress or (lambda _: None)

    def __call__(self, stage: str, fraction: float | None, sentence: str, epoch: Epoch | None = None) -> None:
        self._progress(TrainingProgress(stage, fraction, sentence, epoch))

    def heard(self, done: int, of: int, name: str) -> None:
        self(HEARING, done / of, f"Hearing {name} ({done + 1} of {of})")

    def epoch(self, epoch: Epoch) -> None:
        held_out = f", {100 * epoch.validation:.0f} % in validation" if epoch.validation is not None else ""
        self(
            LEARNING,
            epoch.number / epoch.of,
            f"Epoch {epoch.number} of {epoch.of}: loss {epoch.loss:.3f}, {100 * epoch.accuracy:.0f} % right in training{held_out}",
            epoch,
        )
