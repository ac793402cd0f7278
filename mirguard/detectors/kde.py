"""Kernel density of the last hidden layer: does this sound lie where clean sounds of its class lie?

Feinman et al. 2017 (arXiv:1703.00410, eq. 1): p̂(f | t) = 1/|X_t| Σ_{x∈X_t} N(f; f_x, σ²I), scored with the predicted
class t. Here a *clip* is scored, by −mean over its windows of log p̂(f_w | t): higher is more anomalous.

- Features are standardised per dimension on the reference. σ is the value of a grid that makes held-out clips most likely.
- Every clean score is leave-one-clip-out: no clip is scored with its own windows in the density.
- Thresholds count clips: the smallest one that keeps the false-positive rate by the conformal quantile
  ⌈(n + 1)(1 − α)⌉ of n clean scores, so a rate below 1/(n + 1) is refused.
- A tagger has no classes: one density of all reference windows serves, as it does for a class with under MIN_CLASS clips.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from mirguard.detectors.reading import Reading
from mirguard.detectors.reference import Reference
from mirguard.errors import UsageError
from mirguard.models.decision import TAGGING, Decision

BANDWIDTHS = np.geomspace(0.01, 2.0, 16)  # in units of √d: standardised features lie about √(2d) apart
MIN_CLASS = 5


class Kde:
    """A fitted detector; `layer` names what `read` expects."""

    name = "kde"
    set_level = False

    def __init__(self, reference: Reference) -> None:
        features = reference.features.astype(np.float64)
        clip_of, labels = reference.clip_of_window, np.asarray(reference.labels)
        if reference.size < 2:
            raise UsageError(
                f"A reference of {reference.size} clip is too small for a density; use a folder with more clean clips."
            )
        self.layer, self.task, self._reference = reference.layer, reference.task, reference
        self.layers = (reference.layer,)
        self._mean, deviation = features.mean(0), features.std(0)
        if not (deviation > 1e-12).any():
            raise UsageError(
                "All clips of this reference look the same to the model; use a folder with different sounds."
            )
        # A dimension that never moves on clean sound would turn any movement into infinity: give it the typical spread.
        self._scale = np.where(deviation > 1e-12, deviation, np.median(deviation[deviation > 1e-12]))
        self._points = (features - self._mean) / self._scale
        self._window_class = labels[clip_of]
        self._sizes = {label: int((labels == label).sum()) for label in set(labels.tolist())}
        squares = cdist(self._points, self._points, "sqeuclidean")
        foreign = clip_of[:, None] != clip_of[None]
        per_window = self._fit_bandwidth(squares, foreign)
        self.clean_scores = tuple(float(-per_window[clip_of == clip].mean()) for clip in range(reference.size))

    def _class_mask(self, label: str) -> np.ndarray | None:
        """Which reference windows make up the density for this predicted class; None for all."""
        if self.task == TAGGING or self._sizes.get(label, 0) < MIN_CLASS:
            return None
        return self._window_class == label

    def _fit_bandwidth(self, squares: np.ndarray, foreign: np.ndarray) -> np.ndarray:
        """Choose σ by held-out likelihood; the leave-one-clip-out log densities `(windows,)` at that σ."""
        allowed = foreign.copy()
        for label in self._sizes:
            mask = self._class_mask(label)
            if mask is not None:
                own = self._window_class == label
                allowed[np.ix_(own, ~mask)] = False
        best = None
        for sigma in BANDWIDTHS * math.sqrt(self._points.shape[1]):
            densities = _log_density(squares, allowed, sigma, self._points.shape[1])
            if best is None or densities.mean() > best[1].mean():
                best = (sigma, densities)
        self.bandwidth, densities = best
        return densities

    def digest(self, heard: Mapping[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        """The last hidden layer itself."""
        return heard[self.layer].flatten(1)

    def score(self, features: np.ndarray, label: str) -> float:
        """−mean log p̂ of windows `(windows, d)` given the track's predicted class."""
        points = (np.asarray(features, np.float64) - self._mean) / self._scale
        mask = self._class_mask(label)
        against = self._points if mask is None else self._points[mask]
        squares = cdist(points, against, "sqeuclidean")
        return float(-_log_density(squares, np.ones_like(squares, bool), self.bandwidth, points.shape[1]).mean())

    def threshold(self, fpr: float) -> float:
        """The score above which a clip is flagged so that at most `fpr` of clean clips are."""
        return clip_threshold(self.clean_scores, fpr)

    def read(self, features: np.ndarray, decision: Decision, fpr: float = 0.05) -> Reading:
        """Where a clip with these features `(windows, d)` lies among the clean ones."""
        score, threshold = self.score(features, decision.label), self.threshold(fpr)
        below = float(np.mean(np.asarray(self.clean_scores) < score)) * 100.0
        return Reading(
            self.name,
            score,
            threshold,
            below,
            score > threshold,
            False,
            fpr,
            self.clean_scores,
            self._note(decision.label),
        )

    def _note(self, label: str) -> str:
        size = self._reference.size
        if self.task == TAGGING:
            return f"Tags are not exclusive classes: one density of all {size} reference clips serves."
        if self._class_mask(label) is None:
            found = self._sizes.get(label, 0)
            return f"The reference holds {found} clips of {label!r}, under {MIN_CLASS}: the density of all {size} clips serves."
        return f"Density of the {self._sizes[label]} reference clips that the model calls {label!r}."


def _log_density(squares: np.ndarray, allowed: np.ndarray, sigma: float, dimensions: int) -> np.ndarray:
    """log of the mean Gaussian over the allowed centres, by row; log-sum-exp keeps far points finite."""
    exponents = np.where(allowed, -squares / (2.0 * sigma**2), -np.inf)
    normal = 0.5 * dimensions * math.log(2.0 * math.pi * sigma**2)
    return logsumexp(exponents, axis=1) - np.log(allowed.sum(1)) - normal


def clip_threshold(clean_scores: Sequence[float], fpr: float) -> float:
    """The ⌈(n + 1)(1 − α)⌉-th smallest of n clean scores (split conformal prediction: a new clean clip exceeds it with
    probability at most α). UsageError where n is too small for α."""
    if not 0.0 < fpr < 1.0:
        raise UsageError(f"A false-positive rate lies between 0 and 1; got {fpr:g}.")
    count = len(clean_scores)
    rank = math.ceil((count + 1) * (1.0 - fpr) - 1e-9)
    if rank > count:
        needed = math.ceil(1.0 / fpr - 1e-9) - 1
        raise UsageError(
            f"A false-positive rate of {fpr:.2%} needs at least {needed} clean clips and this reference has {count}; "
            f"choose {1.0 / (count + 1):.2%} or more, or a larger reference."
        )
    return float(np.sort(clean_scores)[rank - 1])
