"""Folders of short labelled sounds that a small model tells apart, as a labelled set made without the rooms above the models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mirguard.clip import Clip, save_clip

RATE = 16_000
PITCHES = {"low": 150.0, "middle": 700.0, "high": 3000.0, "top": 6000.0}


@dataclass(frozen=True)
class Item:
    path: Path
    label: str
    group: str
    split: str = ""
    start: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Dataset:
    labels: tuple[str, ...]
    items: tuple[Item, ...]
    name: str = "tones"
    source: str = "made by a test"
    grouped_by: str = "given"
    skipped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default_factory=tuple)


def tone_of(label: str, number: int, seconds: float) -> np.ndarray:
    """A tone of the class's pitch, a little out of tune, in noise, at some level."""
    rng = np.random.default_rng([sum(map(ord, label)), number])
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = PITCHES[label] * 2 ** rng.uniform(-0.2, 0.2)
    sound = np.sin(2 * np.pi * pitch * time + rng.uniform(0, 6)) + 0.1 * rng.standard_normal(len(time))
    return (rng.uniform(0.05, 0.4) * sound).astype(np.float32)


def make_tones(
    folder: Path,
    *,
    labels: Sequence[str] = ("low", "middle", "high"),
    train: int = 6,
    validation: int = 0,
    test: int = 3,
    seconds: float = 1.0,
) -> Dataset:
    """So many clips of each class in each split, as FLAC files in a folder for each class."""
    items = []
    for label in labels:
        (folder / label).mkdir(parents=True, exist_ok=True)
        splits = ["train"] * train + ["validation"] * validation + ["test"] * test
        for number, split in enumerate(splits):
            path = folder / label / f"{label} {number}.flac"
            save_clip(Clip(tone_of(label, number, seconds), RATE), path)
            items.append(Item(path, label, f"{label} {number}", split))
    return Dataset(tuple(labels), tuple(items))
