"""The short-time Fourier transform S, its least-squares inverse A, and the exact adjoint of that.

    (Sx)_t   = F(w · x[t·hop − lead : t·hop − lead + size]),  lead = size − hop, so that every sample lies in size/hop frames
    S*Z      = Σ_t w · F⁻¹(Z_t), overlapped and added
    S*S x    = D·x,  D_n = Σ w² over the frames around sample n
    A Z      = D⁻¹ S*Z,  the signal whose transform is nearest to Z (Griffin & Lim 1984, eq. 6);  A S x = x
    A*g      = S D⁻¹ g

F is the unitary DFT of a real frame. Spectra `(..., frames, size/2 + 1)` hold half the bins, but inner product and norm are
those of the whole spectrum, so ‖Sx‖² = Σ D x² and S A is an orthogonal projection.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from mirguard.errors import UsageError

BLOCK = 1 << 18  # samples of frames transformed at a time: what bounds the memory beside the result


class Stft:
    """Hann window of `size` samples, every `hop` samples; signals are `(rows, n)`, zeros outside."""

    def __init__(self, size: int, hop: int) -> None:
        if hop < 1 or size % 2 or size % hop or size < 2 * hop:
            raise UsageError(
                f"A window is an even number of samples and 2 or more whole hops long; got {size} and a hop of {hop}."
            )
        self.size, self.hop, self.bins, self.lead = size, hop, size // 2 + 1, size - hop
        self.window = torch.hann_window(size)
        self._around = self.window.square().view(-1, hop).sum(0)  # D, which repeats every hop
        self.mean_square = float(self._around.mean())  # of ‖Sx‖² over ‖x‖², for sounds that are not too short

    def frames(self, n: int) -> int:
        """How many frames a signal of n samples has."""
        return (n - 1 + self.lead) // self.hop + 1

    def blocks(self, n: int) -> Iterator[tuple[int, int]]:
        """`[first, last)` of as many frames at a time as bound the memory."""
        count, most = self.frames(n), max(1, BLOCK // self.size)
        for first in range(0, count, most):
            yield first, min(first + most, count)

    def span(self, first: int, last: int, n: int) -> tuple[int, int]:
        """The samples `[begin, end)` of a signal that frames `[first, last)` depend on."""
        begin = first * self.hop - self.lead
        return max(begin, 0), min((last - 1) * self.hop + self.size - self.lead, n)

    def piece(self, signal: torch.Tensor, first: int, last: int, n: int) -> torch.Tensor:
        """Frames `[first, last)` of S, of the samples of their `span`; differentiable."""
        begin, end = self.span(first, last, n)
        start = first * self.hop - self.lead
        stop = start + (last - first - 1) * self.hop + self.size
        padded = torch.nn.functional.pad(signal, (begin - start, stop - end))
        frames = padded.unfold(-1, self.size, self.hop) * self.window.to(signal.device)
        return torch.fft.rfft(frames, norm="ortho")

    def add_piece(self, total: torch.Tensor, spectra: torch.Tensor, first: int) -> None:
        """Overlap-add frames of S* that begin with number `first` into `total (rows, n)`."""
        frames = torch.fft.irfft(spectra, self.size, norm="ortho") * self.window.to(total.device)
        # Frames that are size/hop apart lie side by side: as many shifted additions do.
        every, start = self.size // self.hop, first * self.hop - self.lead
        for k in range(min(every, frames.shape[-2])):
            row = frames[..., k::every, :].flatten(-2)
            begin = start + k * self.hop
            left, right = max(-begin, 0), min(row.shape[-1], total.shape[-1] - begin)
            if right > left:
                total[..., begin + left : begin + right] += row[..., left:right]

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        """S: `(rows, n)` -> `(rows, frames, bins)`."""
        n = signal.shape[-1]
        out = torch.empty(len(signal), self.frames(n), self.bins, dtype=torch.complex64, device=signal.device)
        for first, last in self.blocks(n):
            begin, end = self.span(first, last, n)
            out[:, first:last] = self.piece(signal[:, begin:end], first, last, n)
        return out

    def inverse(self, spectra: torch.Tensor, n: int) -> torch.Tensor:
        """A: `(rows, frames, bins)` -> `(rows, n)`."""
        total = torch.zeros(len(spectra), n, device=spectra.device)
        for first, last in self.blocks(n):
            self.add_piece(total, spectra[:, first:last], first)
        return total.div_(self.around(total))

    def inverse_adjoint(self, gradient: torch.Tensor) -> torch.Tensor:
        """A*: `(rows, n)` -> `(rows, frames, bins)`."""
        return self.forward(gradient / self.around(gradient))

    def norm(self, magnitudes: torch.Tensor) -> torch.Tensor:
        """`(rows,)` of `(rows, frames, bins)`: over the whole spectrum, of which all bins but the outer two are there twice."""
        twice = 2.0 * magnitudes.square().sum((1, 2))
        return (twice - magnitudes[..., 0].square().sum(1) - magnitudes[..., -1].square().sum(1)).clamp_min(0.0).sqrt()

    def around(self, signal: torch.Tensor) -> torch.Tensor:
        """D `(n,)`. The lead is a whole number of hops, so D begins with its period."""
        n = signal.shape[-1]
        return self._around.to(signal.device).repeat(-(-n // self.hop))[:n]
