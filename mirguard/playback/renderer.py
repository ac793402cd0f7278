"""What the sound card's callback runs: reads the wanted source, cross-fades every change, keeps time.

The callback takes no lock, reads or writes no file and makes no block of samples: what is wanted arrives as one
immutable tuple in one attribute, all work happens in scratch made beforehand, and what the callback has to
tell (where the sound is, that the clip ended) leaves in small tuples that others read.

Every change of what is heard (another source, other samples, a jump, play and pause, another perturbation gain) is
a cross-fade of 10 ms between what was heard, which plays on for so long, and what is to be heard. The two weights
always add up to 1 (equal gain, not equal power): original and adversarial are nearly the same signal, for which
equal power would swell by 3 dB in the middle of the fade, while a sum of weights of 1 keeps the common part exactly
as it is, never exceeds the louder of the two and so never full scale. The weights follow a raised cosine, so
that the fade adds no step larger than pi/2 / frames of the difference of the two signals.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from mirguard.playback.downmix import routes
from mirguard.playback.levels import limit
from mirguard.playback.sources import Source

FADE = 0.010  # seconds
PIECE = 2048  # frames rendered at a time, whatever the device's block
RECORDS = 512  # pieces remembered, to know what is heard now of what was handed over


class Wanted(NamedTuple):
    """What is to be heard; frames are at the renderer's rate."""

    source: Source | None = None
    gain: float = 1.0
    loop: tuple[int, int] | None = None
    playing: bool = False
    run: int = 0  # counts the times that playing was started: a clip that ran out stays ended until the next
    seek: int = 0  # counts the jumps; a new number means "go to `frame`"
    frame: int = 0
    volume: float = 1.0


class Record(NamedTuple):
    """A contiguous stretch that was handed to the device: `frames` from `frame` on, heard from `when` on."""

    when: float
    frame: int
    frames: int
    moving: bool


@lru_cache(maxsize=64)
def fade_in(frames: int) -> np.ndarray:
    """Raised-cosine weights that rise from just above 0 to just below 1."""
    weights = 0.5 - 0.5 * np.cos(np.pi * (np.arange(frames) + 0.5) / frames)
    weights = weights.astype(np.float32)
    weights.flags.writeable = False
    return weights


