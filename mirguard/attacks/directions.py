"""Random directions in which attacks without gradients try the model, and the subspace that they are drawn from.

An image's attacks need fewer queries where they look among smooth directions only (Guo, Frank & Weinberger 2019, "Low frequency
adversarial perturbation"; Li et al. 2020, QEBA). What low frequencies are to pictures, a sound's own phase is to sounds:
∂log|X|²/∂x = 2X/|X|², so the gradient of anything that is heard through magnitudes lies among the signals X·G with a smooth real G,
large where |X| is small. `own-phase` draws those: G Gaussian and constant on tiles, over the tile's magnitude.
"""

from __future__ import annotations

import torch

from mirguard.attacks.problem import Problem

OWN_PHASE, LOW_FREQUENCY, FULL = "own-phase", "low-frequency", "full"
SUBSPACES = (OWN_PHASE, LOW_FREQUENCY, FULL)

LOWEST = 0.125  # of the frequencies are low
N_FFT, HOP = 1024, 512
BANDS, FRAMES = 32, 8  # a tile: one of so many bands of about equal width in log-frequency, so many frames


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
        own = _own_phase(problem.sound + delta, draw)
        draw = torch.where(own.square().sum(1, keepdim=True) > 0, own, draw)
    draw = problem.direction(draw)
    return draw / draw.square().mean(1).sqrt().clamp_min(1e-12)[:, None]


def _own_phase(sound: torch.Tensor, draw: torch.Tensor) -> torch.Tensor:
    """The sound with its tiles at random gains, all of about equal power; `draw` is where the gains are taken from."""
    hann = torch.hann_window(N_FFT, device=sound.device)
    spectrum = torch.stft(sound, N_FFT, HOP, window=hann, return_complex=True, pad_mode="constant")
    band = _bands(spectrum.shape[1]).to(sound.device)
    frame = torch.arange(spectrum.shape[2], device=sound.device) // FRAMES
    bands, frames = int(band[-1]) + 1, int(frame[-1]) + 1
    power = spectrum.new_zeros(len(sound), bands, spectrum.shape[2], dtype=torch.float32)
    power.index_add_(1, band, spectrum.abs().square())
    tiles = power.new_zeros(len(sound), bands, frames).index_add_(2, frame, power)
    # What lies 80 dB below the mean tile is rounding, not sound.
    floor = 1e-8 * tiles.mean((1, 2), keepdim=True)
    gains = draw.repeat(1, -(-bands * frames // draw.shape[1]))[:, : bands * frames].view(-1, bands, frames)
    gains = gains / (tiles + floor).sqrt().clamp_min(1e-12)
    spectrum *= gains.index_select(1, band).index_select(2, frame)
    return torch.istft(spectrum, N_FFT, HOP, window=hann, length=sound.shape[1])


def _bands(bins: int) -> torch.Tensor:
    """Which band each frequency bin belongs to, without gaps: linear where a bin is wider than a band, then logarithmic."""
    octave = torch.log2(1.0 + torch.arange(bins) / 8.0)
    return torch.unique((octave * BANDS / octave[-1]).floor().clamp_max(BANDS - 1), return_inverse=True)[1]
