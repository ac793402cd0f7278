"""Filters of finite impulse response, applied with the FFT block by block, so that memory does not grow with the clip."""

from __future__ import annotations

import torch


class Filter:
    """y[t] = Σ_k h[k] x[t − first − k], zeros outside the signal: a `Transform`."""

    def __init__(self, taps: torch.Tensor, first: int) -> None:
        """`taps (m,)` are h; h[0] meets the sample `first` before (negative: after) the one that is computed."""
        self.taps, self.first = taps, first
        self.reach = (max(0, first + len(taps) - 1), max(0, -first))

    def __call__(self, signal: torch.Tensor, start: int = 0) -> torch.Tensor:
        return _Convolved.apply(signal, self.taps.to(signal), self.first)


class _Convolved(torch.autograd.Function):
    """A convolution's adjoint is the one with the taps turned round, so nothing but these is kept."""

    @staticmethod
    def forward(ctx, signal, taps, first):
        ctx.taps, ctx.first = taps, first
        return _convolved(signal, taps, first)

    @staticmethod
    def backward(ctx, slope):
        return _convolved(slope, ctx.taps.flip(0), 1 - len(ctx.taps) - ctx.first), None, None


def _convolved(signal: torch.Tensor, taps: torch.Tensor, first: int) -> torch.Tensor:
    """By overlap-add."""
    n, count = signal.shape[-1], len(taps)
    size = 1 << max(12, (4 * count - 1).bit_length())
    hop = size - count + 1
    spectrum = torch.fft.rfft(taps, size)
    out = torch.zeros_like(signal)
    for begin in range(0, n, hop):
        block = signal[..., begin : begin + hop]
        heard = torch.fft.irfft(torch.fft.rfft(block, size) * spectrum, size)
        a, b = begin + first, begin + first + block.shape[-1] + count - 1  # where it falls
        left, right = min(max(a, 0), n), min(max(b, 0), n)
        out[..., left:right] += heard[..., left - a : right - a]
    return out


def kaiser(t: torch.Tensor, half: float, beta: float) -> torch.Tensor:
    """The Kaiser window at distances `t` from its middle, 0 beyond `half`."""
    inside = (1.0 - (t / half) ** 2).clamp_min(0.0).sqrt()
    window = torch.special.i0(beta * inside) / torch.special.i0(torch.tensor(beta, dtype=t.dtype))
    return window * (t.abs() <= half)
