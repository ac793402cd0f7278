"""What every effect of the channel is once its chances are drawn: a `Transform` of sound, the same length out as in.

It may be applied to a piece of a clip at a time. `reach` says how many samples on either side of a place the result there
depends on; within that of the piece's ends the result is not the one for the whole clip, and the caller cuts it off. `start`
is the place of the piece's first sample in the clip, so that noise is the same whichever piece it is heard in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch


class Transform(Protocol):
    """One draw of an effect, differentiable with respect to the signal."""

    reach: tuple[int, int]

    def __call__(self, signal: torch.Tensor, start: int) -> torch.Tensor:
        """`(..., n)` -> `(..., n)`."""


class InTurn:
    """Transforms one after the other."""

    def __init__(self, parts: Sequence[Transform]) -> None:
        self.parts = tuple(parts)
        self.reach = (sum(part.reach[0] for part in parts), sum(part.reach[1] for part in parts))

    def __call__(self, signal: torch.Tensor, start: int) -> torch.Tensor:
        for part in self.parts:
            signal = part(signal, start)
        return signal


def uniform(low: float, high: float, generator: torch.Generator) -> float:
    """A number between `low` and `high`."""
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))


def choice(count: int, generator: torch.Generator) -> int:
    """A number from 0 to `count` − 1."""
    return int(torch.randint(count, (), generator=generator))
