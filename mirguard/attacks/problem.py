"""What is attacked: the sound, its label or target, the box, the budget, and where δ may be.

The variable is δ `(rows, n)`: for a batch each row is one window at the model's rate; for a track there is one row, the
clip's own mono perturbation at the clip's own rate, added to every channel. A row's windows are what the model hears.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch

from mirguard.attacks.budget import L2
from mirguard.attacks.norms import NORMS
from mirguard.attacks.restriction import FREE, Permitted, Restriction, build
from mirguard.channel.transform import Transform
from mirguard.clip import Clip, rms, step_of
from mirguard.errors import UsageError
from mirguard.models.contract import Classifier
from mirguard.models.tracks import Track, mono_of

Index = torch.Tensor | slice | tuple[int, slice]


@dataclass(frozen=True)
class Piece:
    """One micro-batch: which part of δ it depends on, and how the model's windows come from that part."""

    index: Index
    windows: Callable[[torch.Tensor], torch.Tensor]
    count: int


class Problem:
    """Common to batches and tracks; subclasses say how a model's windows are cut (`pieces`)."""

    rows: int
    size: int
    sample_rate: int
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
        seed: int,
        permitted: Permitted | None,
    ) -> None:
        """`labels`, `targets`, `power` (mean x² over all channels), `epsilon`: `(rows,)`; the box of δ: `(rows, n)`."""
        self.scale = torch.ones_like(epsilon)  # each row's budget over the one that was asked for
        self.labels, self.targets = labels, targets
        self.lower, self.upper = lower, upper
        self.norm, self.epsilon, self.permitted = NORMS[norm], epsilon, permitted
        self._seed = seed
        self._level_db = torch.where(power > 0, 10.0 * torch.log10(power), torch.nan)
        self.rows, self.size = lower.shape
        self.device = lower.device

    @property
    def sound(self) -> torch.Tensor:
        """What δ is added to: `(rows, n)`, of a track its down-mix."""
        raise NotImplementedError

    @cached_property
    def generators(self) -> list[torch.Generator]:
        """One for each row, which depends on the seed and the row's own sound: batch mates and their order change nothing."""
        return [row_seed(self._seed, content) for content in self.contents()]

    def contents(self) -> Iterator[bytes]:
        """What tells each row's sound from others."""
        raise NotImplementedError

    def aims(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Labels and targets of some rows; of all rows without copies of them."""
        if len(rows) == self.rows:
            return self.labels, self.targets
        return self.labels[rows], None if self.targets is None else self.targets[rows]

    def windows(self, model: Classifier) -> int:
        """How many windows of each row a model hears."""
        raise NotImplementedError

    def pieces(
        self, rows: torch.Tensor, model: Classifier, micro_batch: int, transform: Transform | None = None
    ) -> Iterator[Piece]:
        """The windows of `rows` for `model`, as it hears them through `transform`."""
        raise NotImplementedError

    def zeros(self) -> torch.Tensor:
        return torch.zeros(self.rows, self.size, device=self.device)

    def project(self, delta: torch.Tensor) -> torch.Tensor:
        """δ moved (in place) to where it may be, onto the ε-ball of the norm, then into the box.

        The box holds 0, so clamping never leaves the ball. A band-limited δ is made smaller, not clipped, to fit an L∞ ball; only
        at samples near full scale does the box take the last word."""
        if self.permitted is not None:
            delta = self.permitted.limit(delta)
            if not self.permitted.diagonal:
                delta.mul_((self.epsilon / self.norm.size(delta).clamp_min(1e-30)).clamp_max(1.0)[:, None])
        return self.norm.project_(delta, self.epsilon).clamp_(self.lower, self.upper)

    def confine(self, delta: torch.Tensor) -> torch.Tensor:
        """δ moved (in place) to where it may be and into the box, whatever its size."""
        if self.permitted is not None:
            delta = self.permitted.limit(delta)
        return torch.clamp(delta, self.lower, self.upper, out=delta)

    def direction(self, gradient: torch.Tensor) -> torch.Tensor:
        """What of a gradient lies where δ may be."""
        return gradient if self.permitted is None else self.permitted.direction(gradient)

    def steepest(self, gradient: torch.Tensor) -> torch.Tensor:
        """The direction of steepest ascent at unit size; 0 where the gradient is 0."""
        return self.norm.steepest(gradient)

    def descend_(self, delta: torch.Tensor, gradient: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """δ moved (in place) by `length (rows,)` against the direction of steepest ascent."""
        return self.norm.descend_(delta, gradient, length)

    def noise(self) -> torch.Tensor:
        """A random δ of full size: Gaussian at RMS ε for L2, uniform in ±ε for L∞; each row from its own generator."""
        draw = torch.empty(self.rows, self.size)
        for row, generator in zip(draw, self.generators, strict=True):
            self.norm.draw_(row, generator)
        draw = self.direction(draw.to(self.device))
        if self.permitted is not None:  # what the restriction took away makes room for more of the rest
            draw = draw / self.norm.size(draw).clamp_min(1e-12)[:, None]
        return self.project(draw * self.epsilon[:, None])

    def snr_db(self, delta: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """SNR of the rows' δ `(len(rows), n)` in dB; nan for silent rows."""
        return torch.sub(self._level_db[rows], torch.log10(NORMS[L2].size(delta)), alpha=20.0)


class Batch(Problem):
    """Windows `x (rows, window)` at the model's rate, each a problem of its own.

    `scale (rows,)` is each row's ε over the one asked for; steps are taken in the same proportion."""

    def __init__(
        self,
        x: torch.Tensor,
        sample_rate: int,
        labels: torch.Tensor,
        targets: torch.Tensor | None,
        norm: str,
        epsilon: torch.Tensor,
        seed: int,
        scale: torch.Tensor,
        restriction: Restriction = FREE,
    ) -> None:
        self.x, self.sample_rate = x, sample_rate
        permitted = build(restriction, x, sample_rate)
        super().__init__(labels, targets, -1.0 - x, 1.0 - x, x.square().mean(1), norm, epsilon, seed, permitted)
        self.scale = scale

    @property
    def sound(self) -> torch.Tensor:
        return self.x

    def contents(self) -> Iterator[bytes]:
        return (row.cpu().contiguous().numpy().tobytes() for row in self.x)

    def windows(self, model: Classifier) -> int:
        if (model.sample_rate, model.window) != (self.sample_rate, self.size):
            raise UsageError(
                f"{model.name} hears windows of {model.window} samples at {model.sample_rate} Hz, these are of {self.size} at "
                f"{self.sample_rate} Hz; models of different windows are attacked together on a clip, not on a batch."
            )
        return 1

    def pieces(
        self, rows: torch.Tensor, model: Classifier, micro_batch: int, transform: Transform | None = None
    ) -> Iterator[Piece]:
        for first in range(0, len(rows), micro_batch):
            chunk = slice(first, first + micro_batch)
            if len(rows) < self.rows:
                chunk = rows[chunk]  # of all rows a slice is enough, which copies nothing
            x = self.x[chunk]

            def windows(part: torch.Tensor, x: torch.Tensor = x) -> torch.Tensor:
                return x + part if transform is None else transform(x + part, 0)

            yield Piece(chunk, windows, len(x))


class WholeTrack(Problem):
    """One clip at its own rate and length; a model's track decision is what counts."""

    def __init__(
        self,
        clip: Clip,
        label: int,
        target: int | None,
        norm: str,
        epsilon: float,
        seed: int,
        subtype: str,
        restriction: Restriction = FREE,
    ) -> None:
        self.clip, self.sample_rate = clip, clip.sample_rate
        self._tracks: dict[int, Track] = {}
        self._mono: torch.Tensor | None = None
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
            seed,
            build(restriction, self.sound, clip.sample_rate),
        )

    @property
    def sound(self) -> torch.Tensor:
        if self._mono is None:
            self._mono = mono_of(self.clip)
        return self._mono[None]

    def contents(self) -> Iterator[bytes]:
        yield self.clip.hash.encode()

    def track(self, model: Classifier) -> Track:
        """The clip as `model` hears it."""
        if id(model) not in self._tracks:
            self._tracks[id(model)] = Track(self.clip, model, self.sound[0])
        return self._tracks[id(model)]

    def windows(self, model: Classifier) -> int:
        return self.track(model).windows

    def pieces(
        self, rows: torch.Tensor, model: Classifier, micro_batch: int, transform: Transform | None = None
    ) -> Iterator[Piece]:
        track = self.track(model)
        left, right = (0, 0) if transform is None else transform.reach
        for first in range(0, track.windows, micro_batch):
            last = min(first + micro_batch, track.windows)
            a, b = track.span(first, last)
            begin, end = max(a - left, 0), min(b + right, track.frames)

            def windows(
                part: torch.Tensor,
                place: tuple[int, ...] = (a - begin, b - begin, begin, end),
                first: int = first,
                last: int = last,
            ) -> torch.Tensor:
                a, b, begin, end = place
                sound = track.mono[begin:end] + part
                return track.cut(sound if transform is None else transform(sound, begin)[a:b], first, last)

            yield Piece((0, slice(begin, end)), windows, last - first)


def row_seed(seed: int, content: bytes) -> torch.Generator:
    """A generator that depends on the seed and the content alone."""
    digest = hashlib.sha256(f"{seed} ".encode() + content).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))
