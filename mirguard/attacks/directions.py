"""Random directions in which attacks without gradients try the model, and the subspace that they are drawn from.

An image's attacks need fewer queries where they look among smooth directions only (Guo, Frank & Weinberger 2019, "Low frequency
adversarial perturbation"; Li et al. 2020, QEBA). What low frequencies are to pictures, a sound's own phase is to sounds:
∂log|X|²/∂x = 2X/|X|², so the gradient of anything that is heard through magnitudes lies among the signals X·G with a smooth real G,
large where |X| is small. `own-phase` draws those: G Gaussian and constant on tiles, over the tile's magnitude.
"""

from __future__ import annotations

import torch

from mirguard.attacks.problem import Problem
from mirguard.channel.stft import Stft

OWN_PHASE, LOW_FREQUENCY, FULL = "own-phase", "low-frequency", "full"
SUBSPACES = (OWN_PHASE, LOW_FREQUENCY, FULL)

LOWEST = 0.125  # of the frequencies are low
_STFT = Stft(1024, 512)
BANDS, FRAMES = 32, 16  # a tile: one of so many bands of about equal width in log-frequency, so many frames


def directions(problem: Problem, subspace: str, delta: torch.Tensor) -> torch.Tensor:
    """Gaussian directions `(rows, n)` of RMS 1 where δ may be, each row from its own generator.

    `own-phase` follows the sound at δ; a silent one has no phase: its directions are white."""
    draw = torch.empty(problem.rows, problem.size)
    for row, generator in zip(draw, problem.generators, strict=True):
        row.normal_(generator=generator)
    draw = draw.to(problem.device)
    if subspace == LOW_FREQUENCY:
        spectrum = torch.fft.rfft(draw)
        spectrum[:, max(2, round(LOWEST * spectrum.shape[1])) :] = 0.0
        draw = torch.fft.irfft(spectrum, problem.size)
    elif subspace == OWN_PHASE:
        tiles = Tiles(problem.sound + delta)
        count = tiles.bands * tiles.frames
        gains = draw.repeat(1, -(-count // problem.size))[:, :count].view(-1, tiles.bands, tiles.frames)
        own = tiles(gains)
        draw = torch.where(own.square().sum(1, keepdim=True) > 0, own, draw)
    draw = problem.direction(draw)
    return draw / draw.square().mean(1).sqrt().clamp_min(1e-12)[:, None]


class Tiles:
    """A sound's time-frequency tiles, at equal power whatever they hold; called with their gains `(rows, bands, frames)` it gives
    the sound of them `(rows, n)`."""

    def __init__(self, sound: torch.Tensor) -> None:
        spectrum = _STFT.forward(sound)
        rows, frames, bins = spectrum.shape
        self._band = _bands(bins).to(sound.device)
        self._frame = torch.arange(frames, device=sound.device) // FRAMES
        self.bands, self.frames = int(self._band[-1]) + 1, int(self._frame[-1]) + 1
        power = sound.new_zeros(rows, frames, self.bands).index_add_(2, self._band, spectrum.abs().square())
        tiles = sound.new_zeros(rows, self.frames, self.bands).index_add_(1, self._frame, power).mT
        # What lies 80 dB below the mean tile is rounding, not sound.
        floor = 1e-8 * tiles.mean((1, 2), keepdim=True)
        self._spectrum = spectrum * self._spread((tiles + floor).sqrt().clamp_min(1e-12).reciprocal())
        self._size = sound.shape[1]

    def __call__(self, gains: torch.Tensor) -> torch.Tensor:
        return _STFT.inverse(self._spectrum * self._spread(gains), self._size)

    def _spread(self, gains: torch.Tensor) -> torch.Tensor:
        return gains.mT.index_select(1, self._frame).index_select(2, self._band)


def _bands(bins: int) -> torch.Tensor:
    """Which band each frequency bin belongs to, without gaps: linear where a bin is wider than a band, then logarithmic."""
    octave = torch.log2(1.0 + torch.arange(bins) / 8.0)
    return torch.unique((octave * BANDS / octave[-1]).floor().clamp_max(BANDS - 1), return_inverse=True)[1]
