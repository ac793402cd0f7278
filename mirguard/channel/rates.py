"""Down to a lower sample rate and up again."""

from __future__ import annotations

import torch

from mirguard.channel.resample import Resampler
from mirguard.channel.transform import choice

# Drawn from these, so that few filters are made and fast ones: rates by chance have hardly a common factor.
USUAL = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


class Resampled:
    """Heard at `rate` Hz, back at `sample_rate`: nothing above half the lower rate is left."""

    def __init__(self, sample_rate: int, rate: int) -> None:
        self.down, self.up = Resampler(sample_rate, rate), Resampler(rate, sample_rate)
        width = self.down.width + -(-self.up.width * sample_rate // rate) + 2
        self.reach = (0, 0) if self.down.identity else (width, width)

    def __call__(self, signal: torch.Tensor, start: int) -> torch.Tensor:
        if self.down.identity:
            return signal
        stop = start + signal.shape[-1]
        lower = self.up.span(start, stop)
        a, b = self.down.span(*lower)
        return self.up(self.down(_between(signal, start, a, b), *lower), start, stop)


def _between(signal: torch.Tensor, start: int, a: int, b: int) -> torch.Tensor:
    """Samples `[a, b)` of a clip of which the signal lies at `start`, zeros outside."""
    return torch.nn.functional.pad(signal, (start - a, b - start - signal.shape[-1]))


def resample(sample_rate: int, generator: torch.Generator, low: int, high: int) -> Resampled:
    """To one of the usual rates from `low` to `high` Hz, or to one of these two; a rate above the clip's own is its own."""
    rates = sorted({low, high, *(rate for rate in USUAL if low < rate < high)})
    return Resampled(sample_rate, min(rates[choice(len(rates), generator)], sample_rate))
