"""A collection of clips in a table: a dataset to look through, or a queue of unknown sounds for a person to decide on.

Plain objects without Qt. A row is one clip: what the data says it is, what the model hears, what the detector makes of it,
and what the person decided. The collection filters, sorts and counts; it is changed on one thread only.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mirguard.datasets.labelled import Item
from mirguard.models.training.report import wilson
from mirguard.workbench.reviews import Record, now

LABELLED, REVIEW = "labelled", "review"
WAITING, HEARD, FAILED = "waiting", "heard", "failed"
ACCEPT, ADVERSARIAL, UNSURE, RELABEL = DECISIONS = ("accept", "adversarial", "unsure", "relabel")

ALL, WRONG, RIGHT, FLAGGED, UNDECIDED, DECIDED, UNREAD, UNHEARD = STATUSES = (
    *("all", "wrong", "right", "flagged", "undecided", "decided", "unread", "unheard"),
)
# The orders that are not those of a column.
MISPREDICTED_FIRST, FLAGGED_FIRST, AS_LISTED = ORDERS = ("mispredicted first", "flagged first", "as listed")
COLUMNS = ("name", "true", "predicted", "confidence", "score", "split", "decision")
TOP = 3  # labels that are kept of what the model says


@dataclass(frozen=True)
class Heard:
    """What model and detector say of a row: the top label with its confidence, the first few labels, and the detector's
    score (higher is more anomalous; None where there is no detector)."""

    label: str
    confidence: float
    top: tuple[tuple[str, float], ...] = ()
    score: float | None = None


@dataclass(eq=False, slots=True)
class Row:
    """One clip. `right` is None where nobody can say: not heard yet, no true label, or one that the model does not know."""

    number: int
    item: Item
    place: str  # its path below the collection's folder, else all of it
    size: int = 0  # bytes
    modified: int = 0  # nanoseconds, as the file system counts
    state: str = WAITING
    heard: Heard | None = None
    right: bool | None = None
    trouble: str = ""
    sound: str = ""  # the hash of its samples, once they have been read
    record: Record | None = None  # the person's decision and note, if there is either

    @property
    def name(self) -> str:
        item = self.item
        if item.start is None and item.seconds is None:
            return item.name
        first = item.start or 0.0
        last = f"{first + item.seconds:g}" if item.seconds is not None else "end"
        return f"{item.name} [{first:g}–{last} s]"

    @property
    def decision(self) -> str:
        """One of DECISIONS, "" for none."""
        return self.record.decision if self.record else ""

    @property
    def note(self) -> str:
        return self.record.note if self.record else ""

    @property
    def key(self) -> tuple:
        return self.place, self.item.start, self.item.seconds


@dataclass(frozen=True)
class Filter:
    """Which rows are shown: those that have every word of `text` in them, that label, that split, that status; `pair` is
    (true, heard) from the confusion matrix."""

    text: str = ""
    label: str = ""
    split: str = ""
    status: str = ALL
    pair: tuple[str, str] | None = None


@dataclass(frozen=True)
class Order:
    """By one of ORDERS or COLUMNS; `descending` counts for columns only."""

    by: str = AS_LISTED
    descending: bool = False


@dataclass(frozen=True)
class Counts:
    """Figures of a collection. `judged` are the heard rows of which it is known whether they are right."""

    total: int = 0
    heard: int = 0
    failed: int = 0
    judged: int = 0
    right: int = 0
    scored: int = 0
    flagged: int = 0
    decided: int = 0

    @property
    def waiting(self) -> int:
        return self.total - self.heard - self.failed

    @property
    def accuracy(self) -> float | None:
        return self.right / self.judged if self.judged else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of the accuracy. It takes clips as independent of each other."""
        return wilson(self.right, self.judged) if self.judged else None


def plain(label: str) -> str:
    """A label as it is compared: "Hip-Hop", "hip_hop" and "hiphop" are one."""
    return "".join(letter for letter in label.casefold() if letter.isalnum()) or label


