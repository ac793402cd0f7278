"""What a check found: a verdict, one sentence on what it means, and the figures behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

PASS, WARN, FAIL, NOT_APPLICABLE = "pass", "warn", "fail", "not applicable"
VERDICTS = (PASS, WARN, FAIL, NOT_APPLICABLE)


@dataclass(frozen=True)
class Table:
    """A small table: names of columns, and rows of texts and numbers as wide as that."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), "rows are as wide as the table"

    def to_json(self) -> dict[str, Any]:
        return {"columns": list(self.columns), "rows": [list(row) for row in self.rows]}


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    return Table(tuple(columns), tuple(tuple(row) for row in rows))


@dataclass(frozen=True)
class Judgement:
    """What one check says: a verdict of VERDICTS, one sentence, the evidence."""

    verdict: str
    sentence: str
    evidence: Table = field(default_factory=Table)


@dataclass(frozen=True)
class Finding:
    """A check's judgement with its number of the catalogue ("SC-01") and its title; `seconds` is what it took by itself."""

    id: str
    title: str
    verdict: str
    sentence: str
    evidence: Table
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "evidence": self.evidence.to_json()}


def not_applicable(why: str) -> Judgement:
    return Judgement(NOT_APPLICABLE, why)


def worst(verdicts: Iterable[str]) -> str:
    """The gravest of some verdicts; pass where there are none."""
    order = (NOT_APPLICABLE, PASS, WARN, FAIL)
    return max(verdicts, key=order.index, default=PASS)
