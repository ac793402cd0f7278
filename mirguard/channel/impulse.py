"""A measured impulse response from a file."""

from __future__ import annotations

import torch

from mirguard.channel.fir import Filter
from mirguard.channel.recordings import recording

QUIET = 1e-6  # of the response's energy may be left when it is cut off: 60 dB


def impulse(sample_rate: int, generator: torch.Generator, source: str) -> Filter:
    """The file's response, or one drawn from a folder. Its peak, the direct sound, is moved to time 0 and Σh² made 1, so that
    it neither merely delays nor makes louder."""
    h = recording(source, sample_rate, generator).double()
    power = h.square()
    left = power.flip(0).cumsum(0).flip(0)  # the energy from each sample on
    h = h[: max(1, int((left > QUIET * left[0]).sum()))]
    return Filter(h / h.square().sum().sqrt(), -int(h.abs().argmax()))
