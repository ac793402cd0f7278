"""What a detector says of one clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reading:
    """`score` (higher is more anomalous), the `threshold` at false-positive rate `fpr` counted in clips, the `percentile` of
    the score among the reference's clean scores (0 to 100), `flagged`; `set_level` tells tests of sets from tests of clips."""

    detector: str
    score: float
    threshold: float
    percentile: float
    flagged: bool
    set_level: bool
    fpr: float
    clean_scores: tuple[float, ...]
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "score": self.score,
            "threshold": self.threshold,
            "percentile": self.percentile,
            "flagged": self.flagged,
            "set_level": self.set_level,
            "fpr": self.fpr,
            "clean_clips": len(self.clean_scores),
            "note": self.note,
        }
