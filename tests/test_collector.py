"""Cycles with Qt objects in them must never be taken apart on a worker's thread: it and the window would wait for each other."""

from __future__ import annotations

import gc
import threading
import weakref

from mirguard.workbench.collector import Collector


class Knot:
    def __init__(self) -> None:
        self.itself = self


def allocate() -> None:
    """Enough cycles for Python to collect, several times over, if it did so by itself."""
    for _ in range(20 * gc.get_threshold()[0]):
        Knot()


def test_workers_collect_nothing_and_the_window_does(qtbot):
    assert gc.isenabled()
    collector = Collector()
    try:
        ended: list[str] = []
        knot = Knot()
        weakref.finalize(knot, lambda: ended.append(threading.current_thread().name))
        del knot
        worker = threading.Thread(target=allocate, name="worker")
        worker.start()
        worker.join()
        assert ended == [], "the worker took it apart"
        qtbot.waitUntil(lambda: bool(ended), timeout=5000)
        assert ended == [threading.main_thread().name]
    finally:
        collector.close()
    assert gc.isenabled()


def test_of_several_windows_the_last_one_gives_it_back(qtbot):
    one, other = Collector(), Collector()
    one.close()
    assert not gc.isenabled()
    other.close()
    assert gc.isenabled()
