"""What the window asks of the engine's lane. Each request is complete in itself; the workshop does the work."""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mirguard.clip import Clip
from mirguard.workbench.design import Design
from mirguard.workbench.lanes import Job, Request

if TYPE_CHECKING:
    from mirguard.datasets.labelled import LabelledSet
    from mirguard.experiment import Outcome

_numbers = itertools.count(1)

# Small questions about what is on screen go before everything else, background work behind it.
ON_SCREEN, BACKGROUND = 20, 10
# Training takes longest of all: even an attack is served in its rests.
TRAINING = -10


@dataclass(frozen=True)
class LoadModel(Request):
    """Make a model ready, fetching it if need be -> ModelFacts; progress is (sentence, fraction or None)."""

    urgency: ClassVar[int] = ON_SCREEN + 2
    name: str

    def perform(self, job: Job) -> Any:
        return job.workshop.load_model(self.name, job)


@dataclass(frozen=True)
class ReadReference(Request):
    """The detectors fitted on a model -> ReferenceFacts (which may say that there are none)."""

    urgency: ClassVar[int] = ON_SCREEN
    model: str
    fpr: float

    def perform(self, job: Job) -> Any:
        return job.workshop.reference_facts(self.model, self.fpr)


@dataclass(frozen=True)
class Classify(Request):
    """What the model says of a clip -> Decision."""

    urgency: ClassVar[int] = BACKGROUND
    key: int
    clip: Clip = field(repr=False)
    model: str

    @property
    def slot(self) -> Hashable:
        return "Classify", self.key

    def perform(self, job: Job) -> Any:
        return job.workshop.classify(self.model, self.clip, job)


@dataclass(frozen=True)
class ClassifyOnScreen(Classify):
    """The same for the clip that the person looks at."""

    urgency: ClassVar[int] = ON_SCREEN + 1


@dataclass(frozen=True)
class Detect(Request):
    """What detectors say of one sound of a clip -> Readings, none where none is fitted."""

    urgency: ClassVar[int] = ON_SCREEN
    key: int
    side: str
    clip: Clip = field(repr=False)
    model: str
    fpr: float

    @property
    def slot(self) -> Hashable:
        return "Detect", self.side

    def perform(self, job: Job) -> Any:
        return job.workshop.detect(self.model, self.clip, self.fpr, job)


@dataclass(frozen=True)
class DetectAtRest(Detect):
    """The same by those detectors that take their time, when there is nothing else to do."""

    urgency: ClassVar[int] = BACKGROUND

    @property
    def slot(self) -> Hashable:
        return "DetectAtRest", self.side

    def perform(self, job: Job) -> Any:
        return job.workshop.detect(self.model, self.clip, self.fpr, job, slow=True)


@dataclass(frozen=True)
class Attack(Request):
    """Attack a clip as designed -> Outcome; progress is Snapshot, STOPPED once a cancelled attack computes no more, and at the end
    the Trail."""

    key: int
    clip: Clip = field(repr=False)
    model: str
    design: Design
    fpr: float

    def perform(self, job: Job) -> Any:
        return job.workshop.attack(self, job)


STOPPED = "stopped"


@dataclass(frozen=True)
class BuildReference(Request):
    """Fit detectors on a folder of clean clips, for a model -> (ReferenceFacts, sentences about what was left out); progress as
    for LoadModel."""

    model: str
    folder: Path
    fpr: float

    def perform(self, job: Job) -> Any:
        return job.workshop.build_reference(self.model, self.folder, self.fpr, job)


@dataclass(frozen=True)
class ExportSound(Request):
    """Write the adversarial sound or the perturbation, read the file again and classify it -> Export."""

    urgency: ClassVar[int] = ON_SCREEN
    outcome: Outcome = field(repr=False)
    model: str
    what: str
    path: Path
    subtype: str
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def slot(self) -> Hashable:
        return "ExportSound", self.number

    def perform(self, job: Job) -> Any:
        return job.workshop.export(self)


@dataclass(frozen=True)
class TrainClassifier(Request):
    """Train a classifier on a divided labelled set and keep it in the catalogue -> Trained; progress is TrainingProgress.
    `settings` are the method's parameters that a person has set."""

    urgency: ClassVar[int] = TRAINING
    dataset: LabelledSet = field(repr=False)
    name: str
    method: str
    seed: int = 0
    settings: tuple[tuple[str, Any], ...] = ()

    def perform(self, job: Job) -> Any:
        return job.workshop.train(self, job)


@dataclass(frozen=True)
class MakeUniversal(Request):
    """Make a universal perturbation for a model and keep it under `name` -> (Universal, sentences on files left out); progress as
    for LoadModel. Three of ten of the clips, from a folder or given, are held out."""

    urgency: ClassVar[int] = TRAINING
    model: str
    name: str
    method: str
    snr: float
    target: str | None = None
    folder: Path | None = None
    clips: tuple[Clip, ...] = field(default=(), repr=False)

    def perform(self, job: Job) -> Any:
        return job.workshop.make_universal(self, job)


@dataclass(frozen=True)
class AddModel(Request):
    """Put a model that somebody brings into the catalogue, once it has been tried -> (its ModelInfo, a sentence);
    progress as for LoadModel."""

    urgency: ClassVar[int] = ON_SCREEN + 1
    source: Path

    def perform(self, job: Job) -> Any:
        return job.workshop.add_model(self.source, job)


@dataclass(frozen=True)
class RemoveModel(Request):
    """Take one of the person's own models out of the catalogue, files and all -> its name."""

    urgency: ClassVar[int] = ON_SCREEN + 1
    name: str

    def perform(self, job: Job) -> str:
        return job.workshop.remove_model(self.name)
