"""How learners decide, from plain arrays: linear, support vectors, decision tree, nearest neighbours.

Each rule takes features `(n, d)` in float32 and gives logits `(n, K)` whose largest is the label that scikit-learn's own
`predict` gives. Arrays may come from a stranger's file: `check` raises UsageError for those that fit together in no way, so that
no rule reads outside its arrays or runs for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from mirguard.errors import UsageError

Arrays = Mapping[str, np.ndarray]
_MOST_WEIGHTS = 100_000_000  # of support vectors in pairs of classes
_FLOOR = 1e-6  # added to probabilities before the logarithm


class Rule:
    """Base: standardises, checks what all rules share. `arrays` are those that `NAMES` lists; `classes` is K."""

    NAMES: tuple[str, ...] = ()

    def __init__(self, arrays: Arrays, classes: int) -> None:
        wanted = {"mean", "scale", *self.NAMES}
        if set(arrays) != wanted:
            missing, strange = sorted(wanted - set(arrays)), sorted(set(arrays) - wanted)
            raise UsageError(f"array {missing[0]} is missing" if missing else f"array {strange[0]} belongs nowhere")
        self.arrays, self.classes = dict(arrays), classes
        self.mean, self.scale = (arrays[name].astype(np.float32) for name in ("mean", "scale"))
        self.size = len(self.mean) if self.mean.ndim == 1 else 0
        self._need(self.size > 0 and self.scale.shape == self.mean.shape and bool((self.scale > 0).all()))
        self.check()

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return self.logits((features.astype(np.float32) - self.mean) / self.scale)

    def logits(self, scaled: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def check(self) -> None:
        raise NotImplementedError

    def _need(self, fits: bool) -> None:
        if not fits:
            raise UsageError("its arrays do not fit together")


class LinearRule(Rule):
    """Multinomial logistic regression: logits = scaled · weightᵀ + bias."""

    NAMES = ("weight", "bias")

    def check(self) -> None:
        self.weight, self.bias = (self.arrays[name].astype(np.float64) for name in self.NAMES)
        self._need(self.weight.shape == (self.classes, self.size) and self.bias.shape == (self.classes,))

    def logits(self, scaled: np.ndarray) -> np.ndarray:
        return scaled.astype(np.float64) @ self.weight.T + self.bias


class SupportVectors(Rule):
    """One machine for every two classes; each gives a vote, and the sum of decisions, squeezed into ±1/3, breaks ties
    (scikit-learn's one-versus-rest shape of its one-versus-one decisions, with `break_ties`).

    Straight boundaries: `normal (pairs, d)`. Curved ones, exp(−gamma·|x − s|²): the support vectors `vectors (n, d)` in order
    of class, `count (K,)` of each class, and libsvm's `dual (K − 1, n)`: of a vector of class i, the coefficients against every
    other class. Pairs are (0, 1), (0, 2), …; a decision above 0 is for the first.
    """

    def check(self) -> None:
        self.offset = self.arrays["offset"].astype(np.float64)
        self._need(self.offset.shape == (self.classes * (self.classes - 1) // 2,))
        self.pairs = np.array(list(combinations(range(self.classes), 2)))

    def logits(self, scaled: np.ndarray) -> np.ndarray:
        decisions = self.decisions(scaled.astype(np.float64))
        first, second = self.pairs.T
        votes = np.zeros((len(scaled), self.classes))
        sums = np.zeros((len(scaled), self.classes))
        for number in range(len(self.pairs)):
            for_second = decisions[:, number] < 0
            votes[:, first[number]] += ~for_second
            votes[:, second[number]] += for_second
            sums[:, first[number]] += decisions[:, number]
            sums[:, second[number]] -= decisions[:, number]
        return votes + sums / (3 * (np.abs(sums) + 1))

    def decisions(self, scaled: np.ndarray) -> np.ndarray:
        """`(n, pairs)`."""
        raise NotImplementedError


class StraightSupportVectors(SupportVectors):
    NAMES = ("normal", "offset")

    def check(self) -> None:
        super().check()
        self.normal = self.arrays["normal"].astype(np.float64)
        self._need(self.normal.shape == (len(self.pairs), self.size))

    def decisions(self, scaled: np.ndarray) -> np.ndarray:
        return scaled @ self.normal.T + self.offset


class CurvedSupportVectors(SupportVectors):
    NAMES = ("vectors", "count", "dual", "gamma", "offset")

    def check(self) -> None:
        super().check()
        self.vectors, self.gamma = self.arrays["vectors"].astype(np.float64), self.arrays["gamma"].astype(np.float64)
        count, dual = self.arrays["count"], self.arrays["dual"].astype(np.float64)
        self._need(self.vectors.ndim == 2 and self.vectors.shape[1] == self.size and self.gamma.shape == (1,))
        self._need(count.shape == (self.classes,) and count.dtype.kind == "i" and bool((count >= 0).all()))
        total = len(self.vectors)
        self._need(
            int(count.astype(object).sum()) == total and dual.shape == (self.classes - 1, total) and self.gamma[0] > 0
        )
        self._need(len(self.pairs) * total <= _MOST_WEIGHTS)
        last = np.cumsum(count)
        first = last - count
        self.weight = np.zeros((len(self.pairs), total))
        for number, (i, j) in enumerate(self.pairs):
            own, other = slice(first[i], last[i]), slice(first[j], last[j])
            self.weight[number, own], self.weight[number, other] = dual[j - 1, own], dual[i, other]
        self.norms = np.square(self.vectors).sum(1)

    def decisions(self, scaled: np.ndarray) -> np.ndarray:
        squares = np.square(scaled).sum(1)[:, None] - 2 * scaled @ self.vectors.T + self.norms
        return np.exp(-self.gamma[0] * np.maximum(squares, 0)) @ self.weight.T + self.offset


class Tree(Rule):
    """A decision tree: node n asks whether `feature[n]` is at most `threshold[n]` and goes on to `left[n]` or `right[n]`, which are
    numbers above n; a leaf has −1 there. `share (nodes, K)` are the parts of the training windows of each class."""

    NAMES = ("left", "right", "feature", "threshold", "share")

    def check(self) -> None:
        self.left, self.right, self.feature = (self.arrays[name] for name in self.NAMES[:3])
        self.threshold, self.share = (
            self.arrays["threshold"].astype(np.float64),
            self.arrays["share"].astype(np.float64),
        )
        nodes = len(self.left) if self.left.ndim == 1 else 0
        numbers = (self.left, self.right, self.feature)
        self._need(nodes > 0 and all(a.shape == (nodes,) and a.dtype.kind == "i" for a in numbers))
        self._need(self.threshold.shape == (nodes,) and self.share.shape == (nodes, self.classes))
        inner = self.left >= 0
        own = np.arange(nodes)[inner]
        for child in (self.left, self.right):
            self._need(bool(((child[inner] > own) & (child[inner] < nodes)).all()))
        self._need(bool(((self.feature[inner] >= 0) & (self.feature[inner] < self.size)).all()))
        self._need(bool((self.share >= 0).all() and (self.share.sum(1) > 0).all()))

    def logits(self, scaled: np.ndarray) -> np.ndarray:
        share = self.share[self.leaves(scaled)]
        return np.log(share / share.sum(1, keepdims=True) + _FLOOR)

    def leaves(self, scaled: np.ndarray) -> np.ndarray:
        """The leaf that each row ends in."""
        node, rows = np.zeros(len(scaled), np.int64), np.arange(len(scaled))
        while True:
            inner = self.left[node] >= 0
            if not inner.any():
                return node
            at_most = scaled[rows, np.where(inner, self.feature[node], 0)] <= self.threshold[node]
            node = np.where(inner, np.where(at_most, self.left[node], self.right[node]), node)


class Nearest(Rule):
    """The `neighbours` nearest of `examples (n, d)` (Euclidean) vote for their `labels`, each with 1 or with 1 / distance."""

    NAMES = ("examples", "labels", "neighbours", "by_distance")

    def check(self) -> None:
        self.examples = self.arrays["examples"].astype(np.float64)
        labels, neighbours, by_distance = (self.arrays[name] for name in self.NAMES[1:])
        self._need(self.examples.ndim == 2 and self.examples.shape[1] == self.size)
        self._need(all(array.dtype.kind == "i" for array in (labels, neighbours, by_distance)))
        self._need(labels.shape == (len(self.examples),) and neighbours.shape == by_distance.shape == (1,))
        self._need(1 <= neighbours[0] <= len(labels) and bool(((labels >= 0) & (labels < self.classes)).all()))
        self.labels, self.neighbours, self.by_distance = (
            labels.astype(np.int64),
            int(neighbours[0]),
            bool(by_distance[0]),
        )
        self.norms = np.square(self.examples).sum(1)

    def logits(self, scaled: np.ndarray) -> np.ndarray:
        scaled = scaled.astype(np.float64)
        squares = self.norms - 2 * scaled @ self.examples.T  # less the query's own, which is the same for all
        nearest = np.argpartition(squares, self.neighbours - 1, axis=1)[:, : self.neighbours]
        weights = np.ones(nearest.shape)
        if self.by_distance:
            # From the difference itself: equal sounds are at exactly 0, and then they alone decide.
            distance = np.sqrt(np.square(self.examples[nearest] - scaled[:, None]).sum(-1))
            same = distance == 0
            weights = np.where(same.any(1, keepdims=True), same, 1 / np.where(same, 1, distance))
        share = np.zeros((len(scaled), self.classes))
        np.add.at(share, (np.arange(len(scaled))[:, None], self.labels[nearest]), weights)
        return np.log(share / share.sum(1, keepdims=True) + _FLOOR)
