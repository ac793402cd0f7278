"""The outline of a waveform: smallest and largest sample of each stretch, for an overview."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mirguard.errors import Cancelled

BINS = 8_192  # more stretches than an overview has pixels on any screen
BLOCK = 1 << 22  # samples looked at between two questions whether to go on


@dataclass(frozen=True, eq=False)
class Peaks:
    """`low` and `high` `(bins,)` float32: the extremes over equal stretches of a sound of `duration` seconds."""

    low: np.ndarray
    high: np.ndarray
    duration: float

    def fitted(self, pixels: int) -> tuple[np.ndarray, np.ndarray]:
        """The same outline with one pair per pixel `(pixels,)`."""
        edges = np.arange(pixels) * len(self.low) / max(1, pixels)
        first = edges.astype(int)
        if pixels >= len(self.low):
            return self.low[first], self.high[first]
        return np.minimum.reduceat(self.low, first), np.maximum.reduceat(self.high, first)


def compute(samples: np.ndarray, rate: int, bins: int = BINS, cancelled: Callable[[], bool] | None = None) -> Peaks:
    """The outline of samples `(frames,)` or `(channels, frames)` (over all channels); raises Cancelled."""
    samples = np.atleast_2d(samples)
    frames = samples.shape[1]
    bins = max(1, min(bins, frames))
    edges = (np.arange(bins + 1) * frames) // bins
    low, high = np.empty(bins, np.float32), np.empty(bins, np.float32)
    stretch = max(1, BLOCK // max(1, frames // bins))
    for first in range(0, bins, stretch):
        if cancelled is not None and cancelled():
            raise Cancelled
        last = min(first + stretch, bins)
        part, starts = samples[:, edges[first] : edges[last]], edges[first:last] - edges[first]
        low[first:last] = np.minimum.reduceat(part, starts, axis=1).min(axis=0)
        high[first:last] = np.maximum.reduceat(part, starts, axis=1).max(axis=0)
    return Peaks(low, high, frames / rate)