def natural(name: str) -> tuple:
    """For sorting names so that "clip 2" comes before "clip 10"."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name.casefold()))


@dataclass(eq=False)
class Collection:
    """The rows and everything that is asked of them. `labels` are the data's own (none for a review queue); `source` names
    the folder or file they come from, and decisions are kept by it."""

    name: str
    source: str
    mode: str
    rows: list[Row]
    labels: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()  # what was left out and what to know, in sentences
    threshold: float | None = None
    clean_scores: tuple[float, ...] = ()
    _known: dict[str, str] = field(default_factory=dict)  # plain label -> the model's own
    _orphans: dict[tuple, Record] = field(default_factory=dict)  # kept for files that are changed, moved or gone
    _by_sound: dict[str, tuple] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        name: str,
        source: str,
        mode: str,
        items: Sequence[Item],
        *,
        root: Path | None = None,
        stats: Sequence[tuple[int, int]] = (),
        labels: tuple[str, ...] = (),
        remarks: tuple[str, ...] = (),
        records: Iterable[Record] = (),
    ) -> Collection:
        """From items and their (size, modification time); `records` are the decisions kept from earlier."""
        sizes = stats or [(0, 0)] * len(items)
        rows = [
            Row(number, item, below(root, item.path), size, modified)
            for number, (item, (size, modified)) in enumerate(zip(items, sizes, strict=True))
        ]
        made = cls(name, source, mode, rows, labels, remarks)
        made._adopt(records)
        return made

    # --- decisions ---

    def _adopt(self, records: Iterable[Record]) -> None:
        """Give rows their earlier decisions: at once where the file has not changed, else when its sound is known."""
        kept = {record.key: record for record in records}
        for row in self.rows:
            record = kept.get(row.key)
            if record is not None and (record.size, record.modified) == (row.size, row.modified):
                row.record = kept.pop(row.key)
        self._orphans = kept
        self._by_sound = {record.sound: key for key, record in kept.items() if record.sound}

    def _recognise(self, row: Row) -> None:
        """A row whose sound is known now: a file that was touched, renamed or moved has the decision of its sound."""
        if row.record is None:
            key = self._by_sound.pop(row.sound, None)
            if key is not None and key in self._orphans:
                row.record = self._of_row(row, self._orphans.pop(key))
        elif row.record.sound != row.sound:
            row.record = replace(row.record, sound=row.sound)

    @staticmethod
    def _of_row(row: Row, record: Record) -> Record:
        return replace(
            record,
            place=row.place,
            start=row.item.start,
            seconds=row.item.seconds,
            size=row.size,
            modified=row.modified,
            sound=row.sound or record.sound,
        )

    def decide(self, numbers: Iterable[int], decision: str, label: str = "", model: str = "") -> None:
        """The person's decision on rows. Accepting takes the true label, in a review queue the one that was heard;
        `label` is what a relabelled clip is instead. Raises ValueError for an unknown decision."""
        if decision not in DECISIONS or (decision == RELABEL) != bool(label):
            raise ValueError(f"{decision!r} with label {label!r} is no decision")
        for row in (self.rows[number] for number in numbers):
            heard = row.heard
            accepted = row.item.label or (heard.label if heard else "")
            self._record(
                row,
                decision=decision,
                label=label or (accepted if decision == ACCEPT else ""),
                at=now(),
                model=model if heard else "",
                heard=heard.label if heard else "",
                confidence=heard.confidence if heard else None,
                score=heard.score if heard else None,
                flagged=self.flagged(row),
            )

    def undecide(self, numbers: Iterable[int]) -> None:
        """Take decisions back; notes stay."""
        plain_record = Record("")
        fields = ("decision", "label", "at", "model", "heard", "confidence", "score", "flagged")
        for row in (self.rows[number] for number in numbers):
            if row.record is not None:
                self._record(row, **{name: getattr(plain_record, name) for name in fields})

    def annotate(self, number: int, note: str) -> None:
        """A note on a row; "" takes it away."""
        row = self.rows[number]
        if row.note != note:
            self._record(row, note=note)

    def _record(self, row: Row, **changes) -> None:
        record = replace(self._of_row(row, row.record or Record("")), **changes)
        row.record = record if record.decision or record.note else None
        # A decision on a changed file takes the place of the one on the file as it was.
        self._orphans.pop(row.key, None)

    def records(self) -> tuple[Record, ...]:
        """Every decision and note there is, with those on files that are not there now."""
        return (*(row.record for row in self.rows if row.record is not None), *self._orphans.values())

    # --- what is heard ---

    def forget_heard(self, labels: Sequence[str] = ()) -> None:
        """Another model, with these labels: nothing has been heard yet. Files that cannot be read are tried again."""
        self._known = {plain(label): label for label in labels}
        for row in self.rows:
            row.state, row.heard, row.right, row.trouble = WAITING, None, None, ""

    def set_heard(self, number: int, heard: Heard, sound: str = "") -> None:
        row = self.rows[number]
        row.state, row.heard, row.trouble, row.sound = HEARD, heard, "", sound or row.sound
        known = self.known(row.item.label)
        row.right = None if known is None else known == heard.label
        if row.sound:
            self._recognise(row)

    def set_failed(self, number: int, sentence: str) -> None:
        row = self.rows[number]
        row.state, row.heard, row.right, row.trouble = FAILED, None, None, sentence

    def set_reference(self, threshold: float | None, clean_scores: tuple[float, ...]) -> None:
        """What a score is held against; None for no threshold."""
        self.threshold, self.clean_scores = threshold, clean_scores

    def known(self, label: str) -> str | None:
        """The model's own word for a label of the data; None where it knows none."""
        return self._known.get(plain(label)) if label else None

    @property
    def comparable(self) -> bool:
        """Whether any label of the data is among the model's."""
        return any(self.known(label) is not None for label in self.labels)

    def flagged(self, row: Row) -> bool | None:
        """Whether the detector would have caught it; None where that cannot be said."""
        if row.heard is None or row.heard.score is None or self.threshold is None:
            return None
        return row.heard.score > self.threshold

    def percentile(self, score: float) -> float | None:
        """The share of clean clips with a lower score, in per cent."""
        if not self.clean_scores:
            return None
        return 100.0 * sum(clean < score for clean in self.clean_scores) / len(self.clean_scores)

    # --- views ---

    def view(self, wanted: Filter, order: Order) -> list[int]:
        """Numbers of the rows that pass the filter, in order. Rows that have nothing to be sorted by come last."""
        passing = self.rows if wanted == Filter() else [row for row in self.rows if self.passes(row, wanted)]
        return [row.number for row in self._sorted(passing, order)]

    def passes(self, row: Row, wanted: Filter) -> bool:
        if wanted.label and wanted.label != self.class_of(row):
            return False
        if wanted.split and wanted.split != row.item.split:
            return False
        if wanted.pair and wanted.pair != self.pair_of(row):
            return False
        if wanted.status != ALL and not self._has(row, wanted.status):
            return False
        if wanted.text:
            said = self._words(row)
            return all(word in said for word in wanted.text.casefold().split())
        return True

    def class_of(self, row: Row) -> str:
        """What the filter by class goes by: the data's label, in a review queue the model's."""
        if self.mode == LABELLED:
            return row.item.label
        return row.heard.label if row.heard else ""

    def classes(self) -> tuple[str, ...]:
        """The classes that there are to filter by."""
        if self.mode == LABELLED:
            return self.labels
        return tuple(sorted({row.heard.label for row in self.rows if row.heard}, key=natural))

    def splits(self) -> tuple[str, ...]:
        found = {row.item.split for row in self.rows if row.item.split}
        return tuple(name for name in ("train", "validation", "test") if name in found)

    def _has(self, row: Row, status: str) -> bool:
        if status in (WRONG, RIGHT):
            return row.right is (status == RIGHT)
        if status == FLAGGED:
            return self.flagged(row) is True
        if status in (UNDECIDED, DECIDED):
            return bool(row.decision) is (status == DECIDED)
        return row.state == (FAILED if status == UNREAD else WAITING)

    @staticmethod
    def _words(row: Row) -> str:
        item, heard = row.item, row.heard.label if row.heard else ""
        relabelled = row.record.label if row.record else ""
        return "\n".join((row.place, item.label, item.group, item.artist, heard, relabelled, row.note)).casefold()

    def _sorted(self, rows: list[Row], order: Order) -> list[Row]:
        if order.by == AS_LISTED:
            return list(rows)
        if order.by == MISPREDICTED_FIRST:
            return sorted(rows, key=_by_surprise)
        if order.by == FLAGGED_FIRST:
            return sorted(rows, key=self._by_score)
        with_value, without = [], []
        for row in rows:
            value = _value(row, order.by)
            (without if value is None else with_value).append((value, row))
        with_value.sort(key=lambda pair: pair[0], reverse=order.descending)
        return [row for _, row in with_value] + [row for _, row in without]

    def _by_score(self, row: Row) -> tuple:
        score = row.heard.score if row.heard else None
        if score is not None:
            return (0 if self.flagged(row) else 1), -score, row.number
        if row.heard is not None:
            return 2, row.heard.confidence, row.number
        return (3 if row.state == WAITING else 4), 0.0, row.number

    def next_undecided(self, view: Sequence[int], after: int) -> int | None:
        """The next row of the view without a decision, from the one below `after` round to it; None if all have one."""
        place = view.index(after) if after in view else -1
        round_trip = (*view[place + 1 :], *view[: place + 1])
        return next((number for number in round_trip if not self.rows[number].decision), None)

    # --- figures ---

    def counts(self) -> Counts:
        heard = failed = judged = right = decided = 0
        scores, limit = [], self.threshold
        for row in self.rows:  # asked for several times a second, so there are no calls in it
            if row.record is not None and row.record.decision:
                decided += 1
            if row.heard is None:
                failed += row.state == FAILED
                continue
            heard += 1
            scores.append(row.heard.score)
            if row.right is not None:
                judged += 1
                right += row.right
        scores = [score for score in scores if score is not None]
        scored, flagged = len(scores), 0 if limit is None else sum(score > limit for score in scores)
        return Counts(len(self.rows), heard, failed, judged, right, scored, flagged, decided)

    def pair_of(self, row: Row) -> tuple[str, str] | None:
        """Where a row counts in the confusion matrix: (true, heard) in the model's words; None where nowhere."""
        known = None if row.heard is None else self.known(row.item.label)
        return None if known is None else (known, row.heard.label)

    def confusion(self) -> tuple[tuple[str, ...], list[list[int]]]:
        """Labels, and counts with rows true and columns heard: the labels of the data that the model knows, then those
        that were heard besides."""
        found = Counter(pair for row in self.rows if (pair := self.pair_of(row)) is not None)
        names = list(dict.fromkeys(known for label in self.labels if (known := self.known(label)) is not None))
        names += sorted({heard for _, heard in found} - set(names), key=natural)
        return tuple(names), [[found[true, heard] for heard in names] for true in names]

    def table(self, folder: Path) -> list[dict[str, object]]:
        """The person's decisions and notes for a CSV file in that folder, one mapping a row, in the order listed.

        Files below the folder are named from there, as labelled data wants them, so that what was accepted and relabelled
        can be trained on."""
        listed = []
        for row in self.rows:
            record = row.record
            if record is None:
                continue
            listed.append(
                {
                    "file": _from(folder, row.item.path),
                    "label": record.label,
                    "decision": record.decision,
                    "note": record.note,
                    "start": _blank(row.item.start),
                    "seconds": _blank(row.item.seconds),
                    "true_label": row.item.label,
                    "heard": record.heard,
                    "confidence": _blank(record.confidence),
                    "detector_score": _blank(record.score),
                    "flagged": "" if record.flagged is None else ("yes" if record.flagged else "no"),
                    "model": record.model,
                    "decided_at": record.at,
                    "sha256_of_samples": record.sound,
                }
            )
        return listed


