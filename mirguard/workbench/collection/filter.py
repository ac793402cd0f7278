"""Which of a collection's rows are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mirguard.workbench.collection.row import FAILED, WAITING, Row

if TYPE_CHECKING:
    from mirguard.workbench.collection.collection import Collection

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


def passes(row: Row, wanted: Filter, collection: Collection) -> bool:
    """Whether a row of that collection is shown."""
    if wanted.label and wanted.label != collection.class_of(row):
        return False
    if wanted.split and wanted.split != row.item.split:
        return False
    if wanted.pair and wanted.pair != collection.pair_of(row):
        return False
    if wanted.status != ALL and not _has(row, wanted.status, collection):
        return False
    if wanted.text:
        said = _words(row)
        return all(word in said for word in wanted.text.casefold().split())
    return True


def _has(row: Row, status: str, collection: Collection) -> bool:
    if status in (WRONG, RIGHT):
        return row.right is (status == RIGHT)
    if status == FLAGGED:
        return collection.flagged(row) is True
    if status in (UNDECIDED, DECIDED):
        return bool(row.decision) is (status == DECIDED)
    return row.state == (FAILED if status == UNREAD else WAITING)


def _words(row: Row) -> str:
    item, heard = row.item, row.heard.label if row.heard else ""
    relabelled = row.record.label if row.record else ""
    return "\n".join((row.place, item.label, item.group, item.artist, heard, relabelled, row.note)).casefold()
