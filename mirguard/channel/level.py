"""Louder and softer."""

from __future__ import annotations

import torch


class Gain:
    """A factor."""

    reach = (0, 0)

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, signal: torch.Tensor, start: int) -> torch.Tensor:
        return signal * self.factor


def gain(sample_rate: int, generator: torch.Generator, low: float, high: float) -> Gain:
    """Uniform in dB between `low` and `high`."""
    return Gain(10.0 ** ((low + (high - low) * float(torch.rand((), generator=generator))) / 20.0))
