"""Lanes: one long-lived worker thread each, fed with frozen requests, the latest of each kind winning.

The window never computes. It puts a `Request` into a lane; a newer request for the same slot replaces one that waits and
cancels one that runs. Answers carry the request's number and come back on the thread that made the lane (the window's);
an answer that has been overtaken meanwhile is dropped there, so that nobody ever sees a stale result.

A long job calls `Job.rest()` at every micro-batch: there a cancellation is seen, and there more urgent requests are served
in between, so that an attack of minutes delays the labels on the screen by no more than one micro-batch.
"""

from __future__ import annotations

import itertools
import logging
import threading
import traceback
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from PySide6.QtCore import QObject, Qt, Signal

from mirguard.errors import Cancelled, MirguardError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """Something to be done on a lane. Subclasses are frozen dataclasses that say all of it in their fields.

    `urgency` orders what waits, the highest first; what is more urgent than the running job is served in its rests.
    """

    urgency: ClassVar[int] = 0

    @property
    def slot(self) -> Hashable:
        """Of all requests with the same slot only the newest counts."""
        return type(self).__name__

    def perform(self, job: Job) -> Any:
        """Do it, on the lane's thread; what it returns is the answer."""
        raise NotImplementedError


@dataclass(frozen=True)
class Answer:
    """What became of a request. `state` is "done", "progress", "failed" or "cancelled"; `value` the result, the progress
    or the sentence for the person; `details` the traceback of a failure that nobody foresaw."""

    id: int
    request: Request
    state: str
    value: Any = None
    details: str = ""


@dataclass(eq=False)
class Job:
    """A request on its way: its number, the lane's own workshop (models, caches), and two events: `cancel` asks it to stop,
    `abandoned` (set by a second cancellation, by a newer request or by closing) says that nobody wants its answer."""

    id: int
    request: Request
    lane: Lane
    workshop: Any = None
    cancel: threading.Event = field(default_factory=threading.Event)
    abandoned: threading.Event = field(default_factory=threading.Event)

    def rest(self) -> None:
        """A point of rest: raises Cancelled when asked to stop, else serves what is more urgent than this job."""
        self.lane._serve(self)
        if self.cancel.is_set():
            raise Cancelled

    def serve(self) -> None:
        """The same for a job that sees `cancel` itself and still has something to hand in: raises only when abandoned."""
        self.lane._serve(self)

    def abandon(self) -> None:
        self.cancel.set()
        self.abandoned.set()

    def progress(self, value: Any) -> None:
        """Tell the window how far it is, unless asked to stop; `value` must not be changed afterwards."""
        if not self.cancel.is_set():
            self.tell(value)

    def tell(self, value: Any) -> None:
        """The same, even when asked to stop."""
        self.lane._post.emit(Answer(self.id, self.request, "progress", value))


class _StepAside(Exception):
    """Ends an urgent job served within a rest when the job around it is cancelled; it is taken up again afterwards."""


