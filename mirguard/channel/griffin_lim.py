"""Phases for magnitudes: the fast Griffin–Lim algorithm.

Perraudin, Balazs & Søndergaard 2013, algorithm 2: c_n = P_C1(P_C2(t_{n−1})), t_n = c_n + α(c_n − c_{n−1}), where P_C2 puts the
magnitudes in their place and P_C1 = S A makes of spectra those of a signal.
"""

from __future__ import annotations

import torch

from mirguard.channel.stft import Stft

MOMENTUM = 0.99  # their α


def unit(spectra: torch.Tensor) -> torch.Tensor:
    """e^{iφ}; 1 where there is no phase."""
    size = spectra.abs()
    return torch.where(size > 0, spectra / size.clamp_min(1e-30), 1.0)


def griffin_lim(stft: Stft, magnitudes: torch.Tensor, phase: torch.Tensor, n: int, rounds: int) -> torch.Tensor:
    """e^{iφ} `(rows, frames, bins)` for `magnitudes`, found from `phase` in so many rounds; of a sound's own magnitudes and
    phases, those phases."""
    last, spectra = None, magnitudes * phase
    for _ in range(rounds):
        heard = stft.forward(stft.inverse(spectra, n))
        ahead = heard if last is None else heard + MOMENTUM * (heard - last)
        last, spectra = heard, magnitudes * unit(ahead)
    return unit(spectra)
