"""What the window asks of the engine about whether figures are to be believed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from mirguard.clip import Clip
from mirguard.workbench.lanes import Job, Request
from mirguard.workbench.requests import TRAINING

if TYPE_CHECKING:
    from mirguard.checks.finding import Finding


@dataclass(frozen=True)
class CheckModel(Request):
    """All checks of a model at an SNR on so many windows -> its Findings; progress is (sentence, fraction), or a Finding as soon as
    it is made. Without `clips` the checks choose sounds themselves."""

    urgency: ClassVar[int] = TRAINING
    model: str
    snr_db: float
    count: int
    clips: tuple[Clip, ...] = field(default=(), repr=False)

    def perform(self, job: Job) -> tuple[Finding, ...]:
        from mirguard.checks.check import check

        return tuple(
            check(
                job.workshop.model(self.model),
                self.clips or None,
                snr=self.snr_db,
                count=self.count,
                each=job.progress,
                progress=lambda sentence, done: job.progress((sentence, done)),
                cancel=job.cancel,
                rest=job.rest,
            )
        )
