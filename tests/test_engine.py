"""The lanes: the latest request of a slot wins, what is urgent is served in rests, stale answers are dropped."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from mirguard.errors import Cancelled, UsageError
from mirguard.workbench.lanes import Lane, Request


@dataclass(frozen=True)
class Do(Request):
    """Runs `work(job)`; the slot is its name."""

    name: str
    work: object = field(compare=False)

    @property
    def slot(self):
        return self.name

    def perform(self, job):
        return self.work(job)


@dataclass(frozen=True)
class Urgent(Do):
    urgency: ClassVar[int] = 5


@dataclass(frozen=True)
class MoreUrgent(Do):
    urgency: ClassVar[int] = 7


@pytest.fixture
def lane(qtbot):
    lane = Lane("test", prepare=dict)
    lane.seen = []
    lane.answered.connect(lane.seen.append)
    yield lane
    assert lane.close()


def states(lane):
    return [(answer.request.name, answer.state) for answer in lane.seen]


def values(lane):
    return [(answer.request.name, answer.value) for answer in lane.seen if answer.state == "done"]


def test_an_answer_comes_back_on_the_asking_thread_with_its_number(lane, qtbot):
    where = []
    lane.answered.connect(lambda answer: where.append(threading.current_thread()))
    number = lane.ask(Do("a", lambda job: threading.current_thread().name))
    qtbot.waitUntil(lambda: bool(lane.seen))
    (answer,) = lane.seen
    assert (answer.id, answer.state, answer.value) == (number, "done", "mirguard-test")
    assert where == [threading.main_thread()]


def test_a_newer_request_replaces_a_waiting_one_and_cancels_a_running_one(lane, qtbot):
    begun, ended = threading.Event(), []

    def patient(job):
        begun.set()
        try:
            while True:
                job.rest()
        except Cancelled:
            ended.append("first")
            raise

    lane.ask(Do("a", patient))
    assert begun.wait(5)
    lane.ask(Do("a", lambda job: 2))
    lane.ask(Do("a", lambda job: 3))
    qtbot.waitUntil(lambda: bool(lane.seen))
    assert values(lane) == [("a", 3)]
    assert ended == ["first"]
    assert states(lane) == [("a", "done")]


def test_a_stale_answer_that_is_already_on_its_way_is_dropped(lane, qtbot):
    posted = threading.Event()

    def quick(job):
        job.progress("old progress")
        posted.set()
        return "old"

    lane.ask(Do("a", quick))
    assert posted.wait(5)  # the answer waits in this thread's queue, which has not run since
    while lane.busy:
        pass
    lane.ask(Do("a", lambda job: "new"))
    qtbot.waitUntil(lambda: bool(lane.seen))
    assert [answer.value for answer in lane.seen] == ["new"]


def test_urgent_requests_are_served_within_the_rests_of_a_long_job(lane, qtbot):
    begun, go_on, order = threading.Event(), threading.Event(), []

    def attack(job):
        begun.set()
        assert go_on.wait(5)
        order.append("begin")
        job.rest()
        order.append("end")

    lane.ask(Do("attack", attack))
    assert begun.wait(5)
    lane.ask(Do("other long work", lambda job: order.append("later")))
    lane.ask(Urgent("labels", lambda job: order.append("labels")))
    lane.ask(MoreUrgent("detector", lambda job: order.append("detector")))
    go_on.set()
    qtbot.waitUntil(lambda: len(lane.seen) == 4)
    assert order == ["begin", "detector", "labels", "end", "later"]


def test_cancelling_ends_the_job_at_its_next_rest(lane, qtbot):
    begun = threading.Event()

    def attack(job):
        begun.set()
        while True:
            job.rest()

    lane.ask(Do("attack", attack))
    assert begun.wait(5)
    assert lane.holds("attack")
    assert lane.cancel("attack")
    assert not lane.holds("attack")
    qtbot.waitUntil(lambda: bool(lane.seen))
    assert states(lane) == [("attack", "cancelled")]
    assert not lane.cancel("attack")


def test_cancelling_what_only_waits_answers_at_once(lane, qtbot):
    release = threading.Event()
    lane.ask(Do("a", lambda job: release.wait(5)))
    lane.ask(Do("b", lambda job: None))
    assert lane.cancel("b")
    qtbot.waitUntil(lambda: bool(lane.seen))
    assert states(lane) == [("b", "cancelled")]
    release.set()
    qtbot.waitUntil(lambda: len(lane.seen) == 2)


def test_cancelling_the_outer_job_does_not_wait_for_the_urgent_one_inside_it(lane, qtbot):
    begun, inside, order = threading.Event(), threading.Event(), []

    def outer(job):
        begun.set()
        try:
            while True:
                job.rest()
        finally:
            order.append("outer over")

    def inner(job):
        if inside.is_set():
            return "inner done"
        inside.set()
        while True:
            job.rest()

    lane.ask(Do("outer", outer))
    assert begun.wait(5)
    lane.ask(Urgent("inner", inner))
    assert inside.wait(5)
    lane.cancel("outer")
    qtbot.waitUntil(lambda: len(lane.seen) == 2)
    assert order == ["outer over"]
    assert states(lane) == [("outer", "cancelled"), ("inner", "done")]


def test_an_error_for_people_is_its_sentence_and_any_other_a_message_with_details(lane, qtbot):
    def usage(job):
        raise UsageError("There is no attack 'x'.")

    lane.ask(Do("a", usage))
    lane.ask(Do("b", lambda job: 1 / 0))
    lane.ask(Do("c", lambda job: "still alive"))
    qtbot.waitUntil(lambda: len(lane.seen) == 3)
    first, second, third = lane.seen
    assert (first.state, first.value, first.details) == ("failed", "There is no attack 'x'.", "")
    assert second.state == "failed" and "ZeroDivisionError" in second.value and "Traceback" in second.details
    assert third.value == "still alive"


def test_progress_comes_before_the_answer_and_stops_with_the_cancellation(lane, qtbot):
    begun = threading.Event()

    def counting(job):
        job.progress(1)
        job.progress(2)
        begun.set()
        while not job.cancel.is_set():
            pass
        job.progress(3)
        job.rest()

    lane.ask(Do("a", counting))
    assert begun.wait(5)
    lane.cancel("a")
    qtbot.waitUntil(lambda: bool(lane.seen) and lane.seen[-1].state == "cancelled")
    assert [answer.value for answer in lane.seen[:-1]] == [1, 2]


def test_forgotten_work_never_answers(lane, qtbot):
    begun = threading.Event()

    def stubborn(job):
        begun.set()
        while not job.cancel.is_set():
            pass
        return "too late"

    lane.ask(Do("a", stubborn))
    assert begun.wait(5)
    lane.forget("a")
    lane.ask(Do("b", lambda job: None))
    qtbot.waitUntil(lambda: bool(lane.seen))
    assert states(lane) == [("b", "done")]


def test_the_workshop_is_made_on_the_lane_and_given_to_every_job(qtbot):
    made = []

    def prepare():
        made.append(threading.current_thread().name)
        return {"models": 1}

    lane, seen = Lane("shop", prepare), []
    lane.answered.connect(seen.append)
    lane.ask(Do("a", lambda job: job.workshop["models"]))
    lane.ask(Do("b", lambda job: job.workshop["models"]))
    qtbot.waitUntil(lambda: len(seen) == 2)
    assert made == ["mirguard-shop"] and [answer.value for answer in seen] == [1, 1]
    assert lane.close()


def test_a_workshop_that_cannot_be_made_fails_every_request_with_the_reason(qtbot):
    def prepare():
        raise UsageError("torch is not installed.")

    lane, seen = Lane("broken", prepare), []
    lane.answered.connect(seen.append)
    lane.ask(Do("a", lambda job: None))
    qtbot.waitUntil(lambda: bool(seen))
    assert (seen[0].state, seen[0].value) == ("failed", "torch is not installed.")
    assert lane.close()


def test_a_cancelled_job_may_hand_in_what_it_has_until_it_is_cancelled_again(lane, qtbot):
    begun, handing_in = threading.Event(), threading.Event()

    def attack(job):
        begun.set()
        job.cancel.wait(5)
        if job.request.name == "brief":
            job.serve()
            return "half"
        while True:
            job.serve()
            handing_in.set()

    lane.ask(Do("brief", attack))
    assert begun.wait(5)
    lane.cancel("brief")
    qtbot.waitUntil(lambda: len(lane.seen) == 1)
    assert values(lane) == [("brief", "half")]
    begun.clear()
    lane.ask(Do("endless", attack))
    assert begun.wait(5)
    lane.cancel("endless")
    assert handing_in.wait(5)
    lane.cancel("endless")
    qtbot.waitUntil(lambda: len(lane.seen) == 2)
    assert states(lane)[1] == ("endless", "cancelled")


def test_closing_cancels_and_waits_and_answers_nothing(qtbot):
    lane, seen, begun = Lane("closing"), [], threading.Event()
    lane.answered.connect(seen.append)

    def attack(job):
        begun.set()
        while True:
            job.rest()

    lane.ask(Do("a", attack))
    lane.ask(Do("b", lambda job: None))
    assert begun.wait(5)
    assert lane.close(5)
    qtbot.wait(20)
    assert seen == [] and not lane._thread.is_alive()


@dataclass(frozen=True)
class Slots(Request):
    clip: int = 0


def test_a_request_of_a_class_has_the_class_as_its_slot():
    assert Slots(1).slot == Slots(2).slot == "Slots"
