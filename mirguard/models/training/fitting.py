"""Linear classifiers on features: multinomial logistic regression whose penalty is chosen across groups of the training clips.

scikit-learn fits; it is imported here only when something is trained (it takes a second or two).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # C, for standardised features
FOLDS = 3
_ENOUGH = 1500  # windows on which C is chosen
_STEPS = 300


@dataclass(frozen=True, eq=False)
class Scaling:
    """Mean and standard deviation of each feature over the training windows; constant features get 1."""

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> Scaling:
        mean, scale = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
        # What varies by rounding alone is no feature: divided by its deviation it would be noise as loud as the others.
        constant = scale <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
        return cls(mean.astype(np.float32), np.where(constant, 1.0, scale).astype(np.float32))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return (features - self.mean) / self.scale


@dataclass(frozen=True, eq=False)
class Linear:
    """logits = features · weightᵀ + bias; `weight (K, d)`, `bias (K,)`, for features as they come. `strength` is C."""

    weight: np.ndarray
    bias: np.ndarray
    strength: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return features @ self.weight.T + self.bias


def group_folds(labels: np.ndarray, groups: Sequence[str], seed: int, folds: int = FOLDS) -> np.ndarray:
    """For each item the fold it is held out in, or −1 for never. Items of one group are held out together, and the groups
    of each class are dealt out evenly; the only group of a class is always learned from."""
    rng = np.random.default_rng(seed)
    first: dict[str, int] = {}
    for label, group in zip(labels.tolist(), groups, strict=True):
        first.setdefault(group, label)
    of_group: dict[str, int] = {}
    for label in sorted(set(first.values())):
        own = sorted(group for group, its in first.items() if its == label)
        for place, number in enumerate(rng.permutation(len(own)).tolist()):
            of_group[own[number]] = place % folds if len(own) > 1 else -1
    return np.array([of_group[group] for group in groups], np.int64)


def fit_linear(
    features: np.ndarray,
    labels: np.ndarray,
    clip: np.ndarray,
    groups: Sequence[str],
    *,
    classes: int,
    strength: float | None,
    seed: int,
    rest: Callable[[], None] | None = None,
) -> Linear:
    """Multinomial logistic regression on windows `features (n, d)` with `labels (n,)`; every class occurs.

    `clip (n,)` numbers the clip of each window and `groups` names each clip's. Where `strength` is None, C is the one with the
    smallest log loss of held-out clips (the mean of their windows' probabilities) over `FOLDS` folds of groups.
    """
    scaling = Scaling.of(features)
    scaled = scaling(features)
    if strength is None:
        strength = choose_strength(scaled, labels, clip, groups, classes, seed, rest)
    weight, bias = fit_logistic(scaled, labels, classes, strength)
    weight = weight / scaling.scale
    return Linear(weight.astype(np.float32), (bias - weight @ scaling.mean).astype(np.float32), strength)


def one_thread():
    """While entered, scikit-learn computes on one thread: its products here are small, and on a busy machine threads that wait for
    each other make them a hundred times slower."""
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    return threadpool_limits(1)


def choose_strength(
    scaled: np.ndarray,
    labels: np.ndarray,
    clip: np.ndarray,
    groups: Sequence[str],
    classes: int,
    seed: int,
    rest: Callable[[], None] | None = None,
) -> float:
    """C with the smallest log loss of held-out clips, over folds of groups, for standardised features of windows."""
    if len(scaled) > _ENOUGH:
        some = np.sort(np.random.default_rng(seed).permutation(len(scaled))[:_ENOUGH])
        scaled, labels, clip = scaled[some], labels[some], clip[some]
    heard, first, clip = np.unique(clip, return_index=True, return_inverse=True)
    fold = group_folds(labels[first], [groups[number] for number in heard.tolist()], seed)
    losses = np.zeros(len(STRENGTHS))
    for held_out in range(FOLDS):
        out = fold[clip] == held_out
        if not out.any() or set(labels[out]) - set(labels[~out]):
            continue
        for number, strength in enumerate(STRENGTHS):
            if rest:
                rest()
            weight, bias = fit_logistic(scaled[~out], labels[~out], classes, strength)
            losses[number] += _clip_loss(scaled[out] @ weight.T + bias, clip[out], labels[first])
    return STRENGTHS[int(losses.argmin())] if losses.any() else 1e-2


def _clip_loss(logits: np.ndarray, clip: np.ndarray, wanted: np.ndarray) -> float:
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    means = np.zeros((len(wanted), p.shape[1]))
    np.add.at(means, clip, p)
    heard, windows = np.unique(clip, return_counts=True)
    return float(-np.log(np.maximum(means[heard, wanted[heard]] / windows, 1e-12)).sum())


def fit_logistic(
    scaled: np.ndarray, labels: np.ndarray, classes: int, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights `(classes, d)` and biases; a class that does not occur gets no chance."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, max_iter=_STEPS, tol=1e-4)
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # after so many steps what is left makes no difference
        model.fit(scaled, labels)
    weight, bias = model.coef_.astype(np.float64), model.intercept_.astype(np.float64)
    if len(model.classes_) == 2:  # scikit-learn keeps one row for two classes: z of the second against the first
        weight, bias = np.concatenate([-weight / 2, weight / 2]), np.concatenate([-bias / 2, bias / 2])
    whole = np.zeros((classes, scaled.shape[1])), np.full(classes, -30.0)
    whole[0][model.classes_], whole[1][model.classes_] = weight, bias
    return whole
