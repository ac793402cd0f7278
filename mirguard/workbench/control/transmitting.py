"""Hearing the clip on screen through the channel, and counting how often a result survives it."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from mirguard.workbench.bench import WARNING, Bench
from mirguard.workbench.channel_requests import Passed, PassThrough, Survive
from mirguard.workbench.control.listening import Listening
from mirguard.workbench.facts import ADVERSARIAL, ORIGINAL
from mirguard.workbench.lanes import Answer

SETTLE_MS = 150  # so long a slider must rest before the sound behind the channel is made anew


class Transmitting(QObject):
    """While `on`, the player has the sounds of the clip as they come out of one draw of the channel."""

    passed = Signal(object)  # Passed, None while nothing has come through
    counting = Signal(object)  # the share that is done, None when nothing is being counted
    counted = Signal(object)  # Survived, None where there is no count of what is on screen
    switched = Signal(bool)

    def __init__(self, bench: Bench, listening: Listening, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench, self._listening = bench, listening
        self.on = False
        self._draw = 0
        self._asked: tuple = ()
        self._measured: tuple = ()
        self._timer = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._timer.timeout.connect(self._ask)
        bench.on(PassThrough, self._came, failed=self._failed)
        bench.on(Survive, self._survived, lambda answer: self.counting.emit(answer.value), self._gave_up, self._gave_up)
        for topic in ("current", "outcome", "run", "moment", "design", "model"):
            bench.document.watch(topic, self._changed)

    def set_on(self, on: bool) -> None:
        """Hear everything through the channel, or as it is."""
        if on == self.on:
            return
        if on and self._obstacle():
            self._bench.say(self._obstacle(), WARNING)
            self.switched.emit(False)
            return
        self.on = on
        self.switched.emit(on)
        if on:
            self._ask()
        else:
            self._forget()

    def draw_anew(self) -> None:
        """Another draw of the channel's chances."""
        self._draw += 1
        if self.on:
            self._ask()

    def measure(self, draws: int) -> None:
        """Count in how many draws the result still fools the model."""
        document = self._bench.document
        entry, trouble = document.current, self._obstacle()
        if trouble:
            self._bench.say(trouble, WARNING)
        elif entry.outcome is None:
            self._bench.say("There is no result yet whose survival could be measured: run an attack first.", WARNING)
        else:
            self._measured = self._what_counts()
            self._bench.engine.ask(
                Survive(entry.key, entry.clip, entry.outcome, document.model.name, document.design.chain, draws)
            )
            self.counted.emit(None)
            self.counting.emit(0.0)

    def cancel(self) -> bool:
        """Stop counting; True if there was anything to stop."""
        return self._bench.engine.holds("Survive") and self._bench.engine.cancel("Survive")

    def _obstacle(self) -> str:
        document = self._bench.document
        if document.current is None:
            return "Load a clip first: drop a song on the window, or open one."
        if document.model is None:
            return document.model_state or "There is no model yet."
        if not document.design.chain:
            return "The channel has no effects yet: add one first."
        return ""

    def _sounds(self) -> tuple:
        document = self._bench.document
        shown = document.shown(document.current)
        return tuple((side, shown[side]) for side in (ORIGINAL, ADVERSARIAL) if side in shown)

    def _what_counts(self) -> tuple:
        """What a count of survivals is true of."""
        document = self._bench.document
        entry, model = document.current, document.model
        return entry and entry.outcome, document.design.chain, model and model.name

    def _changed(self) -> None:
        if self._measured and self._what_counts() != self._measured:
            self._measured = ()
            self._bench.engine.forget("Survive")
            self.counting.emit(None)
            self.counted.emit(None)
        if not self.on:
            return
        if self._obstacle():
            self.set_on(False)
        elif self._wanted() != self._asked:
            self._timer.start()

    def _wanted(self) -> tuple:
        document = self._bench.document
        sounds = [(side, id(clip)) for side, clip in self._sounds()]
        return document.current_key, sounds, document.model.name, document.design.chain, self._draw

    def _ask(self) -> None:
        if not self.on or self._obstacle():
            return
        document = self._bench.document
        self._asked = self._wanted()
        self._bench.engine.ask(
            PassThrough(document.current_key, self._sounds(), document.model.name, document.design.chain, self._draw)
        )

    def _came(self, answer: Answer) -> None:
        passed: Passed = answer.value
        if self.on and answer.request.key == self._bench.document.current_key:
            self._listening.hear_instead({side: clip.samples for side, clip in passed.sounds.items()})
            self.passed.emit(passed)

    def _failed(self, answer: Answer) -> None:
        self._bench.say_failure(answer)
        self.set_on(False)

    def _forget(self) -> None:
        self._timer.stop()
        self._asked = ()
        self._bench.engine.forget("PassThrough")
        self._listening.hear_instead({})
        self.passed.emit(None)

    def _survived(self, answer: Answer) -> None:
        self.counting.emit(None)
        self.counted.emit(answer.value)

    def _gave_up(self, answer: Answer) -> None:
        self._measured = ()
        self.counting.emit(None)
        if answer.state == "failed":
            self._bench.say_failure(answer)
