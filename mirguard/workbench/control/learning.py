"""From a labelled folder to a classifier of one's own: what is known of it on the way, and what is asked of the lanes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from mirguard.workbench.bench import Bench
from mirguard.workbench.data_requests import CheckData, DivideData, ScanData
from mirguard.workbench.lanes import Answer
from mirguard.workbench.pictures import ListModels
from mirguard.workbench.requests import TrainClassifier

if TYPE_CHECKING:
    from mirguard.datasets.labelled import LabelledSet
    from mirguard.datasets.leakage import Leakage

SCAN, CHECK, DIVIDE, TRAIN = "ScanData", "CheckData", "DivideData", "TrainClassifier"
TEST_SHARE = 0.2


@dataclass(eq=False)
class Course:
    """Everything about the classifier that is being made. Sentences are "" while there is nothing to say."""

    source: Path | None = None
    group_by: str = "auto"
    known: str = ""  # a published collection, which says itself what belongs together
    reading: tuple[str, float | None] | None = None  # what the scan is doing, while it does
    trouble: str = ""  # why there is no data
    found: LabelledSet | None = None  # as read, doubles joined once they are known
    checking: tuple[str, float | None] | None = None
    leakage: Leakage | None = None
    unchecked: str = ""  # why there could be no check
    seed: int = 0
    test: float = TEST_SHARE
    divided: LabelledSet | None = None
    undivided: str = ""  # why it cannot be divided like that

    wanted: TrainClassifier | None = None  # what is being trained, or will be once the check is through
    progress: Any = None  # models.training's TrainingProgress, the last one
    began: float = 0.0
    stage_began: float = 0.0
    cancelling: bool = False
    failure: str = ""  # why the training came to nothing
    trained: Any = None
    epochs: list = field(default_factory=list)

    @property
    def training(self) -> bool:
        return self.wanted is not None

    @property
    def ready(self) -> bool:
        """Whether training can begin with this data."""
        return self.divided is not None and not self.training

    @property
    def seconds_left(self) -> float | None:
        """An estimate of what the stage at work still takes; None where there is nothing to go by."""
        done = getattr(self.progress, "fraction", None)
        passed = time.monotonic() - self.stage_began
        return None if not done or done < 0.02 or passed < 0.5 else passed * (1 - done) / done

    @property
    def clean(self) -> bool:
        """Whether the sounds were compared and nothing was found to complain of."""
        found = self.leakage
        return found is not None and not (
            found.duplicates or found.straddling or found.artists or found.silent or found.unreadable
        )

    def warnings(self) -> list[str]:
        """What a person should know before trusting a figure, each sentence once."""
        said: list[str] = list(self.leakage.sentences) if self.leakage and not self.clean else []
        said += self.found.warnings if self.found else ()
        said += self.divided.warnings if self.divided else ()
        said += [self.unchecked] if self.unchecked else []
        return list(dict.fromkeys(said))


class Learning(QObject):
    """Scans, checks, divides and trains; `changed` says that the course is to be shown again."""

    changed = Signal()
    progressed = Signal()  # the same for what changes many times a second
    finished = Signal()  # a training has come to its end: done, failed or cancelled

    def __init__(self, bench: Bench, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench = bench
        self.course = Course()
        bench.on(ScanData, self._scanned, self._reading, self._unreadable, self._unreadable)
        bench.on(CheckData, self._checked, self._checking, self._uncheckable, self._uncheckable)
        bench.on(DivideData, self._divided, None, self._undividable)
        bench.on(TrainClassifier, self._trained, self._training, self._untrained, self._untrained)

    # --- data ---

    def scan(self, path: str | Path, group_by: str = "auto", known: str = "") -> None:
        """Read this folder or CSV, or the published collection `known` that lies there; what was read before is forgotten.
        `group_by` says what stays together (labelled_folder)."""
        self.forget_data()
        self.course.group_by, self.course.known = group_by, known
        self.course.source = Path(path).expanduser().absolute()
        self.course.reading = ("Looking for sounds …", None)
        self._bench.pictures.ask(ScanData(self.course.source, group_by, known))
        self.changed.emit()

    def forget_data(self) -> None:
        """Stop looking at the data and know nothing of it; a training on it is given up."""
        for slot in (SCAN, CHECK, DIVIDE):
            self._bench.pictures.forget(slot)
        kept = self.course
        self.course = Course(seed=kept.seed, test=kept.test)
        if kept.training:
            self._bench.engine.forget(TRAIN)
        self.changed.emit()

    def divide(self, seed: int, test: float) -> None:
        """Another division of the same data."""
        course = self.course
        if (seed, test) != (course.seed, course.test):
            course.seed, course.test = seed, test
            self._divide()

    def _divide(self) -> None:
        if self.course.found is not None:
            self._bench.pictures.ask(DivideData(self.course.found, self.course.seed, self.course.test))

    def _reading(self, answer: Answer) -> None:
        self.course.reading = answer.value
        self.progressed.emit()

    def _scanned(self, answer: Answer) -> None:
        course = self.course
        course.reading, course.found = None, answer.value
        course.checking = ("Looking for the same sound twice …", None)
        self._divide()
        self._bench.pictures.ask(CheckData(answer.value))
        self.changed.emit()

    def _unreadable(self, answer: Answer) -> None:
        self.course.reading = None
        self.course.trouble = answer.value or "" if answer.state == "failed" else ""
        self.changed.emit()

    def _checking(self, answer: Answer) -> None:
        self.course.checking = answer.value
        self.progressed.emit()

    def _checked(self, answer: Answer) -> None:
        course = self.course
        course.checking = None
        course.leakage, joined = answer.value
        if joined != course.found:
            course.found, course.divided = joined, None
            self._divide()
        self._go_on()
        self.changed.emit()

    def _uncheckable(self, answer: Answer) -> None:
        self.course.checking = None
        if answer.state == "failed":
            self.course.unchecked = f"The sounds could not be compared with one another: {answer.value}"
        self._go_on()
        self.changed.emit()

    def skip_check(self) -> None:
        """Train without having compared the sounds; the card will say so."""
        if self.course.checking is not None:
            self._bench.pictures.forget(CHECK)
            self.course.checking = None
            self.course.unchecked = "The sounds were not compared with one another, so some may be there twice."
            self._go_on()
            self.changed.emit()

    def _divided(self, answer: Answer) -> None:
        self.course.divided, self.course.undivided = answer.value, ""
        self._go_on()
        self.changed.emit()

    def _undividable(self, answer: Answer) -> None:
        self.course.divided, self.course.undivided = None, answer.value
        if self.course.training:
            self.course.wanted, self.course.failure = None, answer.value
            self.finished.emit()
        self.changed.emit()

    # --- training ---

    def train(self, name: str, method: str, settings: Mapping[str, Any]) -> bool:
        """Train on the data as divided, once it has been looked through for doubles; False where there is none."""
        course = self.course
        if not course.ready:
            return False
        course.wanted = TrainClassifier(course.divided, name, method, course.seed, tuple(settings.items()))
        course.progress, course.trained, course.failure = None, None, ""
        course.epochs, course.cancelling = [], False
        course.began = course.stage_began = time.monotonic()
        self._go_on()
        self.changed.emit()
        return True

    def _go_on(self) -> None:
        """Hand the training to the engine when nothing has to be waited for any more."""
        course, wanted = self.course, self.course.wanted
        if wanted is None or course.checking is not None or course.divided is None:
            return
        if course.progress is None and not self._bench.engine.holds(TRAIN):
            # What was found in comparing the sounds belongs on the model's card.
            dataset = replace(course.divided, warnings=tuple(course.warnings()))
            course.wanted = TrainClassifier(dataset, wanted.name, wanted.method, wanted.seed, wanted.settings)
            course.began = course.stage_began = time.monotonic()
            self._bench.engine.ask(course.wanted)

    def cancel(self) -> bool:
        """Stop the training; True if there was one. Nothing of it stays."""
        course = self.course
        if not course.training:
            return False
        course.cancelling = True
        if not self._bench.engine.cancel(TRAIN):
            self._end()  # it still waited for the check
        self.changed.emit()
        return True

    def _training(self, answer: Answer) -> None:
        course = self.course
        if course.progress is None or course.progress.stage != answer.value.stage:
            course.stage_began = time.monotonic()
        course.progress = answer.value
        if answer.value.epoch is not None:
            course.epochs.append(answer.value.epoch)
        self.progressed.emit()

    def _trained(self, answer: Answer) -> None:
        self.course.trained = answer.value
        self._bench.pictures.ask(ListModels())
        self._end()

    def _untrained(self, answer: Answer) -> None:
        self.course.failure = answer.value if answer.state == "failed" else ""
        if answer.details:
            self._bench.say_failure(answer)  # unforeseen: with its details, for a report
        self._end()

    def _end(self) -> None:
        self.course.wanted, self.course.cancelling = None, False
        self.finished.emit()
        self.changed.emit()
