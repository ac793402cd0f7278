"""The log power spectrum that detectors of inputs hear by: that of the sound itself, whatever the model hears."""

from __future__ import annotations

import math

import torch

from mirguard.channel.stft import Stft

SECONDS = 0.064  # of a frame: 1024 samples at 16 kHz
LEAST_FRAMES = 8  # in a window, so that there is something to compare in short ones
FLOOR = 2e-11  # power: about that of rounding to 16 bits, below which there is nothing but how a file was written


class Spectrum:
    """Frames of about SECONDS, every half of one, for windows of `window` samples at `sample_rate`."""

    def __init__(self, sample_rate: int, window: int) -> None:
        longest = min(SECONDS * sample_rate, 2.0 * window / (LEAST_FRAMES + 1))
        size = 1 << max(2, round(math.log2(max(longest, 1.0))))
        self.stft = Stft(size, size // 2)
        # Those that lie in the window as a whole, since the others hold zeros of ours.
        self.first, self.last = 1, max(2, (window - size) // (size // 2) + 2)

    def __call__(self, waveform: torch.Tensor) -> torch.Tensor:
        """`(m, window)` in ±1 -> ln(power + FLOOR) `(m, frames, bins)`, differentiable."""
        n = waveform.shape[1]
        begin, end = self.stft.span(self.first, self.last, n)
        spectra = self.stft.piece(waveform[:, begin:end], self.first, self.last, n)
        return torch.log(spectra.real.square() + spectra.imag.square() + FLOOR)
