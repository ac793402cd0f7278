"""The clips of a collection are heard by the model, one after another, while nothing else needs it."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from PySide6.QtCore import QObject, QTimer, Signal

from mirguard.clip import Clip
from mirguard.workbench.bench import Bench
from mirguard.workbench.collection.collection import LABELLED, Collection
from mirguard.workbench.collection.requests import HearRow, ReadRow
from mirguard.workbench.lanes import Answer

NEWS_MS = 100  # the table is told so often at most
AHEAD = 1  # clips that are read while another one is heard


@dataclass(frozen=True)
class Progress:
    """How far hearing is. `state` is "hearing", "stopped", "done", or "held" with the reason in `why`."""

    state: str
    done: int
    total: int
    seconds_left: float | None = None
    why: str = ""


class RowHearing(QObject):
    """Clips are read in the pictures' lane and heard on the engine, one request a clip, so that whatever is on screen goes
    before them; while an attack runs, hearing waits."""

    news = Signal(object)  # the numbers of rows that have changed, a few times a second; None for all
    progressed = Signal()
    recognised = Signal()  # a row has the decision that was kept for its sound

    def __init__(self, bench: Bench, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench = bench
        self._collection: Collection | None = None
        self._model: tuple[str, str] | None = None  # name and hash of the model that the rows are heard by
        self._scores_of: tuple[float, ...] | None = None  # the reference that the scores rest on, once it is known
        self._queue: deque[int] = deque()
        self._read: deque[tuple[int, Clip, str]] = deque()  # read and not yet heard
        self._reading: int | None = None
        self._hearing: int | None = None
        self._stopped = False
        self._spent, self._since, self._done = 0.0, None, 0  # of this round: seconds, since when, clips
        self._news: set[int] = set()
        self._told = False  # of an unforeseen failure
        self._timer = QTimer(self, singleShot=True, interval=NEWS_MS)
        self._timer.timeout.connect(self.tell)
        bench.on(ReadRow, self._row_read, failed=self._row_failed)
        bench.on(HearRow, self._row_heard, failed=self._row_failed)
        bench.document.watch("model", self._model_changed)
        bench.document.watch("reference", self._reference_changed)
        bench.document.watch("run", self._run_changed)

    def put(self, collection: Collection | None) -> None:
        """Another collection, or none; it is heard from `restart` on."""
        self._drop_work()
        self._collection = collection
        self._news.clear()

    @property
    def busy(self) -> bool:
        """Whether a clip is being read or heard just now."""
        return self._reading is not None or self._hearing is not None or bool(self._read)

    @property
    def progress(self) -> Progress:
        collection, document = self._collection, self._bench.document
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

    def restart(self) -> None:
        """Hear everything anew: another collection, model or reference."""
        self._drop_work()
        model = self._bench.document.model
        self._model = None if model is None else (model.name, model.hash)
        self._scores_of, self._stopped, self._told = None, False, False
        self._spent, self._since, self._done = 0.0, None, 0
        collection = self._collection
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
        possible = self._collection is not None and document.model is not None and document.run is None
        if possible and not self._stopped:
            if self._since is None and (self._queue or self._read):
                self._since = time.monotonic()
            if self._hearing is None and self._read:
                self._hearing, clip, sound = self._read.popleft()
                self._bench.engine.ask(HearRow(self._hearing, clip, document.model.name, sound))
            if self._reading is None and self._queue and len(self._read) < AHEAD:
                self._reading = self._queue.popleft()
                self._bench.pictures.ask(ReadRow(self._reading, self._collection.rows[self._reading].item))
            if not self.busy and self._since is not None:
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
        before = self._collection.rows[answer.request.number].record
        self._collection.set_heard(answer.request.number, answer.value, answer.request.sound)
        if self._collection.rows[answer.request.number].record != before:
            self.recognised.emit()
        self._news.add(answer.request.number)
        self._go_on()

    def _row_failed(self, answer: Answer) -> None:
        if isinstance(answer.request, ReadRow):
            self._reading = None
        else:
            self._hearing = None
        self._done += 1
        self._collection.set_failed(answer.request.number, answer.value)
        self._news.add(answer.request.number)
        if answer.details and not self._told:
            self._told = True
            self._bench.say_failure(answer)
        self._go_on()

    def _model_changed(self) -> None:
        model = self._bench.document.model
        if (None if model is None else (model.name, model.hash)) != self._model:
            self.restart()
        else:
            self._soon()

    def _reference_changed(self) -> None:
        """Flags follow the threshold; another reference gives other scores."""
        facts, collection = self._bench.document.reference, self._collection
        if facts is None or collection is None:
            return
        if self._scores_of is not None and self._scores_of != facts.clean_scores:
            self._scores_of = facts.clean_scores
            self.restart()
            return
        self._scores_of = facts.clean_scores
        collection.set_reference(facts.threshold, facts.clean_scores)
        self.news.emit(None)

    def _run_changed(self) -> None:
        if self._bench.document.run is None:
            self._go_on()
        elif self.busy:
            self._hold()
            self._soon()

    def _soon(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def tell(self, numbers: Iterable[int] = ()) -> None:
        """Say at once what has changed, those rows among it."""
        self._news.update(numbers)
        news, self._news = self._news, set()
        if news:
            self.news.emit(news)
        self.progressed.emit()

    def cancel(self) -> bool:
        """Stop hearing; True if there was anything to stop."""
        if not self.busy:
            return False
        self._hold()
        self._stopped = True
        self.tell()
        return True

    def put_first(self, number: int) -> None:
        """Hear that row next."""
        if number in self._queue and self._queue[0] != number:
            self._queue.remove(number)
            self._queue.appendleft(number)
