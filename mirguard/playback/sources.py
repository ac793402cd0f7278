"""What can be played: a sound in memory, the difference of two, and either at a device's own rate.

A source gives views or fills scratch that the caller owns; it never makes a block of samples in the callback.
"""

from __future__ import annotations

from math import gcd
from typing import Protocol

import numpy as np
import soxr


class Source(Protocol):
    """A sound of `channels` channels and `frames` frames at some rate."""

    channels: int
    frames: int

    def take(self, channel: int, start: int, stop: int, scratch: np.ndarray) -> np.ndarray:
        """Frames `start` to `stop` of one channel, float32: a view, or written into `scratch`.

        0 <= start < stop <= frames, and `scratch` holds at least stop - start samples.
        """


class Sound:
    """Samples `(channels, frames)` in float32, by reference."""

    def __init__(self, samples: np.ndarray) -> None:
        self.samples = samples
        self.channels, self.frames = samples.shape

    def take(self, channel: int, start: int, stop: int, scratch: np.ndarray) -> np.ndarray:
        return self.samples[channel, start:stop]


class Difference:
    """`first` minus `second`, computed as it is played: a perturbation that needs no array of its own."""

    def __init__(self, first: Source, second: Source) -> None:
        self.first, self.second = first, second
        self.channels, self.frames = first.channels, first.frames
        self._scratch = np.empty(0, np.float32)

    def take(self, channel: int, start: int, stop: int, scratch: np.ndarray) -> np.ndarray:
        length = stop - start
        if len(self._scratch) < length:  # once, then never again: callers ask for pieces of one largest size
            self._scratch = np.empty(max(length, len(scratch)), np.float32)
        first = self.first.take(channel, start, stop, scratch)
        second = self.second.take(channel, start, stop, self._scratch)
        return np.subtract(first, second, out=scratch[:length])


class Resampled:
    """A sound at another rate, for a device that cannot do the clip's own.

    Pieces of about a third of a second are resampled (soxr, high quality) ahead of the playing position by
    `prepare`, outside the callback, and the oldest are dropped: memory does not grow with the clip.
    Each piece is resampled with a margin of its surroundings on a common grid of both rates, so that the
    pieces join without a seam. A piece that is not ready in time is silent and counted in `missed`.
    """

    PIECE = 1 << 14  # frames out, about
    MARGIN = 1 << 12  # frames in, more than the reach of soxr's filter at any ratio of 8 to 192 kHz
    KEPT = 32  # pieces

    def __init__(self, samples: np.ndarray, rate: int, device_rate: int) -> None:
        self.samples, self.rate, self.device_rate = samples, rate, device_rate
        common = gcd(rate, device_rate)
        self._in, self._out = rate // common, device_rate // common  # one step of the common grid, in frames
        self._steps = max(1, self.PIECE // self._out)
        self._piece = self._steps * self._out
        self.channels = samples.shape[0]
        self.frames = -(-samples.shape[1] * device_rate // rate)
        self.missed = 0
        self._pieces: dict[int, np.ndarray] = {}

    def prepare(self, *stretches: tuple[int, int]) -> None:
        """Have every stretch (start, stop) of frames ready. One thread at a time, and never the callback."""
        wanted = [
            number
            for start, stop in stretches
            for number in range(max(0, start) // self._piece, -(-min(stop, self.frames) // self._piece))
        ]
        if all(number in self._pieces for number in wanted):
            return
        ready = {number: self._pieces.get(number) for number in wanted}
        for number, piece in ready.items():
            if piece is None:
                ready[number] = self._resample(number)
        spare = [number for number in self._pieces if number not in ready]
        kept = spare[max(0, len(spare) - max(0, self.KEPT - len(ready))) :]
        # One assignment: the callback reads the old table or the new one, never one in the making.
        self._pieces = {number: self._pieces[number] for number in kept} | ready

    def _resample(self, number: int) -> np.ndarray:
        margin = -(-self.MARGIN // self._in)
        first = number * self._steps
        low = max(0, first - margin)
        high = first + self._steps + margin
        block = self.samples[:, low * self._in : high * self._in]
        resampled = soxr.resample(np.ascontiguousarray(block.T), self.rate, self.device_rate, quality="HQ").T
        piece = resampled[:, (first - low) * self._out :][:, : self._piece]
        whole = np.zeros((self.channels, self._piece), np.float32)
        # Overshoot beyond full scale is the resampling filter's, not the sound's.
        np.clip(piece, -1.0, 1.0, out=whole[:, : piece.shape[1]])
        return whole

    def take(self, channel: int, start: int, stop: int, scratch: np.ndarray) -> np.ndarray:
        pieces, size = self._pieces, self._piece
        number, offset = divmod(start, size)
        if offset + stop - start <= size:
            piece = pieces.get(number)
            if piece is not None:
                return piece[channel, offset : offset + stop - start]
        filled = 0
        while start + filled < stop:
            number, offset = divmod(start + filled, size)
            length = min(size - offset, stop - start - filled)
            piece = pieces.get(number)
            if piece is None:
                self.missed += 1
                scratch[filled : filled + length] = 0.0
            else:
                scratch[filled : filled + length] = piece[channel, offset : offset + length]
            filled += length
        return scratch[: stop - start]
