"""What is asked of the engine's lane about sounds that go through the channel."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mirguard.channel.chain import Chain, apply
from mirguard.clip import Clip
from mirguard.workbench.lanes import Job, Request

if TYPE_CHECKING:
    from mirguard.experiment import Outcome
    from mirguard.experiment.survival import Survived
    from mirguard.models.decision import Decision


@dataclass(frozen=True)
class Passed:
    """What comes out of one draw of the channel, and what the model says of it, each by side."""

    sounds: dict[str, Clip] = field(repr=False)
    decisions: dict[str, Decision]


@dataclass(frozen=True)
class PassThrough(Request):
    """Sounds of a clip through one draw of the channel, the same one for all of them -> Passed."""

    urgency: ClassVar[int] = 5  # somebody waits to hear it; an attack may rest for it
    key: int
    sounds: tuple[tuple[str, Clip], ...] = field(repr=False)
    model: str
    chain: Chain
    draw: int

    def perform(self, job: Job) -> Passed:
        sounds, decisions = {}, {}
        for side, clip in self.sounds:
            sounds[side] = through(self.chain, clip, self.draw)
            decisions[side] = job.workshop.classify(self.model, sounds[side], job)
        return Passed(sounds, decisions)


@dataclass(frozen=True)
class Survive(Request):
    """How often a result still fools the model behind the channel -> Survived; progress is the share that is done."""

    key: int
    clip: Clip = field(repr=False)
    outcome: Outcome = field(repr=False)
    model: str
    chain: Chain
    draws: int

    def perform(self, job: Job) -> Survived:
        from mirguard.experiment import survival

        found = survival.survival(
            job.workshop.model(self.model),
            [survival.Pair.of(self.clip, self.outcome)],
            [survival.through(self.chain)],
            self.draws,
            progress=lambda _words, share: job.progress(share),
            rest=job.rest,
        )
        return found.rows[0]


def through(chain: Chain, clip: Clip, draw: int) -> Clip:
    """A clip as recorded behind the channel: what lies beyond full scale is cut off, as in any file."""
    samples = np.clip(apply(chain, clip.samples, clip.sample_rate, draw), -1.0, 1.0)
    return replace(clip, samples=samples)
