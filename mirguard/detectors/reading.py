"""What a detector says of one clip, or of several together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reading:
    """`score` (higher is more anomalous), the `threshold` at false-positive rate `fpr` counted in clips, the `percentile` of
    the score among the reference's clean scores (0 to 100), `flagged`; `set_level` tells tests of sets from tests of clips. Where a
    detector cannot tell, `score`, `percentile` and `flagged` are None and `note` says why."""

    detector: str
    score: float | None
    threshold: float
    percentile: float | None
    flagged: bool | None
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


@dataclass(frozen=True)
class SetReading:
    """What a two-sample test says of several `clips` together: the `statistic` over so many `windows`, and the `p_value` of the
    hypothesis that they come from where the clean ones come from. Where it cannot tell, both are None and `note` says why."""

    detector: str
    p_value: float | None
    statistic: float | None
    windows: int
    clips: int
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "p_value": self.p_value,
            "statistic": self.statistic,
            "windows": self.windows,
            "clips": self.clips,
            "note": self.note,
        }
