"""What the window asks of the pictures' lane: loading files, spectrograms, outlines. numpy only, no torch."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mirguard.analysis import peaks, spectrogram
from mirguard.analysis.spectrogram import SpectrogramSettings
from mirguard.clip import Clip, load_clip, rms
from mirguard.errors import MirguardError, UsageError
from mirguard.playback.levels import suggest_gain_db
from mirguard.playback.sources import Difference, Sound
from mirguard.sound_files import SOUNDS, unlabelled_folder
from mirguard.workbench.facts import ADVERSARIAL, PERTURBATION, Moment
from mirguard.workbench.lanes import Job, Request

if TYPE_CHECKING:
    from mirguard.experiment.insight.saliency import Slopes
    from mirguard.models.decision import Decision

MOST_FILES = 500  # of one folder

_numbers = itertools.count(1)


@dataclass(frozen=True)
class OpenFiles(Request):
    """Load files, and those in folders. Progress: (path, Clip or the sentence that says why not, its RMS); answer: how many
    came."""

    urgency: ClassVar[int] = 10
    paths: tuple[Path, ...]
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def slot(self) -> Hashable:
        return "OpenFiles", self.number

    def perform(self, job: Job) -> int:
        loaded = 0
        for path in sound_files(self.paths):
            job.rest()
            level = 0.0
            try:
                clip: Clip | str = load_clip(path)
                level = rms(clip.samples)  # of an hour it takes a while, for which the window need not wait
                loaded += 1
            except MirguardError as error:
                clip = str(error)
            job.progress((path, clip, level))
        return loaded


def sound_files(paths: tuple[Path, ...]) -> Iterator[Path]:
    """The files named, and the sound files in the folders named, in order of name. Raises UsageError for a folder with
    none or with more than can be shown."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = unlabelled_folder(path)
        if not found:
            raise UsageError(f"There are no sound files ({', '.join(sorted(SOUNDS))}) in {path}.")
        if len(found) > MOST_FILES:
            raise UsageError(f"{path} holds {len(found)} sound files; open at most {MOST_FILES} at a time.")
        yield from found


@dataclass(frozen=True)
class Draw(Request):
    """The spectrogram of one sound of a clip -> Spectrogram."""

    urgency: ClassVar[int] = 20
    key: int
    side: str
    samples: np.ndarray = field(repr=False, compare=False)
    rate: int
    window: int | None

    @property
    def slot(self) -> Hashable:
        return "Draw", self.side

    def perform(self, job: Job) -> Any:
        mono = self.samples if self.samples.ndim == 1 else self.samples.mean(0, dtype=np.float32)
        drawn = spectrogram.compute(
            mono, self.rate, SpectrogramSettings(window=self.window), cancelled=lambda: resting(job)
        )
        return drawn


def resting(job: Job) -> bool:
    """Serve what is more urgent, then say whether to stop: what the analysis asks between blocks."""
    job.serve()
    return job.cancel.is_set()


@dataclass(frozen=True)
class DrawSaliency(Request):
    """A map of what a label hangs on, from its slopes -> Spectrogram."""

    urgency: ClassVar[int] = 15
    slopes: Slopes = field(repr=False)
    key: int
    clip: Clip = field(repr=False)
    which: str
    window: int | None

    def perform(self, job: Job) -> Any:
        from mirguard.experiment.insight.saliency import draw

        return draw(self.slopes, self.clip, self.which, self.window, lambda: resting(job))


@dataclass(frozen=True)
class Outline(Request):
    """The outline of a whole clip -> Peaks."""

    urgency: ClassVar[int] = 30
    key: int
    clip: Clip = field(repr=False)

    def perform(self, job: Job) -> Any:
        return peaks.compute(self.clip.samples, self.clip.sample_rate, cancelled=lambda: resting(job))


@dataclass(frozen=True)
class MixLive(Request):
    """The adversarial sound while the attack still runs: x + δ on every channel, clipped -> samples `(channels, frames)`."""

    urgency: ClassVar[int] = 25
    key: int
    clip: Clip = field(repr=False)
    delta: np.ndarray = field(repr=False, compare=False)

    def perform(self, job: Job) -> np.ndarray:
        mixed = self.clip.samples + self.delta
        np.clip(mixed, -1.0, 1.0, out=mixed)
        mixed.flags.writeable = False
        return mixed


@dataclass(frozen=True)
class MixMoment(Request):
    """The clip with the perturbation `codes · scale` `(frames,)` on every channel -> Moment."""

    urgency: ClassVar[int] = 25
    key: int
    clip: Clip = field(repr=False)
    codes: np.ndarray = field(repr=False, compare=False)
    scale: float
    words: str
    decision: Decision | None = field(repr=False)
    snr_db: float | None
    look: int | None = None

    def perform(self, job: Job) -> Moment:
        delta = self.codes * np.float32(self.scale)
        mixed = self.clip.samples + delta
        np.clip(mixed, -1.0, 1.0, out=mixed)
        rate = self.clip.sample_rate
        sounds = {ADVERSARIAL: Clip(mixed, rate), PERTURBATION: Clip(delta, rate)}
        return Moment(
            self.words, sounds, self.decision, self.snr_db, self.look, self.scale if self.look is None else None
        )


@dataclass(frozen=True)
class SuggestGain(Request):
    """By how many dB the perturbation must be louder to be heard as well as the original -> dB."""

    urgency: ClassVar[int] = 40
    key: int
    original: np.ndarray = field(repr=False, compare=False)
    adversarial: np.ndarray = field(repr=False, compare=False)

    def perform(self, job: Job) -> float:
        original = Sound(self.original)
        return suggest_gain_db(original, Difference(Sound(self.adversarial), original))


@dataclass(frozen=True)
class ListDevices(Request):
    """The sound outputs -> tuple of names, the default first; `before` is called first (the player's rescan)."""

    urgency: ClassVar[int] = 5
    before: Callable[[], None] | None = None

    def perform(self, job: Job) -> tuple[str, ...]:
        from mirguard.playback.sinks import devices

        if self.before is not None:
            self.before()
        return tuple(device.name for device in devices())


@dataclass(frozen=True)
class ListModels(Request):
    """The models there are -> (tuple of ModelInfo, the default one's name)."""

    urgency: ClassVar[int] = 50

    def perform(self, job: Job) -> Any:
        from mirguard.models.catalogue import default_model, list_models

        return tuple(list_models()), default_model()


def prepare_pictures() -> None:
    """Set up the thread: behind window and sound, as the engine is, where the system allows it."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        import threading

        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 3)
