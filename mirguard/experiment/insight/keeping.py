"""The steps of an attack that can be heard again afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mirguard.experiment.outcome import Progress
from mirguard.models.decision import Decision

MOST_KEPT = 64
MANY_HEARD = 1000  # after so many looks only every second one's probabilities are noted, then every fourth's …
BUDGET = 128 << 20  # bytes for all that is kept
LEVELS = 32_767


@dataclass(frozen=True, eq=False)
class Kept:
    """One look of the attack at the model, the first being number 1. δ `(frames,)` is held in 16 bits of its own peak, which is
    finer than any 16-bit export of the sound."""

    look: int
    loss: float
    margin: float
    snr_db: float
    decision: Decision
    codes: np.ndarray
    scale: float

    @property
    def delta(self) -> np.ndarray:
        """δ in float32."""
        return self.codes * np.float32(self.scale)


@dataclass(frozen=True)
class Trail:
    """What was kept of an attack, in order; `heard` are (look, probabilities of all labels). `flip` is the first look that fooled
    the model, `best` the one whose δ is the result; None where there was none."""

    kept: tuple[Kept, ...] = ()
    heard: tuple[tuple[int, tuple[float, ...]], ...] = ()
    flip: int | None = None
    best: int | None = None

    def nearest(self, look: float) -> Kept | None:
        """The kept look closest to that number."""
        return min(self.kept, key=lambda kept: abs(kept.look - look), default=None)


def keep(look: int, progress: Progress, delta: torch.Tensor) -> Kept:
    """That look with a copy of δ."""
    delta = delta.detach()
    scale = float(delta.abs().max()) / LEVELS
    codes = (delta / scale).round_() if scale > 0 else torch.zeros_like(delta)
    return Kept(
        look,
        progress.loss,
        progress.margin,
        progress.snr_db,
        progress.decision,
        codes.to(torch.int16).cpu().numpy(),
        scale,
    )


class Keeper:
    """Keeps every n-th look, n doubling whenever there are more than `most` (fewer for long clips), besides the first look that
    fools the model and the best one."""

    def __init__(self, frames: int, most: int = MOST_KEPT, budget: int = BUDGET) -> None:
        self.most = max(2, min(most, budget // (2 * frames)))
        self.looks, self._stride = 0, 1
        self.heard: list[tuple[int, tuple[float, ...]]] = []
        self._hearing = 1
        self._kept: dict[int, Kept] = {}
        self._flip: Kept | None = None
        self._best: tuple[int, Progress] | None = None

    def __call__(self, progress: Progress) -> None:
        self.looks += 1
        look = self.looks
        if (look - 1) % self._hearing == 0:
            self.heard.append((look, progress.decision.probabilities))
            self._hearing *= 1 if len(self.heard) % MANY_HEARD else 2
        if torch.equal(progress.delta, progress.best):
            self._best = look, progress
        if self._flip is None and progress.margin > 0:
            self._flip = keep(look, progress, progress.delta)
        if (look - 1) % self._stride == 0:
            self._kept[look] = keep(look, progress, progress.delta)
            if len(self._kept) > self.most:
                self._stride *= 2
                self._kept = {look: kept for look, kept in self._kept.items() if (look - 1) % self._stride == 0}

    def trail(self) -> Trail:
        """Everything kept, when the attack is over."""
        found = dict(self._kept)
        if self._flip is not None:
            found[self._flip.look] = self._flip
        if self._best is not None:
            look, progress = self._best
            # `best` is the ledger's own tensor, which by now holds the best of all looks.
            found.setdefault(look, keep(look, progress, progress.best))
        return Trail(
            tuple(found[look] for look in sorted(found)),
            tuple(self.heard),
            None if self._flip is None else self._flip.look,
            None if self._best is None else self._best[0],
        )
