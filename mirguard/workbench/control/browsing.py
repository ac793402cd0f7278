"""The dataset browser: a collection is opened, its clips are heard one after another, a person listens and decides."""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from mirguard.clip import Clip
from mirguard.datasets.labelled import LabelledSet
from mirguard.errors import MirguardError
from mirguard.workbench.bench import NOTE, WARNING, Bench
from mirguard.workbench.collection.collection import LABELLED, Collection
from mirguard.workbench.collection.decision_table import decision_table
from mirguard.workbench.collection.label_names import plain
from mirguard.workbench.control.listening import Listening
from mirguard.workbench.control.loading import Loading
from mirguard.workbench.lanes import Answer
from mirguard.workbench.reviews import Record, review_file, write_records
from mirguard.workbench.rows import (
    Audition,
    ExportDecisions,
    HearRow,
    KeepDecisions,
    OpenCollection,
    ReadRow,
    TakeOut,
)

log = logging.getLogger(__name__)
NEWS_MS = 100  # the table is told so often at most
AHEAD = 1  # clips that are read while another one is heard
MOST_SENT = 20  # clips sent to the designer at a time


@dataclass(frozen=True)
class Progress:
    """How far hearing is. `state` is "hearing", "stopped", "done", or "held" with the reason in `why`."""

    state: str
    done: int
    total: int
    seconds_left: float | None = None
    why: str = ""


