"""Differentiable resampling: a windowed-sinc polyphase filter, one matrix product a block.

Smith, "Digital Audio Resampling" (CCRMA, 2002): y[m] = Σ_k x[k] h(k − m·r_in/r_out), h a Kaiser-windowed sinc cut off
just below the lower Nyquist frequency. Any range of the output can be computed from the range of the input it
depends on (`span`), so that a song of any length is resampled piecewise with the same result.
"""

from __future__ import annotations

import math

import torch

ZEROS = 32  # zero crossings of the sinc on each side
ROLLOFF = 0.94  # cut-off as a fraction of the lower Nyquist frequency
BETA = 12.0  # Kaiser window; about -118 dB side lobes
TABLE_LIMIT = 1 << 22  # entries of the phase table; beyond (coprime rates) filters are computed where they fall


class Resampler:
    """From `rate_in` to `rate_out` Hz for signals `(..., frames)`."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        divisor = math.gcd(rate_in, rate_out)
        self.orig, self.new = rate_in // divisor, rate_out // divisor
        self.identity = self.orig == self.new
        self._cut = min(self.orig, self.new) * ROLLOFF  # zero crossings per `orig` input samples
        self.width = 0 if self.identity else math.ceil(ZEROS * self.orig / self._cut)
        taps = 2 * self.width + self.orig
        self._table: torch.Tensor | None = None
        if not self.identity and self.new * taps <= TABLE_LIMIT:
            phases = torch.arange(self.new, dtype=torch.float64)[:, None] / self.new
            offsets = torch.arange(-self.width, self.width + self.orig, dtype=torch.float64)[None] / self.orig
            self._table = self._filter(offsets - phases).float().T.contiguous()  # (taps, new)

    def _filter(self, t: torch.Tensor) -> torch.Tensor:
        """h at `t`, counted in `orig` input samples from the filter's centre."""
        u = (t * self._cut).clamp(-ZEROS, ZEROS)
        window = torch.special.i0(BETA * (1 - (u / ZEROS) ** 2).clamp_min(0).sqrt()) / torch.special.i0(
            torch.tensor(BETA)
        )
        return torch.sinc(u) * window * (self._cut / self.orig)

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
        if self._table is not None:
            blocks = segment.unfold(-1, self._table.shape[0], self.orig)
            out = (blocks @ self._table.to(segment)).flatten(-2)
            return out[..., start - first * self.new : stop - first * self.new]
        # Coprime rates: gather each output's own taps.
        position = torch.arange(start, stop, dtype=torch.float64) * (self.orig / self.new) - (
            first * self.orig - self.width
        )
        centre = position.floor().long()
        taps = torch.arange(-self.width + 1, self.width + 1)
        filters = self._filter((centre[:, None] + taps - position[:, None]) / self.orig).to(segment)
        index = (centre[:, None] + taps).clamp(0, segment.shape[-1] - 1).to(segment.device)
        return (segment[..., index] * filters).sum(-1)
