"""Rates with their intervals, and whether one attack is better than another on the same clips."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.stats import binomtest

from mirguard.intervals import wilson

ENOUGH = 30  # clips: below that, nothing is said to pass
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Rate:
    """`hits` of `count` clips; as a text with its 95 % interval (Wilson)."""

    hits: int
    count: int

    @property
    def value(self) -> float:
        return self.hits / self.count if self.count else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.hits, self.count)

    @property
    def half_width(self) -> float:
        low, high = self.interval
        return (high - low) / 2

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.1%} ({low:.0%} to {high:.0%})"


def rate(hits: torch.Tensor) -> Rate:
    """Of a mask `(n,)`."""
    return Rate(int(hits.sum()), len(hits))


@dataclass(frozen=True)
class Paired:
    """Two attacks on the same clips: `first_only` were fooled by the first alone, `second_only` by the second alone.

    `p` is the exact McNemar test's (1947), two-sided: where both are equally good, discordant pairs fall as a fair coin does."""

    first_only: int
    second_only: int

    @property
    def p(self) -> float:
        discordant = self.first_only + self.second_only
        return float(binomtest(self.first_only, discordant).pvalue) if discordant else 1.0

    @property
    def first_better(self) -> bool:
        """Whether the first fools more, beyond what chance explains."""
        return self.first_only > self.second_only and self.p < SIGNIFICANT


def paired(first: torch.Tensor, second: torch.Tensor) -> Paired:
    """Of two masks `(n,)` of the clips that were fooled."""
    return Paired(int((first & ~second).sum()), int((second & ~first).sum()))
