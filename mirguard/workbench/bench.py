"""What stands behind the window: the document, the two lanes, the player; and who hears which answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, Signal

from mirguard.playback.player import Player
from mirguard.workbench.collector import Collector
from mirguard.workbench.document import Document
from mirguard.workbench.lanes import Answer, Lane, Request
from mirguard.workbench.pictures import prepare_pictures
from mirguard.workbench.workshop import prepare_engine

NOTE, WARNING, ERROR = "note", "warning", "error"
Handler = Callable[[Answer], None]


class Bench(QObject):
    """Holds everything that outlives a panel. `said` carries messages for the person: kind, sentence, details."""

    said = Signal(str, str, str)

    def __init__(self, player: Player | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.collector = Collector(self)
        self.document = Document()
        self.player = player or Player()
        self.engine = Lane("engine", prepare_engine, self)
        self.pictures = Lane("pictures", prepare_pictures, self)
        self._handlers: dict[tuple[type[Request], str], list[Handler]] = {}
        for lane in (self.engine, self.pictures):
            lane.answered.connect(self._route)

    def on(
        self,
        kind: type[Request],
        done: Handler | None = None,
        progress: Handler | None = None,
        failed: Handler | None = None,
        cancelled: Handler | None = None,
    ) -> None:
        """Have answers to requests of that class handled. A failure that nobody handles becomes a message."""
        states = {"done": done, "progress": progress, "failed": failed, "cancelled": cancelled}
        for state, handler in states.items():
            if handler is not None:
                self._handlers.setdefault((kind, state), []).append(handler)

    def say(self, sentence: str, kind: str = NOTE, details: str = "") -> None:
        self.said.emit(kind, sentence, details)

    def say_failure(self, answer: Answer) -> None:
        self.say(answer.value, ERROR, answer.details)

    def close(self) -> bool:
        """Cancel all work, fall silent, wait for the threads; True if they ended in time."""
        ended = [lane.close() for lane in (self.engine, self.pictures)]
        self.player.close()
        self.collector.close()
        return all(ended)

    def _route(self, answer: Answer) -> None:
        heard = False
        for kind in type(answer.request).__mro__:
            for handler in self._handlers.get((kind, answer.state), ()):
                handler(answer)
                heard = True
        if not heard and answer.state == "failed":
            self.say_failure(answer)


def attempt(bench: Bench, work: Callable[..., Any], *arguments: Any) -> bool:
    """Do something small on the window's thread; what is the world's fault becomes a message. True if it went well."""
    from mirguard.errors import MirguardError

    try:
        work(*arguments)
    except MirguardError as error:
        bench.say(str(error), ERROR)
        return False
    return True
