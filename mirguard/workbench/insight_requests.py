"""What the window asks of the engine's lane to see into a model and an attack. Each request is complete in itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from mirguard.clip import Clip
from mirguard.workbench.lanes import Job, Request
from mirguard.workbench.requests import BACKGROUND

if TYPE_CHECKING:
    from mirguard.experiment.insight.saliency import Slopes


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
