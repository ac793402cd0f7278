"""Louder and softer."""

from __future__ import annotations

import torch

from mirguard.channel.transform import uniform


class Gain:
    """A factor."""

    reach = (0, 0)

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, signal: torch.Tensor, start: int) -> torch.Tensor:
        return signal * self.factor


def gain(sample_rate: int, generator: torch.Generator, low: float, high: float) -> Gain:
    """Uniform in dB between `low` and `high`."""
    return Gain(amplitude(uniform(low, high, generator)))


def amplitude(level: float) -> float:
    """The factor that `level` dB are."""
    return 10.0 ** (level / 20.0)
