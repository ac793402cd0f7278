"""Differentiable resampling by a windowed-sinc polyphase filter.

Smith, "Digital Audio Resampling" (CCRMA, 2002): y[m] = Σ_k x[k] h(k − m·r_in/r_out), h a Kaiser-windowed sinc cut off
just below the lower Nyquist frequency. Flat to 0.88 of that frequency, 118 dB down from 1.01 of it on. Any range of the
output can be computed from the range of the input it depends on (`span`), so that a song of any length is resampled
piecewise with the same result.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch

ZEROS = 64  # zero crossings of the sinc on each side
ROLLOFF = 0.945  # cut-off as a fraction of the lower Nyquist frequency
BETA = 12.0  # Kaiser window; about -118 dB side lobes
DENSE_LIMIT = (
    1 << 23
)  # entries of a dense block filter; beyond (rates with no common factor) each output has its own taps
CHUNK = 1 << 13  # outputs whose taps are gathered at a time


class Resampler:
    """From `rate_in` to `rate_out` Hz for signals `(..., frames)`.

    Blocks of `orig` input samples become blocks of `new` output samples, `orig / new` being the ratio of the rates. A
    block depends on itself and on `width` samples on each side; two matrix products with views of the signal give it.
    """

    def __init__(self, rate_in: int, rate_out: int) -> None:
        divisor = math.gcd(rate_in, rate_out)
        orig, new = rate_in // divisor, rate_out // divisor
        self.identity = orig == new
        crossings = min(orig, new) * ROLLOFF / orig  # per input sample
        self.width = 0 if self.identity else math.ceil(ZEROS / crossings)
        # As many periods to a block as make it no shorter than what it overlaps with the next.
        periods = -(-2 * self.width // orig)
        self._dense = not self.identity and periods * new * (periods * orig + 2 * self.width) <= DENSE_LIMIT
        self.orig, self.new = (orig * periods, new * periods) if self._dense else (orig, new)
        self._crossings = crossings

    def length(self, frames: int) -> int:
        """Output frames for `frames` of input."""
        return -(-frames * self.new // self.orig)

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """The input range `[a, b)` that output `[start, stop)` is computed from; it may reach beyond the signal."""
        if self.identity:
            return start, stop
        first, last = start // self.new, -(-stop // self.new)
        return first * self.orig - self.width, last * self.orig + self.width

    def __call__(self, segment: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Output `(..., stop - start)` from `segment (..., b - a)`, the input at `span(start, stop)`, zeros outside."""
        if self.identity:
            return segment
        first = start // self.new
        if not self._dense:
            filters = _phases(self.orig, self.new, self.width, self._crossings).to(segment)
            return _Gathered.apply(segment, filters, self.orig, first * self.orig - self.width, start, stop)
        table = _block(self.orig, self.new, self.width, self._crossings, segment.device, segment.dtype)
        overlap = 2 * self.width
        count = (segment.shape[-1] - overlap) // self.orig
        blocks = torch.nn.functional.pad(segment, (0, self.orig - overlap)).unflatten(-1, (count + 1, self.orig))
        out = blocks[..., :-1, :] @ table[: self.orig] + blocks[..., 1:, :overlap] @ table[self.orig :]
        return out.flatten(-2)[..., start - first * self.new : stop - first * self.new]


def _filter(offset: torch.Tensor, crossings: float) -> torch.Tensor:
    """h at `offset` input samples from the filter's centre, in double precision."""
    u = (offset * crossings).clamp(-ZEROS, ZEROS)
    window = torch.special.i0(BETA * (1 - (u / ZEROS) ** 2).sqrt()) / torch.special.i0(u.new_tensor(BETA))
    return torch.sinc(u) * window * crossings


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # kept for attacks too, whoever asks first
def _block(orig: int, new: int, width: int, crossings: float, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """What every sample of a block and its surroundings adds to every output of the block: `(orig + 2·width, new)`."""
    taps = torch.arange(-width, width + orig, dtype=torch.float64)[:, None]
    outputs = torch.arange(new, dtype=torch.float64)[None] * (orig / new)
    return _filter(taps - outputs, crossings).to(device, dtype)


@lru_cache(maxsize=2)
@torch.inference_mode(False)
def _phases(orig: int, new: int, width: int, crossings: float) -> torch.Tensor:
    """The taps `−width < k ≤ width` around an output that lies p/new after a sample, for every p: `(new, 2·width)`."""
    taps = torch.arange(-width + 1, width + 1, dtype=torch.float64)
    phases = torch.arange(new, dtype=torch.float64)[:, None] / new
    return torch.cat([_filter(taps - part, crossings).float() for part in phases.split(CHUNK)])


class _Gathered(torch.autograd.Function):
    """Each output from its own taps, a chunk at a time; the adjoint gathers them again instead of keeping them."""

    @staticmethod
    def forward(ctx, segment, filters, orig, origin, start, stop):
        ctx.filters, ctx.shape, ctx.place = filters, segment.shape, (orig, origin, start, stop)
        parts = [(segment[..., index] * taps).sum(-1) for index, taps in _taps(filters, *ctx.place)]
        return torch.cat(parts, -1)

    @staticmethod
    def backward(ctx, slope):
        gradient, done = slope.new_zeros(ctx.shape), 0
        rows = gradient.view(-1, ctx.shape[-1])
        for index, taps in _taps(ctx.filters, *ctx.place):
            part = slope[..., done : done + len(index), None] * taps
            rows.index_add_(1, index.flatten(), part.reshape(len(rows), -1))
            done += len(index)
        return gradient, None, None, None, None, None


def _taps(filters: torch.Tensor, orig: int, origin: int, start: int, stop: int):
    """Chunk by chunk, where in the segment (which begins at sample `origin`) the taps of the outputs lie, and their weights."""
    new, count = filters.shape
    around = torch.arange(-count // 2 + 1, count // 2 + 1)
    for first in range(start, stop, CHUNK):
        position = torch.arange(first, min(first + CHUNK, stop)) * orig
        index = (position // new - origin)[:, None] + around
        yield index.to(filters.device), filters[(position % new).to(filters.device)]
