"""Making a hardened model as a long job of the engine, one at a time; what was interrupted can go on."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from mirguard.resources import data_folder
from mirguard.workbench.bench import Bench
from mirguard.workbench.control.learning import Course
from mirguard.workbench.defence_requests import HardenModel
from mirguard.workbench.lanes import Answer
from mirguard.workbench.pictures import ListModels
from mirguard.workbench.settings import Settings

HARDEN = "HardenModel"


@dataclass(frozen=True)
class Interrupted:
    """A hardening that was begun and not finished: what was asked for, and so many epochs that are kept."""

    wish: HardenModel
    epochs: int


class Hardening(QObject):
    """`course` is what is known of the model that is being made; of a Course's fields those of its training count."""

    changed = Signal()
    progressed = Signal()  # the same for what changes many times a second
    finished = Signal()  # it has come to its end: done, failed or cancelled

    def __init__(self, bench: Bench, settings: Settings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench, self._settings = bench, settings
        self.course = Course()
        bench.on(HardenModel, self._made, self._progress, self._ended, self._ended)

    def begin(self, wish: HardenModel) -> None:
        """Make what is wished for. What is asked for is remembered, so that it can go on another day."""
        now = time.monotonic()
        self.course = Course(wanted=wish, began=now, stage_began=now)
        asked = asdict(replace(wish, resume=False)) | {"folder": str(wish.folder) if wish.folder else ""}
        self._settings.keep_unfinished(wish.name, json.dumps(asked))
        self._bench.engine.ask(wish)
        self.changed.emit()

    def interrupted(self) -> list[Interrupted]:
        """What was begun here and is not finished, of which at least one epoch is kept."""
        found = []
        for name, text in self._settings.unfinished.items():
            epochs = _epochs_kept(name)
            with suppress(ValueError, TypeError, KeyError):  # kept by another version
                asked = json.loads(text)
                asked["folder"] = Path(asked["folder"]) if asked["folder"] else None
                asked["settings"] = tuple((key, value) for key, value in asked["settings"])
                if epochs:
                    found.append(Interrupted(HardenModel(**asked), epochs))
        return found

    def discard(self, name: str) -> None:
        """Let go of what was begun under that name."""
        shutil.rmtree(data_folder() / "unfinished" / name, ignore_errors=True)
        self._settings.forget_unfinished(name)
        self.changed.emit()

    def cancel(self) -> bool:
        """Stop; True if one was being made. The epochs done until then are kept to go on from."""
        course = self.course
        if not course.training or not self._bench.engine.cancel(HARDEN):
            return False
        course.cancelling = True
        self.changed.emit()
        return True

    def _progress(self, answer: Answer) -> None:
        course = self.course
        if course.progress is None or course.progress.stage != answer.value.stage:
            course.stage_began = time.monotonic()
        course.progress = answer.value
        if answer.value.epoch is not None:
            course.epochs.append(answer.value.epoch)
        self.progressed.emit()

    def _made(self, answer: Answer) -> None:
        self.course.trained = answer.value
        self._settings.forget_unfinished(answer.request.name)
        self._bench.pictures.ask(ListModels())
        self._end()

    def _ended(self, answer: Answer) -> None:
        self.course.failure = answer.value if answer.state == "failed" else ""
        if answer.details:
            self._bench.say_failure(answer)  # unforeseen: with its details, for a report
        if not _epochs_kept(answer.request.name):
            self.discard(answer.request.name)  # nothing to go on from
        self._end()

    def _end(self) -> None:
        self.course.wanted, self.course.cancelling = None, False
        self.finished.emit()
        self.changed.emit()


def _epochs_kept(name: str) -> int:
    """How many epochs of an unfinished training are kept: its newest file of weights is called STAGE-EPOCH.safetensors."""
    kept = (data_folder() / "unfinished" / name).glob("*-*.safetensors")
    return max(
        (int(path.stem.rpartition("-")[2]) for path in kept if path.stem.rpartition("-")[2].isdigit()), default=0
    )