class Browsing(QObject):
    """Keeps one collection. Clips are read in the pictures' lane and heard on the engine, one request a clip, so that
    whatever is on screen goes before them; while an attack runs, hearing waits."""

    opening = Signal(str, object)  # a sentence ("" when over), and the fraction done or None
    leaving = Signal()  # the collection is about to be put away
    opened = Signal()  # another collection, or none
    news = Signal(object)  # the numbers of rows that have changed, a few times a second; None for all
    progressed = Signal()
    auditioning = Signal()  # another row is being played, or none
    sent = Signal()  # clips have gone to the designer

    def __init__(self, bench: Bench, loading: Loading, listening: Listening, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench, self._loading, self._listening = bench, loading, listening
        self.collection: Collection | None = None
        self.heard_row: int | None = None  # the row being played
        self._model: tuple[str, str] | None = None  # name and hash of the model that the rows are heard by
        self._scores_of: tuple[float, ...] | None = None  # the reference that the scores rest on, once it is known
        self._queue: deque[int] = deque()
        self._read: deque[tuple[int, Clip, str]] = deque()  # read and not yet heard
        self._reading: int | None = None
        self._hearing: int | None = None
        self._stopped = False
        self._spent, self._since, self._done = 0.0, None, 0  # of this round: seconds, since when, clips
        self._news: set[int] = set()
        self._unsaved: dict[str, tuple[Record, ...]] = {}  # by source: decisions on their way to the disk
        self._told = False  # of an unforeseen failure
        self._timer = QTimer(self, singleShot=True, interval=NEWS_MS)
        self._timer.timeout.connect(self._tell)
        bench.on(OpenCollection, self._opened, self._opening, self._not_opened, self._not_opened)
        bench.on(ReadRow, self._row_read, failed=self._row_failed)
        bench.on(HearRow, self._row_heard, failed=self._row_failed)
        bench.on(Audition, self._play, failed=self._audition_failed)
        bench.on(TakeOut, self._taken_out)
        bench.on(KeepDecisions, self._kept)
        bench.on(ExportDecisions, self._exported)
        bench.document.watch("model", self._model_changed)
        bench.document.watch("reference", self._reference_changed)
        bench.document.watch("run", self._run_changed)
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
        self._drop_work()
        self.end_audition()
        self.collection = collection
        self._news.clear()
        self.opened.emit()
        self._restart()

    # --- hearing ---

    @property
    def hearing(self) -> bool:
        return self._reading is not None or self._hearing is not None or bool(self._read)

    @property
    def progress(self) -> Progress:
        collection, document = self.collection, self._bench.document
        total = 0 if collection is None else len(collection.rows)
        left = len(self._queue) + len(self._read) + (self._reading is not None) + (self._hearing is not None)
        done = total - left
        if not left:
            return Progress("done", done, total)
        if self._stopped:
            return Progress("stopped", done, total)
        if document.model is None:
            return Progress("held", done, total, why=document.model_state or "There is no model yet.")
        if document.run is not None:
            return Progress("held", done, total, why="waiting while the attack runs")
        spent = self._spent + (0.0 if self._since is None else time.monotonic() - self._since)
        pace = spent / self._done if self._done >= 3 else None
        return Progress("hearing", done, total, None if pace is None else pace * left)

    def resume(self) -> None:
        """Go on hearing after it was stopped."""
        self._stopped = False
        self._go_on()

    def cancel(self) -> bool:
        """Stop listing or hearing; True if there was anything to stop."""
        if self._bench.pictures.cancel("OpenCollection"):
            return True
        if not self.hearing:
            return False
        self._hold()
        self._stopped = True
        self._tell()
        return True

    def look_at(self, number: int) -> None:
        """A person looks at that row: it is heard next by the model, and by the person too while another one plays."""
        if self.playing and number != self.heard_row:
            self.audition(number)
        if number in self._queue and self._queue[0] != number:
            self._queue.remove(number)
            self._queue.appendleft(number)

    def _restart(self) -> None:
        """Hear everything anew: another collection, model or reference."""
        self._drop_work()
        model = self._bench.document.model
        self._model = None if model is None else (model.name, model.hash)
        self._scores_of, self._stopped, self._told = None, False, False
        self._spent, self._since, self._done = 0.0, None, 0
        collection = self.collection
        if collection is None:
            self.progressed.emit()
            return
        collection.forget_heard(() if model is None else model.labels)
        collection.set_reference(None, ())
        self._reference_changed()
        numbers = list(range(len(collection.rows)))
        if collection.mode == LABELLED:
            # Folders are sorted by class: in their order, the first figures would be those of one class.
            random.Random(0).shuffle(numbers)
        self._queue.extend(numbers)
        self.news.emit(None)
        self._go_on()

    def _drop_work(self) -> None:
        self._hold()
        self._queue.clear()

    def _hold(self) -> None:
        """Stop at once; what was under way goes back to the front of the queue."""
        self._bench.pictures.forget("ReadRow")
        self._bench.engine.forget("HearRow")
        under_way = [self._hearing, *(number for number, _, _ in self._read), self._reading]
        self._queue.extendleft(reversed([number for number in under_way if number is not None]))
        self._hearing = self._reading = None
        self._read.clear()
        if self._since is not None:
            self._spent += time.monotonic() - self._since
            self._since = None

    def _go_on(self) -> None:
        document = self._bench.document
        possible = self.collection is not None and document.model is not None and document.run is None
        if possible and not self._stopped:
            if self._since is None and (self._queue or self._read):
                self._since = time.monotonic()
            if self._hearing is None and self._read:
                self._hearing, clip, sound = self._read.popleft()
                self._bench.engine.ask(HearRow(self._hearing, clip, document.model.name, sound))
            if self._reading is None and self._queue and len(self._read) < AHEAD:
                self._reading = self._queue.popleft()
                self._bench.pictures.ask(ReadRow(self._reading, self.collection.rows[self._reading].item))
            if not self.hearing and self._since is not None:
                self._spent += time.monotonic() - self._since
                self._since = None
        self._soon()

    def _row_read(self, answer: Answer) -> None:
        self._reading = None
        self._read.append((answer.request.number, *answer.value))
        self._go_on()

    def _row_heard(self, answer: Answer) -> None:
        self._hearing = None
        self._done += 1
        before = self.collection.rows[answer.request.number].record
        self.collection.set_heard(answer.request.number, answer.value, answer.request.sound)
        if self.collection.rows[answer.request.number].record != before:
            self._keep()
        self._news.add(answer.request.number)
        self._go_on()

    def _row_failed(self, answer: Answer) -> None:
        if isinstance(answer.request, ReadRow):
            self._reading = None
        else:
            self._hearing = None
        self._done += 1
        self.collection.set_failed(answer.request.number, answer.value)
        self._news.add(answer.request.number)
        if answer.details and not self._told:
            self._told = True
            self._bench.say_failure(answer)
        self._go_on()

    def _model_changed(self) -> None:
        model = self._bench.document.model
        if (None if model is None else (model.name, model.hash)) != self._model:
            self._restart()
        else:
            self._soon()

    def _reference_changed(self) -> None:
        """Flags follow the threshold; another reference gives other scores."""
        facts, collection = self._bench.document.reference, self.collection
        if facts is None or collection is None:
            return
        if self._scores_of is not None and self._scores_of != facts.clean_scores:
            self._scores_of = facts.clean_scores
            self._restart()
            return
        self._scores_of = facts.clean_scores
        collection.set_reference(facts.threshold, facts.clean_scores)
        self.news.emit(None)

    def _run_changed(self) -> None:
        if self._bench.document.run is None:
            self._go_on()
        elif self.hearing:
            self._hold()
            self._soon()

    def _soon(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _tell(self) -> None:
        news, self._news = self._news, set()
        if news:
            self.news.emit(news)
        self.progressed.emit()

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
        self._news.update(numbers)
        self._tell()

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
