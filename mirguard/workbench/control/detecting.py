"""What detectors say of the clip on screen, and the clean reference they rest on."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from mirguard.words import counted
from mirguard.workbench.bench import NOTE, WARNING, Bench
from mirguard.workbench.facts import ADVERSARIAL, ORIGINAL, Snapshot
from mirguard.workbench.lanes import Answer
from mirguard.workbench.requests import Attack, BuildReference, Detect, DetectAtRest, ReadReference


class Detecting(QObject):
    """Asks for a reading of original and adversarial whenever clip, result, model, reference or rate change."""

    building = Signal(str, object)  # a sentence ("" when over), and the fraction done or None

    def __init__(self, bench: Bench, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench = bench
        bench.on(ReadReference, self._reference)
        bench.on(Detect, self._read)
        bench.on(DetectAtRest, self._read)
        bench.on(Attack, progress=self._live)
        bench.on(BuildReference, self._built, self._progress, self._not_built, self._not_built)
        document = bench.document
        document.watch("model", self.read_reference)
        document.watch("fpr", self.read_reference)
        document.watch("current", self.read_current)
        document.watch("outcome", self.read_current)

    def read_reference(self) -> None:
        """What the detectors of the model rest on; readings follow."""
        document = self._bench.document
        if document.model is None:
            return
        for entry in document.entries.values():
            entry.readings.clear()
        document.tell("readings")
        self._bench.engine.ask(ReadReference(document.model.name, document.fpr))

    def read_current(self) -> None:
        """Readings that the clip on screen has not yet got."""
        document = self._bench.document
        entry, model, reference = document.current, document.model, document.reference
        sounds = {} if entry is None else document.sounds(entry)
        for side in (ORIGINAL, ADVERSARIAL):
            wanted = side in sounds and model is not None and reference is not None and not reference.trouble
            wanted = wanted and side not in entry.readings
            for request, slow in ((Detect, False), (DetectAtRest, True)):
                if wanted and any(one.slow == slow and not one.trouble for one in reference.detectors):
                    self._bench.engine.ask(request(entry.key, side, sounds[side], model.name, document.fpr))
                else:
                    self._bench.engine.forget((request.__name__, side))

    def build(self, folder: str | Path) -> None:
        """Build the clean reference of the model in use from a folder of clean music."""
        document = self._bench.document
        if document.model is None:
            self._bench.say("Choose a model first; a reference belongs to one model.", WARNING)
            return
        self.building.emit("Looking through the folder …", None)
        self._bench.engine.ask(BuildReference(document.model.name, Path(folder), document.fpr))

    def cancel_building(self) -> bool:
        return self._bench.engine.cancel("BuildReference")

    def _asked_of(self, answer: Answer) -> bool:
        document = self._bench.document
        return (
            document.model is not None
            and document.model.name == answer.request.model
            and document.fpr == answer.request.fpr
        )

    def _reference(self, answer: Answer) -> None:
        if self._asked_of(answer):
            self._bench.document.set_reference(answer.value)
            self.read_current()

    def _read(self, answer: Answer) -> None:
        if self._asked_of(answer):
            self._bench.document.set_readings(answer.request.key, answer.request.side, answer.value)

    def _live(self, answer: Answer) -> None:
        document, snapshot = self._bench.document, answer.value
        if isinstance(snapshot, Snapshot) and any(reading.fpr == document.fpr for reading in snapshot.readings):
            document.tell("readings")

    def _progress(self, answer: Answer) -> None:
        self.building.emit(*answer.value)

    def _built(self, answer: Answer) -> None:
        self.building.emit("", None)
        facts, skipped = answer.value
        if self._asked_of(answer):
            for entry in self._bench.document.entries.values():
                entry.readings.clear()
            self._bench.document.set_reference(facts)
            self._bench.document.tell("readings")
            self.read_current()
        many = counted(len(facts.detectors), "detector")
        kept = f"{many} fitted on {facts.size} clean clips for {answer.request.model}."
        if skipped:
            more = f" and {len(skipped) - 3} more" if len(skipped) > 3 else ""
            self._bench.say(f"{kept} Left out: {'; '.join(skipped[:3])}{more}.", WARNING)
        else:
            self._bench.say(kept, NOTE)

    def _not_built(self, answer: Answer) -> None:
        self.building.emit("", None)
        if answer.state == "failed":
            self._bench.say_failure(answer)
