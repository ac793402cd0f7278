"""One clip of a collection: what the data says it is, what the model hears, and what the person decided."""

from __future__ import annotations

from dataclasses import dataclass

from mirguard.datasets.labelled import Item
from mirguard.workbench.reviews import Record

WAITING, HEARD, FAILED = "waiting", "heard", "failed"
ACCEPT, ADVERSARIAL, UNSURE, RELABEL = DECISIONS = ("accept", "adversarial", "unsure", "relabel")
COLUMNS = ("name", "true", "predicted", "confidence", "score", "split", "decision")
TOP = 3  # labels that are kept of what the model says


@dataclass(frozen=True)
class Heard:
    """What model and detector say of a row: the top label with its confidence, the first few labels, and the detector's
    score (higher is more anomalous; None where there is no detector)."""

    label: str
    confidence: float
    top: tuple[tuple[str, float], ...] = ()
    score: float | None = None


@dataclass(eq=False, slots=True)
class Row:
    """One clip. `right` is None where nobody can say: not heard yet, no true label, or one that the model does not know."""

    number: int
    item: Item
    place: str  # its path below the collection's folder, else all of it
    size: int = 0  # bytes
    modified: int = 0  # nanoseconds, as the file system counts
    state: str = WAITING
    heard: Heard | None = None
    right: bool | None = None
    trouble: str = ""
    sound: str = ""  # the hash of its samples, once they have been read
    record: Record | None = None  # the person's decision and note, if there is either

    @property
    def name(self) -> str:
        item = self.item
        if item.start is None and item.seconds is None:
            return item.name
        first = item.start or 0.0
        last = f"{first + item.seconds:g}" if item.seconds is not None else "end"
        return f"{item.name} [{first:g}–{last} s]"

    @property
    def decision(self) -> str:
        """One of DECISIONS, "" for none."""
        return self.record.decision if self.record else ""

    @property
    def note(self) -> str:
        return self.record.note if self.record else ""

    @property
    def key(self) -> tuple:
        return self.place, self.item.start, self.item.seconds
