"""Other music on top of the sound."""

from __future__ import annotations

import torch

from mirguard.channel.level import amplitude
from mirguard.channel.recordings import recording
from mirguard.channel.transform import choice, uniform


class Mixed:
    """`other (m,)`, again and again, from its sample `offset` on."""

    reach = (0, 0)

    def __init__(self, other: torch.Tensor, offset: int) -> None:
        self.other, self.offset = other, offset

    def __call__(self, signal: torch.Tensor, start: int) -> torch.Tensor:
        place = (torch.arange(signal.shape[-1]) + start + self.offset) % len(self.other)
        return signal + self.other[place].to(signal)


def music(sample_rate: int, generator: torch.Generator, source: str, low: float, high: float) -> Mixed:
    """A recording from a place by chance, its RMS over its whole length uniform between `low` and `high` dB of full scale."""
    other = recording(source, sample_rate, generator)
    level = amplitude(uniform(low, high, generator))
    return Mixed(other * (level / other.double().square().mean().sqrt().float()), choice(len(other), generator))
