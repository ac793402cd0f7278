"""Kernel density of the last hidden layer: does this sound lie where clean sounds of its class lie?

Feinman et al. 2017 (arXiv:1703.00410, eq. 1): p̂(f | t) = 1/|X_t| Σ_{x∈X_t} N(f; f_x, σ²I), scored with the predicted
class t. Here a *clip* is scored, by −mean over its windows of log p̂(f_w | t): higher is more anomalous.

- Features are standardised per dimension on the reference. σ is the value of a grid that makes held-out clips most likely.
- Every clean score is leave-one-clip-out: no clip is scored with its own windows in the density.
- A tagger has no classes: one density of all reference windows serves, as it does for a class with under MIN_CLASS clips.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch

from mirguard.detectors.fitted import About, Fitted, standardisation
from mirguard.detectors.sample import Sample
from mirguard.models.contract import Classifier
from mirguard.models.decision import TAGGING

BANDWIDTHS = np.geomspace(0.01, 2.0, 16)  # in units of √d: standardised features lie about √(2d) apart
MIN_CLASS = 5  # clips


class Kde(Fitted):
    """`points (n, d)` are the standardised centres, `clip_of (n,)` their clips and `said (clips,)` how the model hears those."""

    name = "kde"
    leaves_one_out = True

    def __init__(
        self,
        layer: str,
        task: str,
        labels: tuple[str, ...],
        mean: np.ndarray,
        scale: np.ndarray,
        points: np.ndarray,
        clip_of: np.ndarray,
        said: np.ndarray,
        bandwidth: float,
    ) -> None:
        self.layers, self._task, self._labels, self.bandwidth = (layer,), task, labels, bandwidth
        self._mean, self._scale, self._points = (
            torch.from_numpy(mean),
            torch.from_numpy(scale),
            torch.from_numpy(points),
        )
        self._clip_of, self._said = clip_of, said
        self._sizes = np.bincount(said, minlength=len(labels))
        window_class = torch.from_numpy(said[clip_of])
        self._of_class = {
            number: (window_class == number).nonzero()[:, 0] for number in range(len(labels)) if self._has_own(number)
        }

    @classmethod
    def fit(cls, clean: Sample, noisy: Sample | None, adversarial: Sample | None, values: Mapping[str, Any]) -> Self:
        model, layer = clean.model, clean.model.layers[-1]
        # In the precision they are kept in, so that a detector scores the same before and after saving.
        features = clean.activations(layer).reshape(len(clean.windows), -1).astype(np.float16).astype(np.float64)
        return cls.of_features(features, clean.clip_of, clean.said, layer, model.task, model.labels)

    @classmethod
    def of_features(
        cls, features: np.ndarray, clip_of: np.ndarray, said: np.ndarray, layer: str, task: str, labels: tuple[str, ...]
    ) -> Self:
        """Fit on features `(n, d)` of windows, their clips `(n,)` and the class `(clips,)` that each clip is heard as."""
        mean, scale = standardisation(features)
        points = (features - mean) / scale
        made = cls(layer, task, labels, mean, scale, points, clip_of, said, 1.0)
        squares = _squares(made._points, made._points)
        allowed = torch.from_numpy(clip_of[:, None] != clip_of[None])
        for number, own in made._of_class.items():
            others = torch.ones(len(points), dtype=torch.bool)
            others[own] = False
            mine = torch.from_numpy(said[clip_of] == number)
            allowed[mine[:, None] & others[None]] = False
        found = []
        for sigma in BANDWIDTHS * math.sqrt(points.shape[1]):
            densities = _log_density(squares, allowed, sigma, points.shape[1])
            found.append((float(densities.mean()), sigma, densities))
        _likelihood, made.bandwidth, densities = max(found, key=lambda one: one[0])
        clips = torch.from_numpy(clip_of)
        made.clean_scores = tuple(float(-densities[clips == clip].mean()) for clip in range(len(said)))
        return made

    def digest(self, heard: Mapping[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        return heard[self.layers[0]].flatten(1)

    def window_scores(self, digests: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        points = (digests.double() - self._mean) / self._scale
        scores = []
        for row, number in zip(points, classes.tolist(), strict=True):
            against = self._points[self._of_class[number]] if number in self._of_class else self._points
            scores.append(-_log_density(_squares(row, against), None, self.bandwidth, row.shape[1]))
        return torch.stack(scores)

    def _has_own(self, number: int) -> bool:
        """Whether a class has a density of its own."""
        return self._task != TAGGING and bool(self._sizes[number] >= MIN_CLASS)

    def note(self, label: str) -> str:
        number, size = self._labels.index(label), len(self._said)
        if self._task == TAGGING:
            return f"Tags are not exclusive classes: one density of all {size} reference clips serves."
        if not self._has_own(number):
            return (
                f"The reference holds {self._sizes[number]} clips of {label!r}, under {MIN_CLASS}: the density of all {size} clips "
                "serves."
            )
        return f"Density of the {self._sizes[number]} reference clips that the model calls {label!r}."

    def arrays(self) -> dict[str, np.ndarray]:
        features = self._points * self._scale + self._mean
        return {
            "features": features.numpy().astype(np.float16),
            "clip_of": self._clip_of.astype(np.int32),
            "said": self._said.astype(np.int32),
            "bandwidth": np.array([self.bandwidth]),
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], about: About, model: Classifier) -> Self:
        features = arrays["features"].astype(np.float64)
        mean, scale = standardisation(features)
        return cls(
            model.layers[-1],
            about.task,
            about.labels,
            mean,
            scale,
            (features - mean) / scale,
            arrays["clip_of"].astype(np.int64),
            arrays["said"].astype(np.int64),
            float(arrays["bandwidth"][0]),
        )


def _squares(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Squared distances `(m, n)`. By the products of points, so that where two meet the gradient is 0 and not undefined."""
    return (a.square().sum(1)[:, None] + b.square().sum(1)[None] - 2.0 * a @ b.T).clamp_min(0.0)


def _log_density(squares: torch.Tensor, allowed: torch.Tensor | None, sigma: float, dimensions: int) -> torch.Tensor:
    """log of the mean Gaussian over the allowed centres, by row; log-sum-exp keeps far points finite."""
    exponents = -squares / (2.0 * sigma**2)
    count = torch.tensor(squares.shape[1]) if allowed is None else allowed.sum(1)
    if allowed is not None:
        exponents = exponents.masked_fill(~allowed, -torch.inf)
    normal = 0.5 * dimensions * math.log(2.0 * math.pi * sigma**2)
    return torch.logsumexp(exponents, 1) - torch.log(count.double()) - normal
