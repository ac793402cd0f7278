"""Training, validation and test parts that no group straddles, with every class in them as far as groups allow.

Groups are put one after the other where the classes they hold are missing most, which is iterative stratification
(Sechidis, Tsoumakas, Vlahavas, ECML 2011) with groups in the place of multi-label items. Where groups are few, several
orders are tried and the nearest to the wanted fractions is kept.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace

import numpy as np

from mirguard.datasets.labelled import SPLITS, LabelledSet, some
from mirguard.errors import UsageError

TRAIN, VALIDATION, TEST = range(3)
_TIES = (TEST, VALIDATION, TRAIN)  # who gets a group that is wanted equally
_STEPS = 6_000  # groups placed in all trials together
_TRIALS = 40
_FAR = 0.1  # a part whose share of the items is farther than this from what was asked for is worth a word


def split(dataset: LabelledSet, *, seed: int = 0, test: float = 0.2, validation: float = 0.1) -> LabelledSet:
    """The dataset with `Item.split` filled: about these fractions of each class, no group in two parts.

    Splits that are given are kept (`dataset.without_splits()` forgets them): what is not assigned of a group goes where the
    rest of it is, and a test or validation part that is given gets nothing more. Every class is in training, and in the
    test part where it has at least two groups and these are not all needed elsewhere; a sentence among the warnings says
    where that cannot be. The same seed gives the same parts, in whatever order the items come. UsageError where the
    fractions make no sense or there is nothing to split.
    """
    if not (0 <= test < 1 and 0 <= validation < 1 and test + validation < 1):
        raise UsageError(
            f"Test and validation are fractions of 0 or more with a sum below 1; got {test:g} and {validation:g}."
        )
    if not dataset.items:
        raise UsageError(f"{dataset.name} holds no sounds, so there is nothing to split.")
    if dataset.is_split:
        warnings = _without_repeats(dataset.warnings, _complaints(dataset, None))
        return replace(dataset, warnings=warnings, split_by=dataset.split_by or "given")
    counts, placed = _groups(dataset)
    fractions = np.array([1 - test - validation, validation, test])
    chosen = _place(counts, placed, fractions, seed)
    items = tuple(item if item.split else replace(item, split=SPLITS[chosen[item.group]]) for item in dataset.items)
    begun = any(item.split for item in dataset.items)
    whole = replace(dataset, items=items, split_by="completed" if begun else "made")
    wanted = None if begun else fractions
    return replace(whole, warnings=_without_repeats(dataset.warnings, _complaints(whole, wanted)))


def straddling_groups(dataset: LabelledSet) -> dict[str, tuple[str, ...]]:
    """Groups with items in more than one part, and the parts: only a split that was given can have any."""
    parts = defaultdict(set)
    for item in dataset.items:
        if item.split:
            parts[item.group].add(item.split)
    return {
        group: tuple(split for split in SPLITS if split in found)
        for group, found in sorted(parts.items())
        if len(found) > 1
    }


def _groups(dataset: LabelledSet) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Group -> items of each class, of the groups in order of name; and group -> part where that is given."""
    number = {label: n for n, label in enumerate(sorted(dataset.labels))}
    counts = {group: np.zeros(len(number)) for group in sorted(dataset.groups())}
    given = {group: np.zeros(len(SPLITS)) for group in counts}
    for item in dataset.items:
        counts[item.group][number[item.label]] += 1
        if item.split:
            given[item.group][SPLITS.index(item.split)] += 1
    # A group that a given split tears apart: the rest of it goes where most of it is.
    return counts, {group: int(found.argmax()) for group, found in given.items() if found.any()}


