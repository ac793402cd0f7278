"""The rows of a table of clips, what the model and the detector make of them, and the views and figures of them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from mirguard.datasets.labelled import Item
from mirguard.workbench.collection.counts import Counts, count
from mirguard.workbench.collection.decisions import Decisions
from mirguard.workbench.collection.filter import Filter, passes
from mirguard.workbench.collection.label_names import natural, plain
from mirguard.workbench.collection.order import Order, in_order
from mirguard.workbench.collection.row import FAILED, HEARD, WAITING, Heard, Row
from mirguard.workbench.reviews import Record

LABELLED, REVIEW = "labelled", "review"


class Collection:
    """The rows and everything that is asked of them. `labels` are the data's own (none for a review queue); `source` names
    the folder or file they come from, and decisions are kept by it.

    Plain objects without Qt; a collection is changed on one thread only."""

    def __init__(
        self,
        name: str,
        source: str,
        mode: str,
        rows: list[Row],
        labels: tuple[str, ...] = (),
        remarks: tuple[str, ...] = (),
        records: Iterable[Record] = (),
    ) -> None:
        self.name, self.source, self.mode, self.rows, self.labels = name, source, mode, rows, labels
        self.remarks = remarks  # what was left out and what to know, in sentences
        self.threshold: float | None = None
        self.clean_scores: tuple[float, ...] = ()
        self.decisions = Decisions(rows, records, self.flagged)
        self._known: dict[str, str] = {}  # plain label -> the model's own

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
        return cls(name, source, mode, rows, labels, remarks, records)

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
            self.decisions.recognise(row)

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
        passing = self.rows if wanted == Filter() else [row for row in self.rows if passes(row, wanted, self)]
        return [row.number for row in in_order(passing, order, self.flagged)]

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

    def next_undecided(self, view: Sequence[int], after: int) -> int | None:
        """The next row of the view without a decision, from the one below `after` round to it; None if all have one."""
        place = view.index(after) if after in view else -1
        round_trip = (*view[place + 1 :], *view[: place + 1])
        return next((number for number in round_trip if not self.rows[number].decision), None)

    # --- figures ---

    def counts(self) -> Counts:
        return count(self.rows, self.threshold)

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


def below(root: Path | None, path: Path) -> str:
    """The path below a folder, with slashes on every system; all of it where it lies elsewhere."""
    if root is not None and path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return path.as_posix()
