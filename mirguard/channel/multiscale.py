"""How different two sounds are to short-time spectra of many sizes at once, as a loss."""

from __future__ import annotations

import torch

from mirguard.channel.stft import Stft

SIZES = (2048, 1024, 512, 256, 128, 64)
TINY = 1e-7
LEVEL = 0.05  # about that of the recordings for which Prinz et al. chose theirs


class MultiscaleDistance:
    """Σ over sizes of mean|S − S'| + mean|log(S + 1e-7) − log(S' + 1e-7)| between the magnitudes of sounds x `(rows, n)` and x + δ
    (Prinz et al. 2021; Engel et al. 2020), of Hann windows every quarter of a window.

    Sounds are first brought to the RMS `LEVEL`, at which the weights of an attack mean the same for all and quiet ones are not
    below 1e-7; silence is left as it is."""

    def __init__(self, sound: torch.Tensor) -> None:
        level = sound.square().mean(1, keepdim=True).sqrt()
        self.level = torch.where(level > 0, level / LEVEL, 1.0)
        self.sound = sound / self.level
        self.scales = tuple(Stft(size, size // 4) for size in SIZES)

    def gradient(self, delta: torch.Tensor) -> torch.Tensor:
        """∂/∂δ `(rows, n)` of the distance at δ; 0 at δ = 0. Block by block: memory does not grow by all the sound's spectra.

        Both terms have the sign of S' − S, so ∂/∂S' = sign(S' − S)·(1 + 1/(S' + 1e-7)), along the phase of x + δ."""
        n, total = delta.shape[1], torch.zeros_like(delta)
        moved = self.sound + delta / self.level
        for stft in self.scales:
            # Half a spectrum is summed here, where the adjoint takes the whole; spectra of unit norm times √size are the plain DFT.
            share = delta.new_full((stft.bins,), 0.5)
            share[0] = share[-1] = 1.0
            share *= stft.size**0.5 / (stft.frames(n) * stft.bins)
            part = torch.zeros_like(delta)
            for first, last in stft.blocks(n):
                begin, end = stft.span(first, last, n)
                a, b = (stft.piece(s[:, begin:end], first, last, n) for s in (self.sound, moved))
                before, after = (z.abs() * stft.size**0.5 for z in (a, b))
                slope = (after - before).sign() * (1.0 + 1.0 / (after + TINY)) * share
                stft.add_piece(part, slope * torch.sgn(b), first)
            total += part
        return total / self.level