def _by_surprise(row: Row) -> tuple:
    """Wrong ones first, the surest of them before the others; then right ones, the least sure first."""
    if row.heard is None:
        return (3 if row.state == WAITING else 4), 0.0, row.number
    if row.right is None:
        return 2, row.heard.confidence, row.number
    return (1, row.heard.confidence, row.number) if row.right else (0, -row.heard.confidence, row.number)


def _value(row: Row, column: str):
    """What a column is sorted by; None for nothing."""
    heard = row.heard
    if column == "name":
        return natural(row.name)
    if column == "true":
        return natural(row.item.label) if row.item.label else None
    if column == "predicted":
        return natural(heard.label) if heard else None
    if column == "confidence":
        return heard.confidence if heard else None
    if column == "score":
        return heard.score if heard else None
    if column == "split":
        return row.item.split or None
    return DECISIONS.index(row.decision) if row.decision else None


def _blank(value: float | None) -> float | str:
    return "" if value is None else value


def _from(folder: Path, path: Path) -> str:
    """The path from a folder on where it lies below it; else all of it."""
    full = os.path.abspath(path)
    relative = os.path.relpath(full, folder) if os.path.splitdrive(full)[0] == os.path.splitdrive(folder)[0] else full
    return full if relative.startswith(os.pardir) else relative.replace(os.sep, "/")


def below(root: Path | None, path: Path) -> str:
    """The path below a folder, with slashes on every system; all of it where it lies elsewhere."""
    if root is not None and path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return path.as_posix()
