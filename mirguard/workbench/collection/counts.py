"""The figures of a collection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mirguard.intervals import wilson
from mirguard.workbench.collection.row import FAILED, Row


@dataclass(frozen=True)
class Counts:
    """Figures of a collection. `judged` are the heard rows of which it is known whether they are right."""

    total: int = 0
    heard: int = 0
    failed: int = 0
    judged: int = 0
    right: int = 0
    scored: int = 0
    flagged: int = 0
    decided: int = 0

    @property
    def waiting(self) -> int:
        return self.total - self.heard - self.failed

    @property
    def accuracy(self) -> float | None:
        return self.right / self.judged if self.judged else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of the accuracy. It takes clips as independent of each other."""
        return wilson(self.right, self.judged) if self.judged else None


def count(rows: Sequence[Row], threshold: float | None) -> Counts:
    """A score beyond the threshold is flagged; None for no threshold."""
    heard = failed = judged = right = decided = 0
    scores = []
    for row in rows:  # asked for several times a second, so there are no calls in it
        if row.record is not None and row.record.decision:
            decided += 1
        if row.heard is None:
            failed += row.state == FAILED
            continue
        heard += 1
        scores.append(row.heard.score)
        if row.right is not None:
            judged += 1
            right += row.right
    scores = [score for score in scores if score is not None]
    scored, flagged = len(scores), 0 if threshold is None else sum(score > threshold for score in scores)
    return Counts(len(rows), heard, failed, judged, right, scored, flagged, decided)
