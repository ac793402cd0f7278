"""What is known of a model, a reference, a running attack and a clip: the parts that the document is made of."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mirguard.clip import Clip
from mirguard.workbench.design import Design

if TYPE_CHECKING:
    from mirguard.detectors.reading import Reading
    from mirguard.experiment import Outcome
    from mirguard.experiment.baseline import Baseline
    from mirguard.experiment.insight.keeping import Trail
    from mirguard.models.decision import Decision

Heard = tuple[int, tuple[float, ...]]  # the number of a look at the model, and the probabilities of all labels there
MAIN = "kde"  # the detector that is shown first
ORIGINAL, ADVERSARIAL, PERTURBATION = SIDES = ("original", "adversarial", "perturbation")


@dataclass(frozen=True)
class ModelFacts:
    """What the window needs to know of a loaded model; the model itself never leaves the engine's thread."""

    name: str
    title: str
    note: str
    task: str
    labels: tuple[str, ...]
    sample_rate: int
    window: int
    layers: tuple[str, ...]
    hash: str
    differentiable: bool = True


@dataclass(frozen=True)
class DetectorFacts:
    """A detector fitted on the chosen model: the scores of clean clips, the threshold at the chosen rate or the sentence why
    there is none (`trouble`), how many clips it rests on, and which layers it reads. `slow`: it is read when the engine rests."""

    name: str
    size: int
    clean_scores: tuple[float, ...]
    threshold: float | None
    layers: tuple[str, ...]
    origin: str
    trouble: str = ""
    evades: bool = True
    slow: bool = False


@dataclass(frozen=True)
class ReferenceFacts:
    """The detectors fitted on the chosen model, and the sentence why there is none."""

    detectors: tuple[DetectorFacts, ...] = ()
    absent: str = ""

    @property
    def main(self) -> DetectorFacts | None:
        """The one that is shown where there is room for one."""
        return next((one for one in self.detectors if one.name == MAIN), self.detectors[0] if self.detectors else None)

    @property
    def trouble(self) -> str:
        """Why nothing can be flagged, where that is so."""
        if any(not one.trouble for one in self.detectors):
            return ""
        return self.main.trouble if self.main is not None else self.absent

    @property
    def size(self) -> int:
        """Clean clips."""
        return 0 if self.main is None else self.main.size

    @property
    def clean_scores(self) -> tuple[float, ...]:
        return () if self.main is None else self.main.clean_scores

    @property
    def threshold(self) -> float | None:
        return None if self.main is None else self.main.threshold


@dataclass(frozen=True)
class Snapshot:
    """A moment of a running attack, made on the engine's thread for the window. `points` are the (loss, margin, SNR)
    of every look since the snapshot before, `heard` (number of the look, probabilities) of some of them; `delta` the mono
    perturbation `(frames,)`, where it was copied this time."""

    gradients: int
    total: int | None
    loss: float
    margin: float
    snr_db: float
    success: bool
    decision: Decision
    seconds: float
    points: tuple[tuple[float, float, float], ...]
    delta: np.ndarray | None = None
    readings: tuple[Reading, ...] = ()
    heard: tuple[Heard, ...] = ()
    forwards: int = 0


@dataclass(frozen=True, eq=False)
class Moment:
    """Another perturbation than the result's that is shown and played for a while: a step of the attack, or the perturbation at
    another size. `words` say which; `sounds` hold the adversarial sound and the perturbation."""

    words: str
    sounds: dict[str, Clip]
    decision: Decision | None
    snr_db: float | None
    look: int | None = None
    scale: float | None = None  # times the result's perturbation


@dataclass(eq=False)
class Run:
    """The attack at work: on which clip, as designed when it began, what has been seen of it so far."""

    key: int
    request: int
    design: Design
    model: str
    began: float = field(default_factory=time.monotonic)
    cancelling: bool = False
    stopped: bool = False  # cancelled, computes no more, and only measures what it reached
    last: Snapshot | None = None
    trace: list[tuple[float, float, float]] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    trail: Trail | None = None

    @property
    def spent(self) -> tuple[int, int | None, str]:
        """How many looks were taken, of how many at the most, and what they are: gradients, or queries of a black box."""
        last, gradients = self.last, self.design.declaration.gradients
        if gradients:
            return (last.gradients, last.total, "gradient") if last else (0, None, "gradient")
        most = self.design.most_queries
        return (last.forwards if last else 0), most, "query"

    @property
    def fraction(self) -> float | None:
        done, total, _what = self.spent
        return min(1.0, done / total) if self.last is not None and total else None

    @property
    def seconds_left(self) -> float | None:
        """An estimate from the pace so far; None before the first gradients."""
        done, total, _what = self.spent
        if self.last is None or not total or done < 1:
            return None
        return self.last.seconds / done * max(0, total - done)


@dataclass(eq=False)
class Entry:
    """One loaded clip and what is known of it. `decision` and `readings` are of the document's model."""

    key: int
    clip: Clip
    rms: float
    decision: Decision | None = None
    trouble: str = ""
    outcome: Outcome | None = None
    made_with: tuple[Design, str] | None = None  # the design and the model's name the outcome came from
    trace: list[tuple[float, float, float]] = field(default_factory=list)
    trail: Trail | None = None
    baseline: Baseline | None = None
    readings: dict[str, tuple[Reading, ...]] = field(default_factory=dict)  # by side

    @property
    def name(self) -> str:
        return self.clip.name

    @property
    def stand_ins(self) -> tuple[str, ...]:
        """The models that the attack saw instead of the one that it was to fool: what was heard on the way, they heard."""
        return self.made_with[0].surrogates if self.made_with else ()

    @property
    def heard(self) -> Sequence[Heard]:
        """The probabilities along the attack that led to the result."""
        return self.trail.heard if self.trail else ()
