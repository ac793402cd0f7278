"""What is to be heard and where it is, in the clip's own frames; the device's thread and the player share it.

Everything here is read and changed with `lock` held. What is wanted reaches the renderer, which takes no lock, in one
assignment at the end of `publish`.
"""

from __future__ import annotations

import threading
import time

import numpy as np

from mirguard.playback.output import Output
from mirguard.playback.renderer import Wanted
from mirguard.playback.sounds import ORIGINAL, PERTURBATION, derive
from mirguard.playback.sources import Sound, Source

AT_ONCE = 0.5  # seconds that are resampled at once when something changes, where the device needs another rate


class Transport:
    """Sounds, position, loop, loudness, and the output that plays them, if one is open."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.sounds: dict[str, np.ndarray] = {}
        self.rate, self.frames = 0, 0
        self.selected = ORIGINAL
        self.playing = self.ended = False
        self.run = self.seek = 0  # count what the renderer has to follow: see `Wanted`
        self.rest: float = 0  # clip frame: where the last jump went, or where the sound was when its device was closed
        self.loop: tuple[int, int] | None = None
        self.volume, self.gain_db = 1.0, 0.0
        self.output: Output | None = None
        self.silent_since = 0.0
        self.kept: list[object] = []  # sounds that a fade may still be reading

    # What there is to hear

    def at_clip_rate(self) -> dict[str, Source]:
        """Everything that can be selected."""
        sources: dict[str, Source] = {name: Sound(samples) for name, samples in self.sounds.items()}
        derive(sources)
        return sources

    def exchange(self, sounds: dict[str, np.ndarray]) -> None:
        """Play these sounds from now on; the callback may read the old ones for a fade more, and is not to free them."""
        output = self.output
        if output is not None:
            self.kept.append((self.sounds, output.sources, output.renderer.wanted))
        self.sounds = sounds

    def provide(self) -> None:
        """Hand the sounds to the output."""
        if self.selected not in self.at_clip_rate():
            self.selected = next(iter(self.sounds))
        if self.fitting is not None:
            self.fitting.provide(self.sounds)
        self.publish()

    # Where it is

    @property
    def fitting(self) -> Output | None:
        """The output, if it was opened for a clip of this rate."""
        output = self.output
        return output if output is not None and output.clip_rate == self.rate else None

    def settle(self) -> None:
        """Take note of the clip's having run out, once its last sample was heard."""
        output = self.output
        if self.playing and output is not None:
            run, when = output.renderer.ended
            if run == self.run and output.sink.now() >= when:
                self.playing, self.ended = False, True
                self.silent_since = time.monotonic()

    def next(self) -> float:
        """The clip's frame that is rendered next."""
        output = self.fitting
        return self.rest if output is None else output.clip_frame(output.renderer.next)

    def heard(self) -> float:
        """The clip's frame that is heard now."""
        output = self.fitting
        return self.rest if output is None else output.clip_frame(output.renderer.heard(output.sink.now()))

    def jump(self, frame: float) -> None:
        """Go on from another frame."""
        self.seek += 1
        self.rest = frame

    # The output

    def publish(self) -> None:
        """Tell the renderer what is wanted, in one assignment, and everybody who waits that something changed."""
        if not self.playing:
            self.silent_since = time.monotonic()
        output = self.fitting
        if output is not None:
            wanted = self._wanted(output)
            jumped = wanted.seek != output.renderer.wanted.seek
            output.prepare(wanted.frame if jumped else output.renderer.next, wanted.loop, AT_ONCE)
            output.renderer.wanted = wanted
        elif self.output is not None:
            self.output.silence()
        self.changed.notify_all()

    def _wanted(self, output: Output) -> Wanted:
        gain = 10 ** (self.gain_db / 20) if self.selected == PERTURBATION else 1.0
        loop = (output.frame(self.loop[0]), output.frame(self.loop[1])) if self.loop else None
        return Wanted(
            output.sources[self.selected],
            gain,
            loop,
            self.playing,
            self.run,
            self.seek,
            output.frame(self.rest),
            self.volume,
        )

    def hand_over(self, output: Output) -> Output | None:
        """Go on through another output where it is; the one until now, fading out."""
        self.settle()
        old = self.output
        if old is not None:
            if old is self.fitting:
                self.jump(self.heard() if self.playing else self.next())
            old.silence()
        self.output = output
        self.seek += 1  # the new renderer has not heard of the position
        output.provide(self.sounds)
        self.publish()
        return old

    def leave(self) -> Output | None:
        """Be without an output; the position stays. The one until now, fading out."""
        old = self.output
        if old is not None:
            self.settle()
            if old is self.fitting:
                self.rest = min(round(self.next()), self.frames)
            old.silence()
            self.output = None
        return old
