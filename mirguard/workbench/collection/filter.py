"""Which of a collection's rows are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from mirguard.workbench.collection.row import FAILED, WAITING, Row

ALL, WRONG, RIGHT, FLAGGED, UNDECIDED, DECIDED, UNREAD, UNHEARD = STATUSES = (
    *("all", "wrong", "right", "flagged", "undecided", "decided", "unread", "unheard"),
)


@dataclass(frozen=True)
class Filter:
    """Which rows are shown: those that have every word of `text` in them, that label, that split, that status; `pair` is
    (true, heard) from the confusion matrix."""

    text: str = ""
    label: str = ""
    split: str = ""
    status: str = ALL
    pair: tuple[str, str] | None = None


class Judge(Protocol):
    """What only the whole collection can say of a row."""

    def class_of(self, row: Row) -> str: ...

    def pair_of(self, row: Row) -> tuple[str, str] | None: ...

    def flagged(self, row: Row) -> bool | None: ...


def passes(row: Row, wanted: Filter, judge: Judge) -> bool:
    """Whether a row of a collection is shown; `judge` is the collection."""
    if wanted.label and wanted.label != judge.class_of(row):
        return False
    if wanted.split and wanted.split != row.item.split:
        return False
    if wanted.pair and wanted.pair != judge.pair_of(row):
        return False
    if wanted.status != ALL and not _has(row, wanted.status, judge):
        return False
    if wanted.text:
        said = _words(row)
        return all(word in said for word in wanted.text.casefold().split())
    return True


def _has(row: Row, status: str, judge: Judge) -> bool:
    if status in (WRONG, RIGHT):
        return row.right is (status == RIGHT)
    if status == FLAGGED:
        return judge.flagged(row) is True
    if status in (UNDECIDED, DECIDED):
        return bool(row.decision) is (status == DECIDED)
    return row.state == (FAILED if status == UNREAD else WAITING)


def _words(row: Row) -> str:
    item, heard = row.item, row.heard.label if row.heard else ""
    relabelled = row.record.label if row.record else ""
    return "\n".join((row.place, item.label, item.group, item.artist, heard, relabelled, row.note)).casefold()
