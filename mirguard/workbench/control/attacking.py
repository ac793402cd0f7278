"""Running the attack that is designed, showing it while it runs, and stopping it."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer

from mirguard.workbench.bench import WARNING, Bench
from mirguard.workbench.facts import Run, Snapshot
from mirguard.workbench.lanes import Answer
from mirguard.workbench.requests import STOPPED, Attack

LIVE_MS = 80


class Attacking(QObject):
    """One attack at a time, on the clip on screen. With `live` on, every change of the design runs it again, the newest
    change winning."""

    def __init__(self, bench: Bench, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench = bench
        self._live = False
        self._timer = QTimer(self, singleShot=True, interval=LIVE_MS)
        self._timer.timeout.connect(self._run_live)
        bench.on(Attack, self._done, self._progress, self._failed, self._cancelled)
        bench.document.watch("design", self._designed)
        bench.document.watch("clips", self._clips_changed)
        bench.document.watch("model", self._model_changed)

    @property
    def possible(self) -> bool:
        document = self._bench.document
        return document.current is not None and document.model is not None and not document.attack_trouble

    def run(self) -> None:
        """Attack the clip on screen as designed; a running attack is given up for it."""
        document = self._bench.document
        entry, model = document.current, document.model
        if entry is None:
            self._bench.say("Load a clip first: drop a song on the window, or open one.", WARNING)
        elif model is None:
            self._bench.say(document.model_state or "There is no model to attack yet.", WARNING)
        elif document.attack_trouble:
            self._bench.say(document.attack_trouble, WARNING)
        else:
            request = Attack(entry.key, entry.clip, model.name, document.design, document.fpr)
            document.begin(Run(entry.key, self._bench.engine.ask(request), document.design, model.name))

    def cancel(self) -> bool:
        """Ask the running attack to stop and hand in its best so far; asked twice, it hands in nothing."""
        document = self._bench.document
        self._timer.stop()
        if document.run is None:
            return False
        self._bench.engine.cancel("Attack")
        if document.run is not None:
            document.run.cancelling = True
            document.tell("run")
        return True

    @property
    def live(self) -> bool:
        return self._live

    def set_live(self, live: bool) -> None:
        """Run again after every change of the design."""
        self._live = live
        if live:
            self._designed()

    def _designed(self) -> None:
        # Not restarted by each change: while a slider moves, there is a run every 80 ms, not one when it rests.
        if self._live and self.possible and not self._timer.isActive():
            self._timer.start()

    def _run_live(self) -> None:
        document = self._bench.document
        entry = document.current
        fresh = entry is not None and entry.outcome is not None and not document.stale(entry)
        running = document.run is not None and document.run.design.same_attack(document.design)
        if self._live and self.possible and not fresh and not running:
            self.run()

    def _drop(self) -> None:
        self._bench.engine.forget("Attack")
        self._bench.document.end(None)

    def _clips_changed(self) -> None:
        document = self._bench.document
        if document.run is not None and document.run.key not in document.entries:
            self._drop()

    def _model_changed(self) -> None:
        document = self._bench.document
        if document.run is not None and (document.model is None or document.run.model != document.model.name):
            self._drop()

    def _progress(self, answer: Answer) -> None:
        document = self._bench.document
        if isinstance(answer.value, Snapshot):
            document.advance(answer.value)
        elif document.run is not None and answer.value == STOPPED:
            document.run.stopped = True
            document.tell("run")
        elif document.run is not None:
            document.run.trail = answer.value

    def _done(self, answer: Answer) -> None:
        document, outcome = self._bench.document, answer.value
        document.end(outcome)
        for warning in outcome.warnings:
            self._bench.say(warning, WARNING)
        if self._live:
            self._designed()

    def _failed(self, answer: Answer) -> None:
        self._bench.document.end(None)
        self._bench.say_failure(answer)

    def _cancelled(self, answer: Answer) -> None:
        self._bench.document.end(None)
