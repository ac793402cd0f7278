"""White noise on top of the sound.

Its level is in dB of full scale, not of the sound: a microphone's noise does not know the music, and every piece of a clip
gets the same noise. For an SNR of s dB on a clip of level L dB it is L − s.
"""

from __future__ import annotations

import torch

from mirguard.channel.level import amplitude
from mirguard.channel.transform import uniform

BLOCK = 1 << 14  # samples drawn from one seed


class Noise:
    """Gaussian of RMS `level`, the same at a place of the clip in whichever piece it is heard, for all rows and channels."""

    reach = (0, 0)

    def __init__(self, level: float, seed: int) -> None:
        self.level, self.seed = level, seed

    def __call__(self, signal: torch.Tensor, start: int) -> torch.Tensor:
        stop = start + signal.shape[-1]
        first = start // BLOCK
        parts = [self._block(number) for number in range(first, -(-stop // BLOCK))]
        noise = torch.cat(parts)[start - first * BLOCK : stop - first * BLOCK]
        return signal + self.level * noise.to(signal)

    def _block(self, number: int) -> torch.Tensor:
        return torch.randn(BLOCK, generator=torch.Generator().manual_seed(self.seed + number))


def noise(sample_rate: int, generator: torch.Generator, low: float, high: float) -> Noise:
    """Its level uniform between `low` and `high` dB of full scale."""
    level = amplitude(uniform(low, high, generator))
    return Noise(level, int(torch.randint(1 << 62, (), generator=generator)))
