"""Garbage is collected on the window's thread alone.

Python collects cycles on whichever thread happens to allocate. On a worker's, a cycle with Qt objects in it is taken apart there:
Qt locks the objects' connections and then asks for Python's lock, while the window, which holds that one, waits for Qt's: both
wait for ever. So automatic collection is off while a window is open, and the window looks now and then whether there is cause.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

EVERY = 250  # ms

_at_work: set[int] = set()


class Collector(QObject):
    """Collects by Python's own thresholds from the thread that made it, until `close`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        _at_work.add(id(self))
        gc.disable()
        self._timer = QTimer(self, interval=EVERY)
        self._timer.timeout.connect(self.look)
        self._timer.start()

    def look(self) -> None:
        """Collect the oldest generation that is due."""
        for generation in (2, 1, 0):
            if gc.get_count()[generation] > gc.get_threshold()[generation]:
                gc.collect(generation)
                return

    def close(self) -> None:
        """Let Python collect by itself again, once no window is left."""
        self._timer.stop()
        _at_work.discard(id(self))
        if not _at_work:
            gc.enable()
