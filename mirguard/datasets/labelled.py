"""Sounds with one label each: what a classifier is trained and judged on, wherever it came from.

An item's `group` is what must not be torn apart between training and test: clips of one artist, or of one track, resemble
each other more than they resemble others of their class, and a model that has heard one of them seems better than it is
(Sturm, "The State of the Art Ten Years After a State of the Art", JNMR 2014).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from mirguard.clip import Clip, load_clip
from mirguard.errors import Cancelled, FileError, UsageError

SPLITS = ("train", "validation", "test")

# What long work is given: told in a sentence what is being done and which fraction of it, where known; asked to stop.
Progress = Callable[[str, float | None], None]


class Cancel(Protocol):
    """A threading.Event, or anything like it."""

    def is_set(self) -> bool: ...


@dataclass(frozen=True)
class Item:
    """One sound: a file, or `seconds` of it from `start` (seconds) on; None is from the beginning, and to the end.

    `split` is "" where nobody has said yet; `artist` is "" where it is not known, and may be known although `group` is
    something finer.
    """

    path: Path
    label: str
    group: str
    split: str = ""
    start: float | None = None
    seconds: float | None = None
    artist: str = ""

    @property
    def name(self) -> str:
        return self.path.name


@dataclass(frozen=True)
class LabelledSet:
    """Items in a fixed order, and what a model card says of them.

    `grouped_by` is "artist", "track" or "given"; `split_by` who assigned the items: "given" (whoever labelled them), "made"
    (`splits.split`), "completed" (that, where nobody had), "" while nobody asked. `skipped` has a sentence for each sound
    that is named but not among the items, `warnings` one for each thing that a person should know before trusting a figure.
    """

    name: str
    source: str
    labels: tuple[str, ...]
    items: tuple[Item, ...]
    grouped_by: str = "track"
    skipped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    licence: str = ""
    citation: str = ""
    split_by: str = ""

    def __post_init__(self) -> None:
        if len(set(self.labels)) != len(self.labels):
            raise UsageError(f"The labels of {self.name} are not all different: {', '.join(self.labels)}.")
        strange = next((item for item in self.items if item.label not in self.labels), None)
        if strange:
            raise UsageError(f"{strange.name} has the label {strange.label!r}, which is none of {self.name}'s.")
        strange = next((item for item in self.items if item.split not in ("", *SPLITS)), None)
        if strange:
            raise UsageError(f"{strange.name} is in the split {strange.split!r}; there are {', '.join(SPLITS)}.")

    def of(self, split: str) -> tuple[Item, ...]:
        """The items of "train", "validation", "test", or "" (those not assigned yet)."""
        return tuple(item for item in self.items if item.split == split)

    @property
    def is_split(self) -> bool:
        """Whether every item has been assigned."""
        return all(item.split for item in self.items)

    def groups(self, split: str | None = None) -> frozenset[str]:
        """The groups there are, or those with an item in that split."""
        return frozenset(item.group for item in self.items if split is None or item.split == split)

    def counts(self) -> dict[str, dict[str, int]]:
        """Label -> split -> items; "" counts those not assigned yet."""
        found = Counter((item.label, item.split) for item in self.items)
        return {label: {split: found[label, split] for split in ("", *SPLITS)} for label in self.labels}

    def without_splits(self) -> LabelledSet:
        """The same items, none of them assigned: for another split than the one that was given or made."""
        return replace(self, items=tuple(replace(item, split="") for item in self.items), split_by="")


def load_item(item: Item) -> Clip:
    """The item's sound; FileError says why it cannot be had."""
    return cut(load_clip(item.path), item)


def cut(clip: Clip, item: Item) -> Clip:
    """The item's part of its file's sound: where the file ends before the part does, what there is of it."""
    if item.start is None and item.seconds is None:
        return clip
    first = round((item.start or 0.0) * clip.sample_rate)
    last = clip.frames if item.seconds is None else min(clip.frames, first + round(item.seconds * clip.sample_rate))
    if first >= last:
        raise FileError(
            f"{item.name} is {clip.duration:.1f} s long, so there is nothing of it from {item.start or 0:g} s on."
        )
    return Clip(clip.samples[:, first:last], clip.sample_rate, clip.source, clip.provenance)


def pause(cancel: Cancel | None) -> None:
    """A point of rest: raises Cancelled when somebody has asked to stop."""
    if cancel is not None and cancel.is_set():
        raise Cancelled


def some(names: Iterable[str], most: int = 3) -> str:
    """A list for a sentence: the first few, and how many more."""
    names = list(names)
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
