"""Whole files under attack: the first windows of each, each attacked for itself, and what is made of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from mirguard.models.decision import Decision, decide
from mirguard.models.tracks import Track

if TYPE_CHECKING:
    from mirguard.checks.record import Record

MOST_WINDOWS = 4  # of a file


@dataclass(frozen=True)
class Files:
    """Windows `x (n, window)` of files that the model hears rightly, the class `labels (n,)` of the file each is of, and of each
    file the numbers of its windows and which clip of the sounds it is."""

    x: torch.Tensor
    labels: torch.Tensor
    rows: tuple[tuple[int, ...], ...]
    clips: tuple[int, ...]

    @cached_property
    def own(self) -> torch.Tensor:
        """The class of each file `(files,)`."""
        return self.labels[[rows[0] for rows in self.rows]]

    def decisions(self, z: torch.Tensor, record: Record) -> list[Decision]:
        """What the model says of each file by the logits `(n, K)` of all windows."""
        return [decide(z[list(rows)], record.model.labels, record.model.task) for rows in self.rows]

    def right(self, z: torch.Tensor, record: Record) -> torch.Tensor:
        """A mask `(files,)` of those that are still heard as what they are."""
        said = [record.model.index(one.label) for one in self.decisions(z, record)]
        return torch.tensor(said) == self.own


def files_of(record: Record) -> Files:
    model, sounds = record.model, record.sounds
    windows: list[torch.Tensor] = []
    labels: list[int] = []
    rows: list[tuple[int, ...]] = []
    clips: list[int] = []
    for number, (clip, truth) in enumerate(zip(sounds.clips, sounds.truths, strict=True)):
        track = Track(clip, model)
        heard = track.piece(0, min(track.windows, MOST_WINDOWS)).cpu().clamp(-1.0, 1.0)
        heard = heard[heard.abs().amax(1) > 0]
        if not len(heard):
            continue
        said = decide(logits_of(record, heard), model.labels, model.task)
        if truth is None or said.label == truth:
            rows.append(tuple(range(len(windows), len(windows) + len(heard))))
            windows += heard
            labels += [model.index(said.label)] * len(heard)
            clips.append(number)
    if not windows:
        return Files(record.x[:0], record.labels[:0], (), ())
    return Files(torch.stack(windows), torch.tensor(labels), tuple(rows), tuple(clips))


def logits_of(record: Record, x: torch.Tensor) -> torch.Tensor:
    """`(n, window)` -> `(n, K)`."""
    parts = []
    for part in x.split(record.model.micro_batch):
        record.pause()
        with torch.no_grad():
            parts.append(record.model.logits(part.to(record.model.device)).cpu())
    return torch.cat(parts)


def numbered(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """The file that each window `(n,)` is of."""
    return torch.tensor([file for file, mine in enumerate(rows) for _row in mine])
