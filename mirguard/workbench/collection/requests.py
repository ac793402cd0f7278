"""What the dataset browser asks of the lanes: listing a collection, reading one clip, hearing one clip, keeping decisions."""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from mirguard.clip import Clip
from mirguard.datasets.labelled import Item, LabelledSet, load_item
from mirguard.errors import MirguardError, UsageError
from mirguard.workbench.collection.collection import LABELLED, REVIEW, Collection
from mirguard.workbench.collection.row import TOP, Heard
from mirguard.workbench.lanes import Job, Request
from mirguard.workbench.requests import BACKGROUND
from mirguard.workbench.reviews import Record, read_records, review_file, write_records, write_table

# Of the pictures' lane: what a person waits for first, then what is drawn and loaded, then the rows one after another.
ASKED_FOR, BEHIND = 45, 2

_numbers = itertools.count(1)


@dataclass(frozen=True)
class OpenCollection(Request):
    """Look what there is and what was decided on it earlier -> (Collection, a sentence if the decisions could not be
    read); progress is (sentence, fraction or None).

    `mode` is LABELLED or REVIEW, or "" for what the folder looks like; `dataset` one that is listed already."""

    urgency: ClassVar[int] = 10
    path: Path
    mode: str
    dataset: LabelledSet | None = field(default=None, repr=False)

    def perform(self, job: Job) -> tuple[Collection, str]:
        mode, dataset = self.mode, self.dataset
        if mode != REVIEW and dataset is None:
            try:
                dataset = self._labelled(job)
            except MirguardError:
                if mode == LABELLED or not self.path.is_dir():
                    raise
        if dataset is None:
            return self._collection(job, self.path.name, REVIEW, self._unlabelled())
        about = (*dataset.warnings, *dataset.skipped)
        return self._collection(job, dataset.name, LABELLED, dataset.items, dataset.labels, about)

    def _labelled(self, job: Job) -> LabelledSet:
        from mirguard.datasets.folder import labelled_folder

        def progress(sentence: str, fraction: float | None) -> None:
            job.rest()
            job.progress((sentence, fraction))

        return labelled_folder(self.path, progress=progress, cancel=job.cancel)

    def _unlabelled(self) -> tuple[Item, ...]:
        from mirguard.sound_files import unlabelled_folder

        found = unlabelled_folder(self.path)
        if not found:
            raise UsageError(f"There are no sound files in {self.path}; choose a folder with some.")
        return tuple(Item(path, "", "") for path in found)

    def _collection(self, job: Job, name: str, mode: str, items, labels=(), remarks=()) -> tuple[Collection, str]:
        source = str(self.path)
        root = self.path if self.path.is_dir() else self.path.parent
        stats = []
        for number, item in enumerate(items):
            if number % 100 == 0:
                job.rest()
                job.progress((f"Looking at {len(items)} clips …", number / len(items)))
            stats.append(_stat(item.path))
        trouble, records = "", ()
        try:
            records = read_records(review_file(source))
        except MirguardError as error:
            trouble = str(error)
        made = Collection.of(
            name, source, mode, items, root=root, stats=stats, labels=labels, remarks=remarks, records=records
        )
        return made, trouble


def _stat(path: Path) -> tuple[int, int]:
    """Size in bytes and modification time; zeros for a file that is not there, which reading it will say."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return 0, 0
    return found.st_size, found.st_mtime_ns


@dataclass(frozen=True)
class ReadRow(Request):
    """The sound of a row that is to be heard by the model -> (Clip, its hash)."""

    urgency: ClassVar[int] = BEHIND
    number: int
    item: Item

    def perform(self, job: Job) -> tuple[Clip, str]:
        clip = load_item(self.item)
        return clip, clip.hash


@dataclass(frozen=True)
class Audition(Request):
    """The sound of a row that a person wants to hear -> Clip."""

    urgency: ClassVar[int] = ASKED_FOR
    number: int
    item: Item

    def perform(self, job: Job) -> Clip:
        return load_item(self.item)


@dataclass(frozen=True)
class TakeOut(Request):
    """A part of a file as a clip of its own, for the designer -> Clip."""

    urgency: ClassVar[int] = ASKED_FOR
    number: int
    item: Item
    name: str

    @property
    def slot(self) -> Hashable:
        return "TakeOut", self.number

    def perform(self, job: Job) -> Clip:
        clip = load_item(self.item)
        return Clip(clip.samples, clip.sample_rate, None, {**clip.provenance, "name": self.name})


@dataclass(frozen=True)
class HearRow(Request):
    """What model and detector say of one clip, from a single pass -> Heard."""

    urgency: ClassVar[int] = BACKGROUND
    number: int
    clip: Clip = field(repr=False)
    model: str
    sound: str

    def perform(self, job: Job) -> Heard:
        from mirguard.detectors.sample import hear

        model = job.workshop.model(self.model)
        try:
            detector: Any = job.workshop.detector(model)
        except MirguardError:
            detector = None
        if detector is None:
            decision, score = job.workshop.classify(self.model, self.clip, job), None
        else:
            (digest,), decision = hear(model, self.clip, (detector,), job.rest)
            score = detector.score(digest, decision.label)
        return Heard(decision.label, decision.confidence, tuple(decision.top(TOP)), score)


@dataclass(frozen=True)
class KeepDecisions(Request):
    """Write a collection's decisions to the user's data folder."""

    urgency: ClassVar[int] = ASKED_FOR
    source: str
    records: tuple[Record, ...] = field(repr=False)

    @property
    def slot(self) -> Hashable:
        return "KeepDecisions", self.source

    def perform(self, job: Job) -> None:
        write_records(review_file(self.source), self.source, self.records)


@dataclass(frozen=True)
class ExportDecisions(Request):
    """Write decisions as CSV where the person wants them -> how many."""

    urgency: ClassVar[int] = ASKED_FOR
    path: Path
    rows: tuple[dict, ...] = field(repr=False)
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def slot(self) -> Hashable:
        return "ExportDecisions", self.number

    def perform(self, job: Job) -> int:
        write_table(self.path, list(self.rows))
        return len(self.rows)
