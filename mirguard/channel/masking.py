"""The masking threshold of a sound as attacks need it: how far δ lies above it, with gradient, and δ brought under it.

The threshold θ is that of `mirguard.analysis.masking` (Qin et al. 2019, appendix), found once a clip; masker and perturbation are
measured by the same window, normalisation and playback level. Frames also lie over the clip's beginning and end, where those of
the reading thin out, so that nothing hides there. A silent clip masks nothing: what is left to δ is the threshold in quiet, with
full scale at 96 dB.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from mirguard.analysis.masking import HOP, WINDOW, blocks, masking_thresholds, playback_gain, power_spectra
from mirguard.channel.stft import Stft

ROUNDS = 6
HEADROOM = 10.0 ** (-1.0 / 20.0)  # what is limited aims so far below the threshold, to be under it after a few rounds


class UnderThreshold:
    """The space under the threshold of `sound (rows, n)`: |S δ| ≤ the limit in every time–frequency bin."""

    diagonal = False

    def __init__(self, sound: torch.Tensor, sample_rate: int) -> None:
        self.stft = Stft(WINDOW, HOP)
        limits = [_limits(row, sample_rate, self.stft) for row in sound.cpu().double().numpy()]
        self.amplitude = torch.from_numpy(np.stack(limits)).to(
            sound.device
        )  # (rows, frames, bins), in the measure of S

    def excess(self, delta: torch.Tensor, rows: torch.Tensor | slice = slice(None)) -> torch.Tensor:
        """Mean over all bins of the dB `(len(rows),)` by which `delta (len(rows), n)` exceeds the threshold of `rows`; a
        hinge whose gradient is finite everywhere, and 0 where nothing is heard."""
        n, total = delta.shape[1], delta.new_zeros(len(delta))
        for first, last in self.stft.blocks(n):
            begin, end = self.stft.span(first, last, n)
            ratio = self.stft.piece(delta[:, begin:end], first, last, n) / self.amplitude[rows, first:last]
            power = ratio.real.square() + ratio.imag.square()  # not abs(), which has no gradient at 0
            total = total + 10.0 * torch.log10(power.clamp_min(1.0)).sum((1, 2))
        return total / (self.stft.frames(n) * self.stft.bins)

    def direction(self, gradient: torch.Tensor) -> torch.Tensor:
        """The gradient itself: there is room in every bin, and `limit` says how much."""
        return gradient

    def limit(self, delta: torch.Tensor) -> torch.Tensor:
        """δ with nearly all bins under the threshold: projected in turn onto the bins that are and onto the spectra of signals.
        Both sets are convex; after the first round the step is twice the way to the bins (Agmon 1954): half the rounds do."""
        for way in [1.0] + [2.0] * (ROUNDS - 1):
            delta = self._resynthesised(delta, partial(_lowered, way))
        return delta

    def _resynthesised(self, signal: torch.Tensor, change: Callable) -> torch.Tensor:
        """A(change(S signal, limits)), block by block."""
        n, total = signal.shape[1], torch.zeros_like(signal)
        for first, last in self.stft.blocks(n):
            begin, end = self.stft.span(first, last, n)
            spectra = self.stft.piece(signal[:, begin:end], first, last, n)
            self.stft.add_piece(total, change(spectra, self.amplitude[:, first:last]), first)
        return total.div_(self.stft.around(total))


def _lowered(way: float, spectra: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
    """Bins moved `way` times the distance to their limit; those below it stay."""
    share = (HEADROOM * limit / spectra.abs().clamp_min(1e-37)).clamp_max(1.0)
    return spectra * (1.0 - way * (1.0 - share))


def _limits(sound: np.ndarray, sample_rate: int, stft: Stft) -> np.ndarray:
    """The threshold of `sound (n,)` as amplitudes `(frames, bins)` in the measure of `stft`."""
    gain = playback_gain(sound)
    padded = np.concatenate([np.zeros(stft.lead), sound])
    theta = [masking_thresholds(gain * power_spectra(padded, *b), sample_rate) for b in blocks(stft.frames(len(sound)))]
    # There a bin's power is 8/3·|DFT of the frame|²/size², here it is |DFT|²/size.
    return np.sqrt(10.0 ** (np.concatenate(theta) / 10.0) / gain * (WINDOW * 3.0 / 8.0)).astype(np.float32)