class Lane(QObject):
    """One worker thread, started by the first request. `prepare` runs first on it and returns the workshop that every job
    gets; what it raises becomes the failure of each request."""

    answered = Signal(object)  # Answer, on the thread that made the lane, never a stale one
    busy_changed = Signal(bool)

    _post = Signal(object)

    def __init__(self, name: str, prepare: Callable[[], Any] | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.name = name
        self._prepare = prepare
        self._numbers = itertools.count(1)
        self._newest: dict[Hashable, int] = {}  # touched on the window's thread only
        self._waiting: dict[Hashable, Job] = {}
        self._running: list[Job] = []  # the job at work, then those served within its rests
        self._awake = threading.Condition()
        self._closing = False
        self._post.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._thread = threading.Thread(target=self._work, name=f"mirguard-{name}", daemon=True)

    # --- the window's side -------------------------------------------------------------------------------------------

    def ask(self, request: Request) -> int:
        """Put a request into its slot; returns its number. Replaces and cancels an older one of the slot."""
        job = Job(next(self._numbers), request, self)
        self._newest[request.slot] = job.id
        with self._awake:
            # Taken out first, so that the new one queues behind others of its urgency.
            self._waiting.pop(request.slot, None)
            self._abandon_running(request.slot)
            self._waiting[request.slot] = job
            self._awake.notify()
        if self._thread.ident is None:
            self._thread.start()
        return job.id

    def cancel(self, slot: Hashable) -> bool:
        """Ask the slot's work to stop, the second time without handing anything in; True if there was any.

        What only waits is answered "cancelled" at once."""
        with self._awake:
            waiting = self._waiting.pop(slot, None)
            running = [job for job in self._running if job.request.slot == slot]
            for job in running:
                if job.cancel.is_set():
                    job.abandon()
                job.cancel.set()
        if waiting is not None:
            self._post.emit(Answer(waiting.id, waiting.request, "cancelled"))
        return waiting is not None or bool(running)

    def forget(self, slot: Hashable) -> None:
        """Abandon the slot's work and drop whatever it may still answer."""
        self._newest.pop(slot, None)
        with self._awake:
            self._waiting.pop(slot, None)
            self._abandon_running(slot)

    def holds(self, slot: Hashable) -> bool:
        """Whether work of that slot waits or runs and has not been told to stop."""
        with self._awake:
            return slot in self._waiting or any(j.request.slot == slot and not j.cancel.is_set() for j in self._running)

    @property
    def busy(self) -> bool:
        with self._awake:
            return bool(self._waiting or self._running)

    def close(self, seconds: float = 5.0) -> bool:
        """Cancel everything and wait for the thread; True if it ended in time. Nothing is answered afterwards."""
        self._newest.clear()
        with self._awake:
            self._closing = True
            self._waiting.clear()
            for job in self._running:
                job.abandon()
            self._awake.notify()
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _deliver(self, answer: Answer) -> None:
        if self._newest.get(answer.request.slot) != answer.id:
            return
        if answer.state != "progress":
            del self._newest[answer.request.slot]
        self.answered.emit(answer)

    def _abandon_running(self, slot: Hashable) -> None:
        for job in self._running:
            if job.request.slot == slot:
                job.abandon()

    # --- the worker's side -------------------------------------------------------------------------------------------

    def _work(self) -> None:
        workshop, trouble = None, None
        try:
            workshop = self._prepare() if self._prepare else None
        except Exception as error:
            trouble = error
            if not self._closing:  # libraries cannot be loaded any more once the program is ending
                log.exception("lane %s cannot start", self.name)
        while True:
            with self._awake:
                while not self._waiting and not self._closing:
                    self._awake.wait()
                if self._closing:
                    return
                job = self._take(None)
            job.workshop = workshop
            self._do(job, trouble)

    def _take(self, above: int | None) -> Job | None:
        """The most urgent waiting job, of an urgency beyond `above`, now running; the condition is held."""
        found = [job for job in self._waiting.values() if above is None or job.request.urgency > above]
        if not found or self._closing:
            return None
        job = max(found, key=lambda job: job.request.urgency)
        del self._waiting[job.request.slot]
        self._running.append(job)
        if len(self._running) == 1:
            self.busy_changed.emit(True)
        return job

    def _do(self, job: Job, trouble: Exception | None = None) -> None:
        answer = None
        try:
            if trouble is not None:
                raise trouble
            if job.cancel.is_set():
                raise Cancelled
            answer = Answer(job.id, job.request, "done", job.request.perform(job))
        except Cancelled:
            answer = Answer(job.id, job.request, "cancelled")
        except MirguardError as error:
            answer = Answer(job.id, job.request, "failed", str(error))
        except _StepAside:
            answer = self._put_back(job)
        except Exception as error:
            log.exception("unforeseen trouble in %s", job.request.slot)
            sentence = f"Something went wrong that was not foreseen ({type(error).__name__}: {error})."
            answer = Answer(job.id, job.request, "failed", sentence, traceback.format_exc())
        finally:
            with self._awake:
                self._running.remove(job)
                idle = not self._running and not self._waiting
        if answer is not None and not self._closing:
            self._post.emit(answer)
        if idle and not self._closing:
            self.busy_changed.emit(False)

    def _put_back(self, job: Job) -> Answer | None:
        with self._awake:
            if job.cancel.is_set():
                return Answer(job.id, job.request, "cancelled")
            self._waiting.setdefault(job.request.slot, Job(job.id, job.request, self))
        return None

    def _serve(self, job: Job) -> None:
        if job.abandoned.is_set():
            raise Cancelled
        around = self._running[: self._running.index(job)]
        if any(outer.cancel.is_set() for outer in around):
            raise _StepAside
        # A job that is to stop lets nobody go before it. The look at what waits needs no lock: a request put in this very
        # moment is served at the next rest.
        while self._waiting and not job.cancel.is_set():
            with self._awake:
                urgent = self._take(job.request.urgency)
            if urgent is None:
                break
            urgent.workshop = job.workshop
            self._do(urgent)
        if job.abandoned.is_set():
            raise Cancelled
