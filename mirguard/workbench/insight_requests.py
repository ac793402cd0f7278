"""What the window asks of the engine's lane to see into a model and an attack. Each request is complete in itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mirguard.clip import Clip
from mirguard.workbench.lanes import Job, Request
from mirguard.workbench.requests import BACKGROUND

if TYPE_CHECKING:
    from mirguard.experiment import Outcome
    from mirguard.experiment.baseline import Baseline
    from mirguard.experiment.insight.response import Response, Surface
    from mirguard.experiment.insight.saliency import Slopes

AT_LEISURE = -5  # behind attacks, which are served in between


@dataclass(frozen=True)
class FindSlopes(Request):
    """What the logit of a label hangs on in a clip -> Slopes."""

    urgency: ClassVar[int] = BACKGROUND
    key: int
    clip: Clip = field(repr=False)
    model: str
    label: str

    def perform(self, job: Job) -> Slopes:
        from mirguard.experiment.insight.saliency import slopes

        return slopes(job.workshop.model(self.model), self.clip, self.label, job.rest)


@dataclass(frozen=True)
class Respond(Request):
    """How the model answers along a perturbation -> Response; progress is a coarser Response."""

    urgency: ClassVar[int] = BACKGROUND
    key: int
    clip: Clip = field(repr=False)
    delta: np.ndarray = field(repr=False, compare=False)
    model: str
    reach: float

    def perform(self, job: Job) -> Response:
        from mirguard.experiment.insight.response import respond

        model = job.workshop.model(self.model)
        return respond(model, self.clip, self.delta, self.reach, rest=job.rest, progress=job.progress)


@dataclass(frozen=True)
class MapSurface(Request):
    """The margin over the perturbation and a second direction -> Surface; progress is a Surface with holes."""

    urgency: ClassVar[int] = AT_LEISURE
    key: int
    clip: Clip = field(repr=False)
    delta: np.ndarray = field(repr=False, compare=False)
    model: str
    label: str
    target: str | None
    across: str
    reach: float

    def perform(self, job: Job) -> Surface:
        from mirguard.experiment.insight.response import surface

        model, how = job.workshop.model(self.model), {"across": self.across, "reach": self.reach}
        return surface(
            model, self.clip, self.delta, self.label, self.target, rest=job.rest, progress=job.progress, **how
        )


@dataclass(frozen=True)
class TryNoise(Request):
    """How often white noise at a result's SNR does what the result does -> Baseline."""

    urgency: ClassVar[int] = AT_LEISURE
    key: int
    clip: Clip = field(repr=False)
    outcome: Outcome = field(repr=False)
    model: str

    def perform(self, job: Job) -> Baseline:
        from mirguard.experiment.baseline import noise_baseline

        return noise_baseline(self.outcome, self.clip, job.workshop.model(self.model), rest=job.rest)
