"""What the window asks of the pictures' lane about labelled data: reading it, looking for doubles, dividing it. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mirguard.workbench.lanes import Job, Request

if TYPE_CHECKING:
    from mirguard.datasets.labelled import LabelledSet

# Drawing what is on the screen goes before all of this.
SCAN, DIVIDE, CHECK = 6, 8, 4


@dataclass(frozen=True)
class ScanData(Request):
    """Read a labelled folder or CSV, or the published collection `known` that lies in `path` -> LabelledSet; progress is
    (sentence, fraction or None)."""

    urgency: ClassVar[int] = SCAN
    path: Path
    group_by: str = "auto"
    known: str = ""

    def perform(self, job: Job) -> LabelledSet:
        if self.known:
            from mirguard.datasets.mirdata_sets import known_set

            return known_set(self.known, self.path, _teller(job), job.cancel)
        from mirguard.datasets.folder import labelled_folder

        return labelled_folder(self.path, _teller(job), job.cancel, group_by=self.group_by)


@dataclass(frozen=True)
class CheckData(Request):
    """Look for the same sound twice -> (Leakage, the set with doubles joined into one group); progress as for ScanData."""

    urgency: ClassVar[int] = CHECK
    dataset: LabelledSet = field(repr=False)

    def perform(self, job: Job) -> Any:
        from mirguard.datasets.leakage import check_leakage, join_duplicates

        leakage = check_leakage(self.dataset, _teller(job), job.cancel)
        return leakage, join_duplicates(self.dataset, leakage)


@dataclass(frozen=True)
class DivideData(Request):
    """Say which clips are learned from, held out and tested on -> LabelledSet with every split filled in."""

    urgency: ClassVar[int] = DIVIDE
    dataset: LabelledSet = field(repr=False)
    seed: int
    test: float

    def perform(self, job: Job) -> LabelledSet:
        from mirguard.datasets.splits import split

        return split(self.dataset, seed=self.seed, test=self.test)


def _teller(job: Job) -> Callable[[str, float | None], None]:
    """Progress of the datasets' work, which is also where the lane rests."""

    def tell(sentence: str, fraction: float | None) -> None:
        job.rest()
        job.progress((sentence, fraction))

    return tell
