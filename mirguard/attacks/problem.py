"""What is attacked: the sound, its label or target, the box, the budget.

The variable is δ `(rows, n)`: for a batch each row is one window at the model's rate; for a track there is one row, the
clip's own mono perturbation at the clip's own rate, added to every channel. A row's windows are what the model hears.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from mirguard.attacks.budget import L2
from mirguard.clip import Clip, rms, step_of
from mirguard.models.contract import Classifier
from mirguard.models.tracks import Track

Index = torch.Tensor | slice | tuple[int, slice]


@dataclass(frozen=True)
class Piece:
    """One micro-batch: which part of δ it depends on, and how the model's windows come from that part."""

    index: Index
    windows: Callable[[torch.Tensor], torch.Tensor]
    count: int


class Problem:
    """Common to batches and tracks; subclasses say how windows are cut (`pieces`)."""

    rows: int
    size: int
    windows: int  # per row
    device: torch.device

    def __init__(
        self,
        labels: torch.Tensor,
        targets: torch.Tensor | None,
        lower: torch.Tensor,
        upper: torch.Tensor,
        power: torch.Tensor,
        norm: str,
        epsilon: torch.Tensor,
        generators: list[torch.Generator],
    ) -> None:
        """`labels`, `targets`, `power` (mean x² over all channels), `epsilon`: `(rows,)`; the box of δ: `(rows, n)`."""
        self.scale = torch.ones_like(epsilon)  # each row's budget over the one that was asked for
        self.labels, self.targets = labels, targets
        self.lower, self.upper, self.power = lower, upper, power
        self.norm, self.epsilon, self.generators = norm, epsilon, generators
        self.rows, self.size = lower.shape
        self.device = lower.device

    def pieces(self, rows: torch.Tensor, micro_batch: int) -> Iterator[Piece]:
        raise NotImplementedError

    def zeros(self) -> torch.Tensor:
        return torch.zeros(self.rows, self.size, device=self.device)

    def project(self, delta: torch.Tensor) -> torch.Tensor:
        """δ moved (in place) onto the ε-ball of the norm, then into the box. The box holds 0, so clamping never leaves the ball."""
        if self.norm == L2:
            delta.mul_((self.epsilon / _rms(delta).clamp_min(1e-30)).clamp_max(1.0)[:, None])
        else:
            delta.clamp_(-self.epsilon[:, None], self.epsilon[:, None])
        return delta.clamp_(self.lower, self.upper)

    def steepest(self, gradient: torch.Tensor) -> torch.Tensor:
        """The direction of steepest ascent at unit size: sign(g) for L∞, g/RMS(g) for L2; 0 where g is 0.

        Gradients may be as small as float32 goes; they are scaled by their largest entry before being squared."""
        if self.norm != L2:
            return gradient.sign()
        largest = torch.maximum(gradient.amax(1), -gradient.amin(1))
        scaled = gradient / largest.clamp_min(1e-37)[:, None]
        return scaled.div_(_rms(scaled).clamp_min(1e-12)[:, None])

    def noise(self) -> torch.Tensor:
        """A random δ of full size: Gaussian at RMS ε for L2, uniform in ±ε for L∞; each row from its own generator."""
        draw = torch.empty(self.rows, self.size)
        for row, generator in zip(draw, self.generators, strict=True):
            row.normal_(generator=generator) if self.norm == L2 else row.uniform_(-1.0, 1.0, generator=generator)
        draw = draw.to(self.device)
        if self.norm == L2:
            draw.div_(_rms(draw)[:, None])
        return self.project(draw.mul_(self.epsilon[:, None]))

    def snr_db(self, delta: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """SNR of the rows' δ `(len(rows), n)` in dB; nan for silent rows."""
        noise = delta.square().mean(1)
        ratio = 10.0 * torch.log10(self.power[rows] / noise)
        return torch.where(self.power[rows] > 0, ratio, torch.nan)


class Batch(Problem):
    """Windows `x (rows, window)` at the model's rate, each a problem of its own.

    `scale (rows,)` is each row's ε over the one asked for; steps are taken in the same proportion."""

    windows = 1

    def __init__(
        self,
        x: torch.Tensor,
        labels: torch.Tensor,
        targets: torch.Tensor | None,
        norm: str,
        epsilon: torch.Tensor,
        seed: int,
        scale: torch.Tensor,
    ) -> None:
        self.x = x
        seeds = [row_seed(seed, row.cpu().contiguous().numpy().tobytes()) for row in x]
        super().__init__(labels, targets, -1.0 - x, 1.0 - x, x.square().mean(1), norm, epsilon, seeds)
        self.scale = scale

    def pieces(self, rows: torch.Tensor, micro_batch: int) -> Iterator[Piece]:
        for first in range(0, len(rows), micro_batch):
            chunk = slice(first, first + micro_batch)
            if len(rows) < self.rows:
                chunk = rows[chunk]  # of all rows a slice is enough, which copies nothing
            x = self.x[chunk]
            yield Piece(chunk, lambda part, x=x: x + part, len(x))


class WholeTrack(Problem):
    """One clip at its own rate and length; the model's track decision is what counts."""

    def __init__(
        self,
        clip: Clip,
        model: Classifier,
        label: int,
        target: int | None,
        norm: str,
        epsilon: float,
        seed: int,
        subtype: str,
    ) -> None:
        self.track = Track(clip, model)
        self.windows = self.track.windows
        # δ is the same in every channel, so its box is the narrowest of the channels'. The top of an integer format is one
        # step below full scale.
        lower = torch.from_numpy(-1.0 - clip.samples.min(0)).clamp_max_(0.0)[None]
        upper = torch.from_numpy(1.0 - step_of(subtype) - clip.samples.max(0)).float().clamp_min_(0.0)[None]
        super().__init__(
            torch.tensor([label]),
            None if target is None else torch.tensor([target]),
            lower,
            upper,
            torch.tensor([rms(clip.samples) ** 2]),
            norm,
            torch.tensor([epsilon]),
            [row_seed(seed, clip.hash.encode())],
        )

    def pieces(self, rows: torch.Tensor, micro_batch: int) -> Iterator[Piece]:
        track = self.track
        for first in range(0, self.windows, micro_batch):
            last = min(first + micro_batch, self.windows)
            a, b = track.span(first, last)
            yield Piece(
                (0, slice(a, b)),
                lambda part, a=a, b=b, first=first, last=last: track.cut(track.mono[a:b] + part, first, last),
                last - first,
            )


def _rms(x: torch.Tensor) -> torch.Tensor:
    """Root mean square of each row `(rows,)`. Not by `norm`, whose sum in float32 is short by 1e-4 for 4 million samples and by
    2e-3 for 30 million: δ would exceed the budget by as much."""
    return x.square().mean(1).sqrt()


def row_seed(seed: int, content: bytes) -> torch.Generator:
    """A generator that depends on the seed and the row's own sound: batch mates and their order change nothing."""
    digest = hashlib.sha256(f"{seed} ".encode() + content).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))
