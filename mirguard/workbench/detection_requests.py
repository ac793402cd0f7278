"""What the window asks of the engine's lane about detectors: how good they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mirguard.clip import Clip
from mirguard.workbench.insight_requests import AT_LEISURE, FRESH
from mirguard.workbench.lanes import Job, Request

if TYPE_CHECKING:
    from mirguard.experiment.detection_report import DetectionReport


@dataclass(frozen=True)
class MeasureDetectors(Request):
    """How well a model's detectors tell an attack's results from clean and noisy clips -> DetectionReport; progress is (sentence,
    fraction or None).

    `detectors` are names, none for all that are fitted. The clips are `clips`, or at most `count` below `folder`, or, with
    neither, `count` fresh synthetic ones. `settings` are the attack's parameters that a person has set, its budget aside."""

    urgency: ClassVar[int] = AT_LEISURE
    model: str
    attack: str
    snr_db: float
    adaptive: bool
    detectors: tuple[str, ...]
    count: int
    folder: Path | None = None
    clips: tuple[Clip, ...] = field(default=(), repr=False)
    settings: tuple[tuple[str, Any], ...] = ()

    def perform(self, job: Job) -> DetectionReport:
        from mirguard.experiment.detection_report import detection_report

        model = job.workshop.model(self.model)
        detectors = [one for one in job.workshop.detectors(model) if not self.detectors or one.name in self.detectors]
        clips = self._clips(model, job)
        settings = {self.attack: dict(self.settings)} if self.settings else None

        def progress(sentence: str, fraction: float | None) -> None:
            job.progress((f"{sentence[0].upper()}{sentence[1:]} …", fraction))

        return detection_report(
            model,
            clips,
            detectors,
            (self.attack,),
            snr=self.snr_db,
            adaptive=self.adaptive,
            settings=settings,
            progress=progress,
            cancel=job.cancel,
            rest=job.rest,
        )

    def _clips(self, model: Any, job: Job) -> list[Clip]:
        if self.clips:
            return list(self.clips[: self.count])
        if self.folder is not None:
            from mirguard.experiment.sound_set import divided_folder

            def progress(sentence: str, _fraction: float | None) -> None:
                job.rest()
                job.progress((f"{sentence} …", None))

            return divided_folder(self.folder, self.count, 0.0, progress=progress, cancel=job.cancel)[0]
        return _fresh(model, self.count, job)


def _fresh(model: Any, count: int, job: Job) -> list[Clip]:
    """Synthetic clips that no model has learned from and no detector was fitted on, of each instrument as many."""
    from mirguard.datasets.synthesis import compose

    made = []
    for number in range(count):
        job.rest()
        job.progress((f"Composing clip {number + 1} of {count} …", None))
        instrument = model.labels[number % len(model.labels)]
        sound = compose(instrument, FRESH + number, model.sample_rate, split="test")
        made.append(Clip(sound.samples[None], model.sample_rate, provenance={"name": f"{instrument} {number + 1}"}))
    return made
