"""What a person decided on the rows of a collection, now and earlier."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from mirguard.workbench.collection.row import ACCEPT, DECISIONS, RELABEL, Row
from mirguard.workbench.reviews import Record, now


class Decisions:
    """Gives rows their earlier decisions: at once where the file has not changed, else when its sound is known. Those on
    files that are changed, moved or gone are kept."""

    def __init__(self, rows: Sequence[Row], records: Iterable[Record], flagged: Callable[[Row], bool | None]) -> None:
        """`records` are the decisions kept from earlier; `flagged` is whether the detector would have caught a row."""
        self._rows, self._flagged = rows, flagged
        kept = {record.key: record for record in records}
        for row in rows:
            record = kept.get(row.key)
            if record is not None and (record.size, record.modified) == (row.size, row.modified):
                row.record = kept.pop(row.key)
        self._orphans = kept
        self._by_sound = {record.sound: key for key, record in kept.items() if record.sound}

    def recognise(self, row: Row) -> None:
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
        for row in (self._rows[number] for number in numbers):
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
                flagged=self._flagged(row),
            )

    def undecide(self, numbers: Iterable[int]) -> None:
        """Take decisions back; notes stay."""
        plain_record = Record("")
        fields = ("decision", "label", "at", "model", "heard", "confidence", "score", "flagged")
        for row in (self._rows[number] for number in numbers):
            if row.record is not None:
                self._record(row, **{name: getattr(plain_record, name) for name in fields})

    def annotate(self, number: int, note: str) -> None:
        """A note on a row; "" takes it away."""
        row = self._rows[number]
        if row.note != note:
            self._record(row, note=note)

    def _record(self, row: Row, **changes) -> None:
        record = replace(self._of_row(row, row.record or Record("")), **changes)
        row.record = record if record.decision or record.note else None
        # A decision on a changed file takes the place of the one on the file as it was.
        self._orphans.pop(row.key, None)

    def records(self) -> tuple[Record, ...]:
        """Every decision and note there is, with those on files that are not there now."""
        return (*(row.record for row in self._rows if row.record is not None), *self._orphans.values())
