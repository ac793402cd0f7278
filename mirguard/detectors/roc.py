"""How well scores tell attacked clips from others: ROC, the area under it with its interval, and what is caught at a low rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000


@dataclass(frozen=True)
class Area:
    """Area under the ROC curve with its 95 % interval; None where there is nothing to compare."""

    value: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        return "–" if self.value is None else f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def roc(negative: Sequence[float], positive: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """False- and true-positive rates at every threshold, from (0, 0) to (1, 1)."""
    negative, positive = np.asarray(negative, float), np.asarray(positive, float)
    levels = np.unique(np.concatenate([negative, positive]))[::-1]
    above = [np.searchsorted(np.sort(-scores), -levels, "right") / len(scores) for scores in (negative, positive)]
    return np.concatenate([[0.0], above[0]]), np.concatenate([[0.0], above[1]])


def area(
    positive: Sequence[float], clips: Sequence[int], negative: Sequence[float], others: Sequence[int], seed: int = 0
) -> Area:
    """P(a positive scores above a negative), ties counting half (Mann & Whitney), and its interval.

    `clips` and `others` number the clip that each score belongs to: an attacked sound, the noisy one and the clean one are of the
    same clip, so clips are drawn with replacement, not scores (a cluster bootstrap, percentile interval)."""
    positive, negative = np.asarray(positive, float), np.asarray(negative, float)
    if not len(positive) or not len(negative):
        return Area(None, None, None)
    names, number = np.unique(np.concatenate([clips, others]), return_inverse=True)
    mine, theirs = number[: len(positive)], number[len(positive) :]
    wins = (positive[:, None] > negative[None]) + 0.5 * (positive[:, None] == negative[None])
    by_clip = np.zeros((len(names), len(names)))
    np.add.at(by_clip, (mine[:, None], theirs[None]), wins)
    has, had = np.bincount(mine, minlength=len(names)), np.bincount(theirs, minlength=len(names))
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1.0 / len(names)), RESAMPLES)
    pairs = (draws @ has) * (draws @ had)
    areas = np.einsum("ri,ij,rj->r", draws, by_clip, draws, optimize=True)[pairs > 0] / pairs[pairs > 0]
    low, high = np.quantile(areas, (0.025, 0.975)) if len(areas) else (0.0, 1.0)
    value = float(wins.mean())
    return Area(value, float(min(low, value)), float(max(high, value)))
