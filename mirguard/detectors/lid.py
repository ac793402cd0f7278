"""Local intrinsic dimensionality: how fast do neighbours among clean sounds become more, going outward, in every layer?

Ma et al. 2018 (arXiv:1801.02613, eq. 4): LID(x) = −(1/k Σ_{i≤k} log r_i/r_k)⁻¹, r_i the distance to the i-th nearest of a minibatch
of clean examples, here k = 20 of 100. Around adversarial examples it is high, since they lie off the surface that clean ones lie
on. Logistic regression over the layers tells clean and noisy from adversarial.

- The minibatches are clean windows that are kept with the detector (up to MOST). All of them are asked and log LID is averaged, so
  that a score does not hang on one draw.
- While fitting, no window is a neighbour of another of its own clip, be it clean, noisy or attacked: an attacked window's own
  original would betray it, and no such original is known later.
- The regression is on log LID, whose spread is the same for small and large. Layers are pooled and standardised (`channel_means`).
- Distances know no classes, so a tagger is no different.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch

from mirguard.detectors.channel_means import ChannelMeans, joined
from mirguard.detectors.fitted import About
from mirguard.detectors.learning import adversarial_or_not, balance, folds, learn_linear, require_attacked
from mirguard.detectors.sample import Sample
from mirguard.errors import UsageError
from mirguard.models.contract import Classifier

MOST = 400  # windows that are kept
LEAST = 2  # neighbours: r_k alone says nothing
SMALLEST = 1e-12  # squared distance: of two windows that are the same
BLOCK = 256  # windows whose distances are held at once


class Lid(ChannelMeans):
    """The kept windows are points, standardised, by layer `(batches, batch, width)`; `weight (layers,)` and `bias` judge."""

    name = "lid"

    neighbours: int
    weight: torch.Tensor
    bias: float

    @classmethod
    def fit(cls, clean: Sample, noisy: Sample | None, adversarial: Sample | None, values: Mapping[str, Any]) -> Self:
        made, every = cls(), (clean, noisy, adversarial)
        require_attacked(cls.name, adversarial)
        fold, kind = folds(*every), adversarial_or_not(*every)
        heard = torch.from_numpy(made._look(clean))
        kept = np.random.default_rng(0).permutation(len(clean.windows))[:MOST]
        size = min(values["batch"], len(kept))
        kept = kept[: len(kept) // size * size]
        standard = (heard[kept].double() - made._mean) / made._scale
        made._set_points(standard.half().view(-1, size, standard.shape[1]))
        own = np.array(clean.hashes)[clean.clip_of]
        owners, hashes = own[kept].reshape(-1, size), joined(every, lambda one: np.array(one.hashes)[one.clip_of])
        foreign = torch.from_numpy(hashes[:, None, None] != owners[None])
        made.neighbours = min(round(values["neighbours"] * size / values["batch"]), int(foreign.sum(2).min()))
        if made.neighbours < LEAST:
            raise UsageError(
                f"lid looks for neighbours of a window among other clips and finds under {LEAST} in this reference; use a folder "
                "with more clean clips."
            )
        digests = torch.cat([heard, *(torch.from_numpy(one.digests(made)) for one in every[1:])])
        found = []
        for first in range(0, len(digests), BLOCK):
            clean.pause()
            found.append(made.log_lid(digests[first : first + BLOCK], foreign[first : first + BLOCK]))
        judge = learn_linear(torch.cat(found).numpy(), kind, fold, balance(kind), clean)
        made.weight, made.bias = torch.from_numpy(judge.weight), judge.bias
        return made

    def log_lid(self, digests: torch.Tensor, foreign: torch.Tensor | None = None) -> torch.Tensor:
        """Mean over minibatches of log LID of digests `(m, d)` in every layer -> `(m, layers)`; only points that are `foreign
        (m, batches, batch)` to a window are its neighbours."""
        found = []
        for x, points in zip(self.standardised(digests), self._points, strict=True):
            # By the products of points, so that where two meet the gradient is 0 and not undefined.
            squares = x.square().sum(1)[:, None, None] + points.square().sum(2) - 2.0 * (points @ x.T).permute(2, 0, 1)
            squares = squares.clamp_min(SMALLEST)
            if foreign is not None:
                squares = squares.masked_fill(~foreign, torch.inf)
            nearest = squares.topk(self.neighbours, 2, largest=False).values.log()
            # −Σ log(r_i/r_k), of squares and so halved; 0 where all neighbours are equally far.
            total = 0.5 * (nearest[..., -1:] - nearest).sum(2)
            found.append((math.log(self.neighbours) - total.clamp_min(1e-6).log()).mean(1))
        return torch.stack(found, 1)

    def window_scores(self, digests: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        return (self.log_lid(digests.flatten(0, 1)) @ self.weight + self.bias).view(digests.shape[:2])

    def note(self, label: str) -> str:
        batches, size = self._points[0].shape[:2]
        return f"Neighbours: {self.neighbours} of {size} clean windows, {batches} times over."

    def arrays(self) -> dict[str, np.ndarray]:
        return self._scale_arrays() | {
            "points": torch.cat(self._points, 2).numpy().astype(np.float16),
            "neighbours": np.array([self.neighbours], np.int32),
            "weight": self.weight.numpy(),
            "bias": np.array([self.bias]),
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], about: About, model: Classifier) -> Self:
        made = cls()
        made._restore_scale(arrays, model)
        made._set_points(torch.from_numpy(arrays["points"]))
        made.neighbours, made.bias = int(arrays["neighbours"][0]), float(arrays["bias"][0])
        made.weight = torch.from_numpy(arrays["weight"])
        return made

    def _set_points(self, points: torch.Tensor) -> None:
        self._points = points.double().split(self.widths, 2)
