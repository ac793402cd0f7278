"""What the window asks of the engine's lane about defences: a hardened model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mirguard.workbench.lanes import Job, Request
from mirguard.workbench.requests import TRAINING

if TYPE_CHECKING:
    from mirguard.datasets.labelled import LabelledSet
    from mirguard.models.training.make import Trained


@dataclass(frozen=True)
class HardenModel(Request):
    """Make a hardened model out of `parent` and keep it in the catalogue under `name` -> Trained; progress is TrainingProgress.

    It learns from the labelled sounds in `folder` (a folder or table), or, without one, from so many `toy` clips. With `resume` the
    same request goes on where it was interrupted. `settings` are the defence's parameters that a person has set."""

    urgency: ClassVar[int] = TRAINING
    parent: str
    name: str
    defence: str
    folder: Path | None = None
    toy: int = 0
    seed: int = 0
    resume: bool = False
    settings: tuple[tuple[str, Any], ...] = ()

    def perform(self, job: Job) -> Trained:
        from mirguard.defences.catalogue import find_defence
        from mirguard.defences.defend import check_parent, defend
        from mirguard.parameters import resolve
        from mirguard.workbench.workshop import spare_the_collector

        defence = find_defence(self.defence)
        resolve(defence.parameters, dict(self.settings))  # what can be refused before an hour of learning, is
        parent = check_parent(job.workshop.model(self.parent), defence)
        made = defend(
            parent,
            self._sounds(job),
            self.name,
            defence.name,
            seed=self.seed,
            resume=self.resume,
            progress=job.progress,
            cancel=job.cancel,
            rest=job.rest,
            **dict(self.settings),
        )
        spare_the_collector()
        return replace(made, classifier=None)

    def _sounds(self, job: Job) -> LabelledSet:
        """The labelled sounds, recordings that come twice kept together, and divided."""
        from mirguard.datasets.folder import labelled_folder
        from mirguard.datasets.leakage import check_leakage, join_duplicates
        from mirguard.datasets.splits import split
        from mirguard.models.training.progress import HEARING, TrainingProgress

        def tell(sentence: str, fraction: float | None) -> None:
            job.rest()
            job.progress(TrainingProgress(HEARING, fraction, sentence))

        if self.folder is None:
            from mirguard.defences.toy_set import toy_folder

            def made(done: int, of: int) -> None:
                tell(f"Composing toy clips, {done} of {of}", done / of)

            # In this process: another one would have to bring up the whole program first.
            folder = toy_folder(self.toy, workers=1, progress=made, cancel=job.cancel)
            return split(labelled_folder(folder, tell, job.cancel), seed=self.seed)
        found = labelled_folder(self.folder, tell, job.cancel)
        leakage = check_leakage(found, tell, job.cancel)
        if leakage.duplicates or leakage.straddling or leakage.artists:
            found = join_duplicates(found, leakage)
            found = replace(found, warnings=tuple(dict.fromkeys((*found.warnings, *leakage.sentences))))
        return split(found, seed=self.seed)