def _place(counts: dict[str, np.ndarray], placed: dict[str, int], fractions: np.ndarray, seed: int) -> dict[str, int]:
    """Group -> part."""
    given = set(placed.values()) - {TRAIN}
    open_parts = [part for part in _TIES if fractions[part] > 0 and part not in given]
    target = _filled(placed, counts, (len(SPLITS), len(next(iter(counts.values())))))  # (parts, classes)
    total = sum(counts.values()) - target[list(given)].sum(axis=0)
    target[open_parts] = np.outer(fractions[open_parts] / fractions[open_parts].sum(), total)
    loose = len(counts) - len(placed)
    best, least = dict(placed), np.inf
    for trial in range(max(1, min(_TRIALS, _STEPS // max(1, loose)))):
        order = sorted((g for g in counts if g not in placed), key=lambda group: _shuffled(group, seed, trial))
        chosen = _greedy(order, counts, dict(placed), target, open_parts)
        _mend(order, counts, chosen, target, open_parts)
        cost = _cost(_filled(chosen, counts, target.shape), target, counts, open_parts)
        if cost < least:
            best, least = chosen, cost
    return best


def _shuffled(group: str, seed: int, trial: int) -> bytes:
    """A sort key that depends on nothing but the group's name and the seed."""
    return hashlib.sha256(f"{seed} {trial} {group}".encode("utf-8", "surrogateescape")).digest()


def _greedy(
    order: list[str], counts: dict[str, np.ndarray], chosen: dict[str, int], target: np.ndarray, parts: list[int]
) -> dict[str, int]:
    """Each group in turn to the part where that lessens the squared distance from the target most."""
    missing = target - _filled(chosen, counts, target.shape)
    for group in order:
        wanted = missing[parts] @ counts[group]
        part = parts[int(wanted.argmax())]
        chosen[group] = part
        missing[part] -= counts[group]
    return chosen


def _mend(
    movable: list[str], counts: dict[str, np.ndarray], chosen: dict[str, int], target: np.ndarray, parts: list[int]
) -> None:
    """Move the cheapest groups so that every class is in training, then in test, as far as there are groups for it."""
    groups_of = _groups_of(counts)
    for part in [part for part in (TRAIN, TEST) if part in parts]:
        for label in range(target.shape[1]):
            filled = _filled(chosen, counts, target.shape)
            if filled[part, label] or groups_of[label] < (1 if part == TRAIN else 2):
                continue
            costs = []
            for group in movable:
                if counts[group][label] and chosen[group] != part:
                    trial = dict(chosen) | {group: part}
                    after = _filled(trial, counts, target.shape)
                    if part == TRAIN or not _lost(filled[TRAIN], after[TRAIN]):
                        costs.append((_cost(after, target, counts, parts), group))
            if costs:
                chosen[min(costs)[1]] = part


def _lost(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether a class went missing."""
    return bool(((before > 0) & (after == 0)).any())


def _filled(chosen: dict[str, int], counts: dict[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    filled = np.zeros(shape)
    for group, part in chosen.items():
        filled[part] += counts[group]
    return filled


def _groups_of(counts: dict[str, np.ndarray]) -> np.ndarray:
    """How many groups hold each class."""
    return sum((count > 0).astype(int) for count in counts.values())


def _cost(filled: np.ndarray, target: np.ndarray, counts: dict[str, np.ndarray], parts: list[int]) -> float:
    """Squared distance from the wanted shares, each class alike; a class absent where it could be weighs more than all."""
    present = target.sum(axis=0) > 0
    share = (filled - target)[:, present] / target.sum(axis=0)[present]
    cost = float(np.square(share).sum())
    groups_of = _groups_of(counts)
    cost += 1e6 * float(((filled[TRAIN] == 0) & present).sum())
    if TEST in parts:
        cost += 1e3 * float(((filled[TEST] == 0) & (groups_of >= 2)).sum())
    return cost


def _complaints(dataset: LabelledSet, wanted: np.ndarray | None) -> list[str]:
    """What is wrong with the parts, in sentences."""
    kind = dataset.grouped_by if dataset.grouped_by in ("artist", "track") else "group"
    counts = dataset.counts()
    found = []
    absent = [label for label, of in counts.items() if not of["train"] and sum(of.values())]
    if absent:
        found.append(f"Nothing of {some(absent)} is in the training part, so a model cannot learn {_it(absent)}.")
    if dataset.of("test"):
        absent = [label for label, of in counts.items() if not of["test"] and sum(of.values())]
        alone = [label for label in absent if len({i.group for i in dataset.items if i.label == label}) == 1]
        if alone:
            found.append(
                f"All clips of {some(alone)} belong to one {kind} each, so the test part holds none: "
                f"how well {_it(alone)} can be told apart stays unknown."
            )
        others = [label for label in absent if label not in alone]
        if others:
            found.append(f"The test part holds nothing of {some(others)}, so the result says nothing of {_it(others)}.")
    torn = straddling_groups(dataset)
    if torn:
        found.append(
            f"The given split has clips of one {kind} in more than one part ({some(torn)}), "
            "so its test figures may be too good."
        )
    if wanted is not None:
        for part, name in enumerate(SPLITS):
            share = len(dataset.of(name)) / len(dataset.items)
            if abs(share - wanted[part]) > _FAR:
                found.append(
                    f"The {name} part holds {share:.0%} of the clips in place of {wanted[part]:.0%}, "
                    f"because clips of one {kind} stay together."
                )
    return found


def _it(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _without_repeats(old: tuple[str, ...], new: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*old, *new)))
