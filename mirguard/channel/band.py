"""A band of frequencies, as a linear-phase filter: what lies outside is taken away.

A Kaiser-windowed sinc (Kaiser 1974), 80 dB down a transition of `WIDTH` Hz or a quarter of an edge's frequency (of a narrow
band: of half its width) beyond the edges. It is symmetric, so it is its own adjoint; as nothing has infinitely steep edges,
it is a projection only nearly.
"""

from __future__ import annotations

import math

import torch

from mirguard.channel.fir import Filter, kaiser
from mirguard.channel.transform import uniform

WIDTH = 40.0  # Hz, the narrowest transition
BETA = 7.857  # Kaiser window for 80 dB


class Band:
    """Only frequencies from `low` to `high` Hz; an edge at 0 or at half the rate is no edge."""

    diagonal = False

    def __init__(self, band: tuple[float, float], sample_rate: int) -> None:
        low, high = max(band[0], 0.0), min(band[1], sample_rate / 2.0)
        transition = min([edge / 4.0 for edge in (low, high) if 0.0 < edge < sample_rate / 2.0], default=high)
        transition = max(WIDTH, min(transition, (high - low) / 2.0))
        half = math.ceil((80.0 - 7.95) / (2.285 * 2.0 * math.pi * transition / sample_rate) / 2.0)
        t = torch.arange(-half, half + 1, dtype=torch.float64)
        taps = (_low_pass(t, high, sample_rate) - _low_pass(t, low, sample_rate)) * kaiser(t, half, BETA)
        # A band narrower than its transitions would weaken what it lets through, again each time it is applied.
        middle = 2.0 * math.pi * ((low + high) / 2.0) / sample_rate
        taps = taps / (taps * torch.cos(middle * t)).sum().abs().clamp_min(1e-3)
        self._filter = Filter(taps, -half)
        self.reach = self._filter.reach

    def direction(self, gradient: torch.Tensor) -> torch.Tensor:
        return self(gradient)

    def limit(self, delta: torch.Tensor) -> torch.Tensor:
        return self(delta)

    def __call__(self, signal: torch.Tensor, start: int = 0) -> torch.Tensor:
        """`(..., n)` -> `(..., n)`, zeros outside."""
        return self._filter(signal)


def _low_pass(t: torch.Tensor, edge: float, sample_rate: int) -> torch.Tensor:
    cut = 2.0 * edge / sample_rate
    return cut * torch.sinc(cut * t)


def band_pass(
    sample_rate: int,
    generator: torch.Generator,
    low_least: float,
    low_most: float,
    high_least: float,
    high_most: float,
) -> Band:
    """Both edges uniform in their ranges."""
    nyquist = sample_rate / 2.0
    low, high = uniform(low_least, low_most, generator), uniform(high_least, high_most, generator)
    low = min(low, nyquist / 2.0)
    return Band((low, max(high, low + 1.0)), sample_rate)
