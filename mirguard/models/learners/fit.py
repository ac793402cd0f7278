"""Fitting learners with scikit-learn and keeping what they learned as plain arrays; scikit-learn is imported when one is fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mirguard.errors import UsageError
from mirguard.models.learners.rules import CurvedSupportVectors, LinearRule, Nearest, Rule, StraightSupportVectors, Tree
from mirguard.models.training.fitting import Scaling, choose_strength, fit_logistic, one_thread
from mirguard.models.training.methods import LOGISTIC, NEAREST, SVM, TREE


def fit_learner(
    learner: str,
    features: np.ndarray,
    labels: np.ndarray,
    clip: np.ndarray,
    groups: Sequence[str],
    *,
    classes: int,
    parameters: Mapping[str, Any],
    seed: int,
    rest: Callable[[], None] | None = None,
) -> tuple[Rule, dict[str, Any]]:
    """The rule that a learner makes of windows `features (n, d)` with `labels (n,)`, and what was chosen on the way.

    At most `parameters["examples"]` windows are learned from, drawn evenly from the clips (`clip (n,)`, whose `groups` keep what
    belongs together apart while a penalty is chosen). Examples are kept in half precision, and are learned from in that.
    """
    some = spread(clip, parameters["examples"], seed)
    features, labels, clip = features[some], labels[some], clip[some]
    scaling = Scaling.of(features)
    scaled = scaling(features)
    arrays = {"mean": scaling.mean, "scale": scaling.scale}
    if learner == LOGISTIC:
        strength = parameters["strength"]
        if strength is None:
            strength = choose_strength(scaled, labels, clip, groups, classes, seed, rest)
        weight, bias = fit_logistic(scaled, labels, classes, strength)
        return LinearRule(arrays | {"weight": weight, "bias": bias}, classes), {"strength": strength}
    make = {SVM: _support_vectors, TREE: _tree, NEAREST: _nearest}[learner]
    return make(arrays, scaled, labels, classes, parameters, seed), {}


def spread(clip: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Which windows to take where only `most` may be: one of each clip, then a second of each, and so on, at random."""
    if len(clip) <= most:
        return np.arange(len(clip))
    order = np.random.default_rng(seed).permutation(len(clip))
    turn, taken = np.empty(len(clip), np.int64), {}
    for window in order.tolist():
        taken[clip[window]] = turn[window] = taken.get(clip[window], -1) + 1
    return np.sort(order[np.argsort(turn[order], kind="stable")][:most])


def _half(scaled: np.ndarray) -> np.ndarray:
    return np.clip(scaled, -6e4, 6e4).astype(np.float16)


def _support_vectors(
    arrays: dict[str, np.ndarray],
    scaled: np.ndarray,
    labels: np.ndarray,
    classes: int,
    given: Mapping[str, Any],
    seed: int,
) -> Rule:
    from sklearn.svm import SVC

    gamma = 1.0 / scaled.shape[1]
    model = SVC(C=given["strength"], kernel=given["kernel"], gamma=gamma, break_ties=True, cache_size=500)
    with one_thread():
        model.fit(_half(scaled).astype(np.float64), labels)
    turn = -1.0 if classes == 2 else 1.0  # scikit-learn turns the sign round where there are two classes alone
    arrays |= {"offset": turn * model.intercept_}
    if given["kernel"] == "linear":
        curved = {"vectors": model.support_vectors_, "count": model.n_support_.astype(np.int64), "gamma": np.ones(1)}
        whole = CurvedSupportVectors(arrays | curved | {"dual": turn * model.dual_coef_}, classes)
        return StraightSupportVectors(arrays | {"normal": whole.weight @ whole.vectors}, classes)
    arrays |= {
        "vectors": model.support_vectors_.astype(np.float16),
        "count": model.n_support_.astype(np.int64),
        "dual": (turn * model.dual_coef_).astype(np.float32),
        "gamma": np.array([gamma]),
    }
    return CurvedSupportVectors(arrays, classes)


def _tree(
    arrays: dict[str, np.ndarray],
    scaled: np.ndarray,
    labels: np.ndarray,
    classes: int,
    given: Mapping[str, Any],
    seed: int,
) -> Rule:
    from sklearn.tree import DecisionTreeClassifier

    model = DecisionTreeClassifier(max_depth=given["depth"], min_samples_leaf=given["leaf"], random_state=seed)
    tree = model.fit(scaled, labels).tree_
    arrays |= {
        "left": tree.children_left.astype(np.int64),
        "right": tree.children_right.astype(np.int64),
        "feature": tree.feature.astype(np.int64),
        "threshold": tree.threshold.astype(np.float64),
        "share": tree.value[:, 0].astype(np.float64),
    }
    return Tree(arrays, classes)


def _nearest(
    arrays: dict[str, np.ndarray],
    scaled: np.ndarray,
    labels: np.ndarray,
    classes: int,
    given: Mapping[str, Any],
    seed: int,
) -> Rule:
    if given["neighbours"] > len(labels):
        raise UsageError(
            f"{given['neighbours']} neighbours (--neighbours) are more than the {len(labels)} windows that were learned from."
        )
    arrays |= {
        "examples": _half(scaled),
        "labels": labels.astype(np.int64),
        "neighbours": np.array([given["neighbours"]], np.int64),
        "by_distance": np.array([given["weights"] == "distance"], np.int64),
    }
    return Nearest(arrays, classes)
