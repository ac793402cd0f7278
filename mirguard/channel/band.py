"""A pass band as a linear operator: what is kept of a gradient, and of δ.

A zero-phase Kaiser-windowed sinc (Oppenheim & Schafer, ch. 7.6), 80 dB down `WIDTH` Hz or a quarter of an edge's frequency beyond
the edges, applied block by block with the FFT (overlap-add), so that memory does not grow with the clip. It is symmetric,
so it is its own adjoint; as nothing has infinitely steep edges, it is a projection only nearly.
"""

from __future__ import annotations

import math

import torch

WIDTH = 40.0  # Hz, the narrowest transition
BETA = 7.857  # Kaiser window for 80 dB


class Band:
    """Only frequencies from `low` to `high` Hz; an edge at 0 or at half the rate is no edge."""

    diagonal = False

    def __init__(self, band: tuple[float, float], sample_rate: int) -> None:
        low, high = band
        nyquist = sample_rate / 2.0
        narrowest = min([max(WIDTH, edge / 4.0) for edge in (low, high) if 0.0 < edge < nyquist], default=nyquist)
        half = math.ceil((80.0 - 7.95) / (2.285 * 2.0 * math.pi * narrowest / sample_rate) / 2.0)
        t = torch.arange(-half, half + 1, dtype=torch.float64)
        window = torch.special.i0(BETA * (1 - (t / half) ** 2).clamp_min(0).sqrt()) / torch.special.i0(
            torch.tensor(BETA, dtype=torch.float64)
        )
        self.half = half
        self.taps = ((_low_pass(t, min(high, nyquist), sample_rate) - _low_pass(t, low, sample_rate)) * window).float()

    def direction(self, gradient: torch.Tensor) -> torch.Tensor:
        return self(gradient)

    def limit(self, delta: torch.Tensor) -> torch.Tensor:
        return self(delta)

    def __call__(self, signal: torch.Tensor) -> torch.Tensor:
        """`(..., n)` -> `(..., n)`, zeros outside."""
        n, taps = signal.shape[-1], len(self.taps)
        size = 1 << max(12, (4 * taps - 1).bit_length())
        hop = size - taps + 1
        spectrum = torch.fft.rfft(self.taps.to(signal.device), size)
        out = signal.new_zeros(*signal.shape[:-1], n + taps - 1)
        for first in range(0, n, hop):
            block = signal[..., first : first + hop]
            heard = torch.fft.irfft(torch.fft.rfft(block, size) * spectrum, size)
            stop = min(first + size, out.shape[-1])
            out[..., first:stop] += heard[..., : stop - first]
        return out[..., self.half : self.half + n]


def _low_pass(t: torch.Tensor, edge: float, sample_rate: int) -> torch.Tensor:
    cut = 2.0 * edge / sample_rate
    return cut * torch.sinc(cut * t)
