"""A little earlier or later, by whole and parts of samples."""

from __future__ import annotations

import math

import torch

from mirguard.channel.fir import Filter, kaiser
from mirguard.channel.transform import uniform

HALF = 32  # samples on each side of the interpolating sinc
BETA = 9.0  # Kaiser window


def delay(samples: float) -> Filter:
    """Later by `samples` (negative: earlier), what is shifted in being silence. Parts of a sample are interpolated by a
    windowed sinc (Laakso et al. 1996), flat to about 0.9 of half the rate."""
    whole = math.floor(samples)
    part = samples - whole
    if part == 0.0:
        return Filter(torch.ones(1, dtype=torch.float64), whole)
    t = torch.arange(1 - HALF, HALF + 1, dtype=torch.float64) - part
    return Filter(torch.sinc(t) * kaiser(t, HALF, BETA), whole + 1 - HALF)


def shift(sample_rate: int, generator: torch.Generator, most: float) -> Filter:
    """Uniform between `most` ms earlier and later."""
    return delay(uniform(-most, most, generator) * sample_rate / 1000.0)
