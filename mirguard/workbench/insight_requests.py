"""What the window asks of the engine's lane to see into a model and an attack. Each request is complete in itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mirguard.clip import Clip
from mirguard.errors import UsageError
from mirguard.workbench.lanes import Job, Request
from mirguard.workbench.requests import BACKGROUND

if TYPE_CHECKING:
    import torch

    from mirguard.experiment import Outcome
    from mirguard.experiment.baseline import Baseline
    from mirguard.experiment.insight.response import Response, Surface
    from mirguard.experiment.insight.saliency import Slopes
    from mirguard.experiment.transfer import TransferMatrix
    from mirguard.models.contract import Classifier

FRESH = 1_000_000  # seeds that no dataset of sensible size uses
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


@dataclass(frozen=True)
class CountTransfer(Request):
    """What an attack made on each of some models does to all of them -> TransferMatrix; progress is (sentence, fraction).

    `toy`: on so many fresh synthetic `sounds`, which no model has learned from; else on windows of `clips`."""

    urgency: ClassVar[int] = AT_LEISURE
    attack: str
    goal: str
    snr_db: float
    sounds: int
    toy: bool
    ensembles: bool
    models: tuple[str, ...]
    clips: tuple[Clip, ...] = field(repr=False)

    def perform(self, job: Job) -> TransferMatrix:
        from mirguard.attacks.catalogue import find_attack
        from mirguard.experiment.insight.transfer_sounds import windows_of
        from mirguard.experiment.transfer import transfer_matrix

        models = [job.workshop.model(name) for name in self.models]
        usable = [model for model in models if model.differentiable or not find_attack(self.attack).gradients]
        groups = [(model,) for model in usable]
        if self.ensembles and len(usable) > 2:
            groups += [tuple(model for model in usable if model is not left) for left in usable]
        if not usable:
            raise UsageError(f"None of these models gives gradients, which {self.attack} needs; choose another attack.")
        if self.toy:
            x, truth = _toy_sounds(models[0], self.sounds, job)
        else:
            x, truth = windows_of(self.clips, models[0], self.sounds, job.rest)
        steps = ["White noise", *(" + ".join(model.title for model in group) for group in groups), "All done"]

        def progress(done: int, total: int) -> None:
            job.progress((f"{done + 1} of {total}: {steps[done]} …" if done < total else "Counting …", done / total))

        return transfer_matrix(
            groups,
            models,
            x,
            truth,
            self.attack,
            snr=self.snr_db,
            goal=self.goal,
            progress=progress,
            cancel=job.cancel,
            rest=job.rest,
        )


def _toy_sounds(model: Classifier, count: int, job: Job) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Synthetic sounds `(count, window)` as the model hears them, of each instrument as many, and which instruments they are."""
    import torch

    from mirguard.datasets.synthesis import compose

    rows, truth = [], []
    for number in range(count):
        job.rest()
        job.progress((f"Composing sound {number + 1} of {count} …", 0.0))
        instrument = model.labels[number % len(model.labels)]
        seconds = model.window / model.sample_rate
        sound = compose(instrument, FRESH + number, model.sample_rate, seconds, split="test")
        rows.append(torch.from_numpy(sound.samples[: model.window].copy()))
        truth.append(instrument)
    return torch.stack(rows), tuple(truth)