class Voice:
    """One thing to be heard: a source from a frame on, looped or to its end; no source is silence."""

    __slots__ = ("frame", "gain", "held", "loop", "run", "seam", "source")

    def __init__(self, source: Source | None, wanted: Wanted, frame: int, held: bool, fade: int) -> None:
        self.source, self.frame = source, frame
        self.gain, self.loop, self.run = wanted.gain, wanted.loop, wanted.run
        self.held = held  # a silence that stays at its own frame rather than where the sound before it faded out
        # Length of the cross-fade at the loop's end, of no more material than there is.
        loop = wanted.loop
        self.seam = min(fade, (loop[1] - loop[0]) // 2, source.frames - 1) if source is not None and loop else 0

    def straight(self) -> int:
        """Frames to the next point where reading straight on is not what to do."""
        if self.loop and self.frame < self.loop[1]:
            seam = self.loop[1] - self.seam
            return seam - self.frame if self.frame < seam else self.loop[1] - self.frame
        if self.frame < self.source.frames:
            return self.source.frames - self.frame
        return 1 << 30  # silence after the end


class Renderer:
    """Renders what is `wanted` for one device of `channels` (1 or 2) at `rate` Hz."""

    def __init__(self, rate: int, channels: int, wanted: Wanted) -> None:
        self.rate, self.channels = rate, channels
        self.wanted = wanted
        self.settled: Wanted | None = None  # what is heard without any fade left: nothing older is read any more
        self.ended: tuple[int, float] = (-1, 0.0)  # the run that reached the clip's end, and when that is heard
        self.limited = -math.inf  # when the limiter last had to act
        self._fade = max(1, round(FADE * rate))
        self._weights = fade_in(self._fade)
        self._voice = Voice(None, wanted, wanted.frame, True, self._fade)
        self._seek = wanted.seek
        self._old: Voice | None = None
        self._faded = 0
        self._volume = self._volume_from = self._volume_to = wanted.volume
        self._volume_done = self._volume_frames = 2 * self._fade
        self._records: list[Record | None] = [None] * RECORDS
        self._count = 0
        self._new, self._out_of, self._pre_roll = (np.zeros((channels, PIECE), np.float32) for _ in range(3))
        self._taken, self._added = np.zeros(PIECE, np.float32), np.zeros(PIECE, np.float32)
        self._ramp = np.arange(1, PIECE + 1, dtype=np.float32)

    # The callback's side

    def render(self, out: np.ndarray, when: float) -> None:
        """Fill `out` (frames, channels), the first frame of which is heard at `when` (seconds of the sink's clock)."""
        done = 0
        while done < len(out):
            wanted = self.wanted
            if self._old is None:
                self._follow(wanted)
            voice, old = self._voice, self._old
            length = min(len(out) - done, PIECE)
            if old is not None:
                length = min(length, self._fade - self._faded)
            if self._volume_done < self._volume_frames:
                length = min(length, self._volume_frames - self._volume_done)
            if voice.source is not None:
                length = min(length, voice.straight())
            heard = voice if voice.source is not None or old is None else old
            began = heard.frame
            block = self._piece(voice, old, length, when)
            for channel in range(self.channels):
                out[done : done + length, channel] = block[channel]
            self._note(Record(when, began, length, heard.source is not None))
            done += length
            when += length / self.rate
            if voice.source is not None and voice.frame >= voice.source.frames:
                self.ended = (voice.run, when)
                self._voice = Voice(None, wanted, voice.source.frames, True, self._fade)

    def _follow(self, wanted: Wanted) -> None:
        """Begin the cross-fade to what is wanted, if that is something else than what is heard."""
        if wanted.volume != self._volume_to:
            self._volume_from, self._volume_to, self._volume_done = self._volume, wanted.volume, 0
        if wanted is self.settled:
            return
        voice = self._voice
        source = wanted.source if wanted.playing and wanted.run != self.ended[0] else None
        jump = wanted.seek != self._seek
        same = source is voice.source and (source is None or (wanted.gain, wanted.loop) == (voice.gain, voice.loop))
        if same and not jump:
            voice.run = wanted.run
            self.settled = wanted
            return
        self._seek = wanted.seek
        frame = wanted.frame if jump else voice.frame
        self._voice = Voice(source, wanted, frame, jump, self._fade)
        # From silence to the very beginning of a clip there is nothing to fade: the clip begins as it begins.
        if voice.source is not None or (source is not None and frame > 0):
            self._old, self._faded = voice, 0

    def _piece(self, voice: Voice, old: Voice | None, length: int, when: float) -> np.ndarray:
        block = self._new[:, :length]
        self._read(voice, block, when)
        if old is not None:
            before = self._out_of[:, :length]
            self._read(old, before, when)
            block -= before
            block *= self._weights[self._faded : self._faded + length]
            block += before
            self._faded += length
            if self._faded == self._fade:
                self._old = None
                if voice.source is None and not voice.held:
                    voice.frame = old.frame
        if self._volume_done < self._volume_frames:
            slope = (self._volume_to - self._volume_from) / self._volume_frames
            ramp = np.multiply(self._ramp[:length], np.float32(slope), out=self._taken[:length])
            ramp += np.float32(self._volume)
            block *= ramp
            self._volume_done += length
            self._volume = self._volume_from + slope * self._volume_done
            if self._volume_done == self._volume_frames:
                self._volume = self._volume_to
        elif self._volume != 1.0:
            block *= np.float32(self._volume)
        for side in block:
            if not math.isfinite(float(side.sum())):
                np.nan_to_num(side, copy=False, nan=0.0, posinf=0.0, neginf=0.0)  # nobody's ears are to meet these
        np.minimum(block, 1.0, out=block)
        return np.maximum(block, -1.0, out=block)

    def _read(self, voice: Voice, out: np.ndarray, when: float) -> None:
        """The voice's next frames into `out` (channels, frames); the voice moves on."""
        length = out.shape[1]
        if voice.source is None:
            out[:] = 0.0
            return
        done = 0
        while done < length:
            run = min(length - done, voice.straight())
            block = out[:, done : done + run]
            self._fill(voice.source, voice.frame, block)
            loop = voice.loop
            if loop and loop[1] - voice.seam <= voice.frame < loop[1]:
                # Into the seam comes what lies before the loop's start, so that at its end the start follows as
                # it follows there: the loop keeps its exact length, and no step is made.
                first = self._pre_roll[:, :run]
                self._fill(voice.source, voice.frame - (loop[1] - loop[0]), first)
                at = voice.frame - (loop[1] - voice.seam)
                first -= block
                first *= fade_in(voice.seam)[at : at + run]
                block += first
            if voice.gain != 1.0:
                block *= np.float32(voice.gain)
                for channel in range(self.channels):
                    if limit(block[channel], self._added[:run]):
                        self.limited = when
            voice.frame += run
            if loop and voice.frame == loop[1]:
                voice.frame = loop[0]
            done += run

    def _fill(self, source: Source, start: int, out: np.ndarray) -> None:
        """Frames from `start` on, mixed down: silence after the end, the sound mirrored before the beginning.

        The mirror image has the sound's own steps and joins it at its first sample.
        """
        length = out.shape[1]
        mirrored = min(max(0, -start), length)
        if mirrored:
            self._mix(source, -start - mirrored + 1, -start + 1, out[:, mirrored - 1 :: -1])
        begin, stop = start + mirrored, min(start + length, source.frames)
        if begin < stop:
            self._mix(source, begin, stop, out[:, mirrored : mirrored + stop - begin])
        else:
            stop = begin
        out[:, mirrored + stop - begin :] = 0.0

    def _mix(self, source: Source, start: int, stop: int, out: np.ndarray) -> None:
        length = stop - start
        out = out[:, :length]
        for side, route in enumerate(routes(source.channels, self.channels)):
            for number, (channel, share) in enumerate(route):
                samples = source.take(channel, start, stop, self._taken)
                if number:
                    out[side] += np.multiply(samples, np.float32(share), out=self._added[:length])
                elif share == 1.0:
                    out[side] = samples
                else:
                    np.multiply(samples, np.float32(share), out=out[side])

    def _note(self, record: Record) -> None:
        self._records[self._count % RECORDS] = record
        self._count += 1

    # Everybody else's side

    @property
    def next(self) -> int:
        """The frame that is rendered next."""
        wanted, voice, old = self.wanted, self._voice, self._old
        if wanted.seek != self._seek:
            return wanted.frame
        return old.frame if old is not None and voice.source is None and not voice.held else voice.frame

    def heard(self, now: float) -> float:
        """The frame that is heard at `now`; in silence, the frame where the sound will begin."""
        count, waiting = self._count, self.next
        for number in range(count - 1, max(-1, count - RECORDS), -1):
            record = self._records[number % RECORDS]
            if record.when <= now:
                if record.moving:
                    return record.frame + min((now - record.when) * self.rate, record.frames)
                return waiting
            if record.moving:
                waiting = record.frame
        return waiting
