"""What every way to train is given, and what it gives back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mirguard.errors import UsageError
from mirguard.models.model_file import ModelFile
from mirguard.models.training.hearing import Ear
from mirguard.models.training.progress import Teller

TRAIN, VALIDATION, TEST = "train", "validation", "test"


@dataclass(frozen=True, eq=False)
class Job:
    """What every way to train is given. `labels` number the classes; `items` are those of all splits."""

    name: str
    labels: tuple[str, ...]
    items: tuple[Any, ...]
    values: Mapping[str, Any]
    seed: int
    ear: Ear
    cancel: threading.Event | None
    tell: Teller

    def numbers(self, items: Sequence[Any]) -> np.ndarray:
        return np.array([self.labels.index(item.label) for item in items], np.int64)


@dataclass(frozen=True, eq=False)
class Made:
    """What a way to train gives: the items it could hear, sentences about the others, logits `(n, K)` of the windows of test clips
    and the clip of each (a number into `items`), `save(folder, name, title, note, card)`, and the splits that were learned from."""

    items: tuple[Any, ...]
    skipped: tuple[str, ...]
    logits: np.ndarray
    clip: np.ndarray
    save: Callable[..., ModelFile]
    chosen: Mapping[str, Any]
    learned: tuple[str, ...]
    lineage: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def check_heard(job: Job, items: Sequence[Any], skipped: Sequence[str]) -> None:
    """Whether what could be heard still allows for training; UsageError with the first reason why not."""
    first = f" ({skipped[0].rstrip('.')})" if skipped else ""
    if not items:
        raise UsageError(f"None of the {len(job.items)} clips can be used{first}.")
    if not any(item.split == TEST for item in items):
        raise UsageError(f"None of the test clips can be used{first}.")
    need_every_class(job.labels, items, f"that can be used{first}")


def need_every_class(labels: Sequence[str], items: Sequence[Any], where: str) -> None:
    """UsageError where a class has no clip to learn from; `where` ends the sentence."""
    there = {item.label for item in items if item.split == TRAIN}
    missing = [label for label in labels if label not in there]
    if missing:
        raise UsageError(
            f"There is no training clip of {', '.join(missing[:3])} {where}; add some, or take the class out."
        )
