"""In which order a collection's rows stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mirguard.workbench.collection.label_names import natural
from mirguard.workbench.collection.row import DECISIONS, WAITING, Row

# The orders that are not those of a column.
MISPREDICTED_FIRST, FLAGGED_FIRST, AS_LISTED = ORDERS = ("mispredicted first", "flagged first", "as listed")


@dataclass(frozen=True)
class Order:
    """By one of ORDERS or COLUMNS; `descending` counts for columns only."""

    by: str = AS_LISTED
    descending: bool = False


def in_order(rows: Sequence[Row], order: Order, flagged: Callable[[Row], bool | None]) -> list[Row]:
    """Rows that have nothing to be sorted by come last; `flagged` is whether the detector would have caught a row."""
    if order.by == AS_LISTED:
        return list(rows)
    if order.by == MISPREDICTED_FIRST:
        return sorted(rows, key=_surprise)
    if order.by == FLAGGED_FIRST:
        return sorted(rows, key=lambda row: _detection(row, flagged(row)))
    with_value, without = [], []
    for row in rows:
        value = _value(row, order.by)
        (without if value is None else with_value).append((value, row))
    with_value.sort(key=lambda pair: pair[0], reverse=order.descending)
    return [row for _, row in with_value] + [row for _, row in without]


def _surprise(row: Row) -> tuple:
    """Wrong ones first, the surest of them before the others; then right ones, the least sure first."""
    if row.heard is None:
        return (3 if row.state == WAITING else 4), 0.0, row.number
    if row.right is None:
        return 2, row.heard.confidence, row.number
    return (1, row.heard.confidence, row.number) if row.right else (0, -row.heard.confidence, row.number)


def _detection(row: Row, flagged: bool | None) -> tuple:
    """Flagged ones first, the highest scores before the others; then, without a score, the least sure first."""
    score = row.heard.score if row.heard else None
    if score is not None:
        return (0 if flagged else 1), -score, row.number
    if row.heard is not None:
        return 2, row.heard.confidence, row.number
    return (3 if row.state == WAITING else 4), 0.0, row.number


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
