"""The dataset browser: a collection is opened, its clips are heard one after another, a person listens and decides."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from mirguard.datasets.labelled import LabelledSet
from mirguard.errors import MirguardError
from mirguard.workbench.bench import NOTE, WARNING, Bench
from mirguard.workbench.collection.collection import LABELLED, Collection
from mirguard.workbench.collection.decision_table import decision_table
from mirguard.workbench.collection.label_names import plain
from mirguard.workbench.collection.requests import (
    Audition,
    ExportDecisions,
    KeepDecisions,
    OpenCollection,
    TakeOut,
)
from mirguard.workbench.control.listening import Listening
from mirguard.workbench.control.loading import Loading
from mirguard.workbench.control.row_hearing import RowHearing
from mirguard.workbench.lanes import Answer
from mirguard.workbench.reviews import Record, review_file, write_records

log = logging.getLogger(__name__)
MOST_SENT = 20  # clips sent to the designer at a time


class Browsing(QObject):
    """Keeps one collection, what a person decides on it, and the row that is being played; `hearing` is the model's part."""

    opening = Signal(str, object)  # a sentence ("" when over), and the fraction done or None
    leaving = Signal()  # the collection is about to be put away
    opened = Signal()  # another collection, or none
    auditioning = Signal()  # another row is being played, or none
    sent = Signal()  # clips have gone to the designer

    def __init__(self, bench: Bench, loading: Loading, listening: Listening, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench, self._loading, self._listening = bench, loading, listening
        self.hearing = RowHearing(bench, self)
        self.hearing.recognised.connect(self._keep)
        self.collection: Collection | None = None
        self.heard_row: int | None = None  # the row being played
        self._unsaved: dict[str, tuple[Record, ...]] = {}  # by source: decisions on their way to the disk
        bench.on(OpenCollection, self._opened, self._opening, self._not_opened, self._not_opened)
        bench.on(Audition, self._play, failed=self._audition_failed)
        bench.on(TakeOut, self._taken_out)
        bench.on(KeepDecisions, self._kept)
        bench.on(ExportDecisions, self._exported)
        listening.changed.connect(self._listening_changed)

    # --- opening and closing ---

    def open(self, path: str | Path, mode: str = "") -> None:
        """Open a folder or CSV: LABELLED, REVIEW, or as it looks ("")."""
        self._ask(OpenCollection(Path(path).expanduser().resolve(), mode))

    def show(self, dataset: LabelledSet) -> None:
        """Open labelled data that is listed already."""
        self._ask(OpenCollection(Path(dataset.source), LABELLED, dataset))

    def _ask(self, request: OpenCollection) -> None:
        self.opening.emit("Looking through the folder …", None)
        self._bench.pictures.ask(request)

    def _opening(self, answer: Answer) -> None:
        self.opening.emit(*answer.value)

    def _not_opened(self, answer: Answer) -> None:
        self.opening.emit("", None)
        if answer.state == "failed":
            self._bench.say_failure(answer)

    def _opened(self, answer: Answer) -> None:
        self.opening.emit("", None)
        collection, trouble = answer.value
        self._take(collection)
        if trouble:
            self._bench.say(trouble, WARNING)
        if collection.remarks:
            more = len(collection.remarks) - 3
            others = (
                f" {more} more such remark{'' if more == 1 else 's'} in the tool tip of its name." if more > 0 else ""
            )
            self._bench.say(f"{collection.name}: {' '.join(collection.remarks[:3])}{others}", WARNING)

    def close(self) -> None:
        """Put the collection away."""
        self._take(None)

    def _take(self, collection: Collection | None) -> None:
        if self.collection is not None:
            self.leaving.emit()
        self.hearing.put(collection)
        self.end_audition()
        self.collection = collection
        self.opened.emit()
        self.hearing.restart()

    def cancel(self) -> bool:
        """Stop listing or hearing; True if there was anything to stop."""
        return self._bench.pictures.cancel("OpenCollection") or self.hearing.cancel()

    def look_at(self, number: int) -> None:
        """A person looks at that row: it is heard next by the model, and by the person too while another one plays."""
        if self.playing and number != self.heard_row:
            self.audition(number)
        self.hearing.put_first(number)

    # --- listening and sending ---

    def audition(self, number: int) -> None:
        """Play a row without taking it into the designer."""
        self._bench.pictures.ask(Audition(number, self.collection.rows[number].item))

    def toggle_audition(self, number: int) -> None:
        """Play a row; the one that plays is paused, and goes on when asked again."""
        if self.heard_row == number:
            self._listening.toggle()
        else:
            self.audition(number)

    @property
    def playing(self) -> bool:
        """Whether a row is being played just now."""
        return self.heard_row is not None and self._listening.player.playing

    def end_audition(self) -> None:
        self._bench.pictures.forget("Audition")
        self._listening.end_audition()

    def _play(self, answer: Answer) -> None:
        self.heard_row = answer.request.number
        self._listening.audition(answer.value)
        self.auditioning.emit()

    def _audition_failed(self, answer: Answer) -> None:
        self.end_audition()
        self._bench.say_failure(answer)

    def _listening_changed(self) -> None:
        if not self._listening.auditioning:
            self.heard_row = None
        self.auditioning.emit()

    def send(self, numbers: Iterable[int]) -> None:
        """Load rows as clips into the designer; the first is shown."""
        rows = [self.collection.rows[number] for number in numbers]
        if len(rows) > MOST_SENT:
            self._bench.say(f"Of the {len(rows)} clips chosen, the first {MOST_SENT} are sent.", WARNING)
        rows = rows[:MOST_SENT]
        whole = [row.item.path for row in rows if row.item.start is None and row.item.seconds is None]
        if whole:
            self._loading.open(whole)
        for row in rows:
            if row.item.path not in whole:
                self._bench.pictures.ask(TakeOut(row.number, row.item, row.name))
        if rows:
            self.sent.emit()

    def _taken_out(self, answer: Answer) -> None:
        entry = self._bench.document.add(answer.value)
        self._bench.document.choose(entry.key)

    # --- decisions ---

    def decide(self, numbers: Iterable[int], decision: str, label: str = "") -> None:
        """What the person makes of rows; kept at once."""
        numbers = tuple(numbers)
        model = self._bench.document.model
        self.collection.decisions.decide(numbers, decision, label, "" if model is None else model.name)
        self._decided(numbers)

    def undecide(self, numbers: Iterable[int]) -> None:
        numbers = tuple(numbers)
        self.collection.decisions.undecide(numbers)
        self._decided(numbers)

    def annotate(self, number: int, note: str) -> None:
        if self.collection.rows[number].note != note:
            self.collection.decisions.annotate(number, note)
            self._decided((number,))

    def _decided(self, numbers: tuple[int, ...]) -> None:
        self._keep()
        self.hearing.tell(numbers)

    def _keep(self) -> None:
        request = KeepDecisions(self.collection.source, self.collection.decisions.records())
        self._unsaved[request.source] = request.records
        self._bench.pictures.ask(request)

    def _kept(self, answer: Answer) -> None:
        self._unsaved.pop(answer.request.source, None)

    def finish(self) -> None:
        """When the lanes have ended: decisions that were still waiting to be written are written now."""
        for source, records in self._unsaved.items():
            try:
                write_records(review_file(source), source, records)
            except MirguardError as error:
                log.error("%s", error)
        self._unsaved.clear()

    def export(self, path: str | Path) -> None:
        """Write the decisions as CSV."""
        path = Path(path)
        self._bench.pictures.ask(
            ExportDecisions(path, tuple(decision_table(self.collection.rows, path.parent.absolute())))
        )

    def _exported(self, answer: Answer) -> None:
        count = answer.value
        self._bench.say(f"{count} decision{'' if count == 1 else 's'} written to {answer.request.path}.", NOTE)

    # --- words for menus ---

    @property
    def labels_to_choose(self) -> tuple[str, ...]:
        """What a clip can be relabelled as: the labels of the data, then the model's."""
        model = self._bench.document.model
        own = () if self.collection is None else self.collection.labels
        chosen = {plain(label): label for label in reversed((*own, *(model.labels if model else ())))}
        return tuple(reversed(chosen.values()))
