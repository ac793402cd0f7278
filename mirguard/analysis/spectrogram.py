"""Spectrograms to look at: decibels in bytes, with a pyramid in time, so that an hour draws as fast as ten seconds.

A value is stored as one byte: code 0 is -147 dB or less, code 245 is 0 dB, code 255 is +6 dB or more, in steps
of 0.6 dB. 0 dB is the amplitude of a full-scale sine at the centre of a bin (Hann window; between two bins such a sine
reads up to 1.4 dB less). Colours and the shown range are a colour table away from the codes and cost no computation.

Level 0 of the pyramid has one column for every `hop` samples; each further level holds the larger of two neighbouring
columns of the level below, so that a click of one column stays visible however far one zooms out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

from mirguard.analysis.scales import SCALES, Scale, scale
from mirguard.errors import Cancelled, UsageError

FLOOR_DB, CEILING_DB, STEP_DB = -147.0, 6.0, 0.6
MAX_COLUMNS = 131_072  # of level 0; longer sounds get a longer hop
ENOUGH_COLUMNS = 2_048  # shorter sounds get a shorter hop until they have this many
SMALLEST_LEVEL = 256  # no further level is made of one with fewer columns than this
BLOCK_BYTES = 1 << 20  # of windowed samples worked on at a time: stays in the processor's cache
COLOUR_MAPS = ("magma", "inferno", "viridis", "cividis", "grey")


@dataclass(frozen=True)
class SpectrogramSettings:
    """What a person chooses about the display. Only `window` needs the spectrogram computed again.

    `window` in samples (None: 2048 from 32 kHz up, 1024 below), `scale` linear, log or mel, the shown range from
    `floor_db` to `ceiling_db` re full scale, `colours` one of COLOUR_MAPS, `perturbation_gain_db` by how
    much the perturbation is shown louder than it is (None: as suggested by `suggest_gain`).
    """

    window: int | None = None
    scale: str = "log"
    floor_db: float = -90.0
    ceiling_db: float = 0.0
    colours: str = "magma"
    perturbation_gain_db: float | None = None

    def __post_init__(self) -> None:
        if self.window is not None and (self.window & (self.window - 1) or not 64 <= self.window <= 32_768):
            raise UsageError(f"A spectrogram window is a power of two from 64 to 32768 samples, not {self.window}.")
        if self.scale not in SCALES:
            raise UsageError(f"There is no frequency scale {self.scale!r}; choose {', '.join(SCALES)}.")
        if self.colours not in COLOUR_MAPS:
            raise UsageError(f"There is no colour map {self.colours!r}; choose {', '.join(COLOUR_MAPS)}.")
        if not self.floor_db < self.ceiling_db:
            raise UsageError(f"The shown range must rise: {self.floor_db:g} dB is not below {self.ceiling_db:g} dB.")

    def window_at(self, rate: int) -> int:
        """The window in samples for a sound at `rate` Hz."""
        return self.window or (2048 if rate >= 32_000 else 1024)

    def changed(self, **changes) -> SpectrogramSettings:
        """A copy with some fields replaced."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Slice:
    """Columns of one pyramid level: `codes` (bins, columns) uint8, from `start` to `stop` seconds."""

    codes: np.ndarray
    start: float
    stop: float
    level: int


@dataclass(frozen=True, eq=False)
class Spectrogram:
    """A computed spectrogram; immutable, so that it may be made in one thread and drawn in another.

    `levels[k]` is uint8 `(bins, columns)`: bin b is centred at `b * bin_hz` Hz, column c of level k covers
    the samples from `c * hop * 2**k` to `(c + 1) * hop * 2**k`.
    """

    levels: tuple[np.ndarray, ...]
    rate: int
    frames: int
    window: int
    hop: int
    pool: int = 1  # transforms whose maximum makes a column, where the hop exceeds half a window

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.frames / self.rate

    @property
    def bin_hz(self) -> float:
        return self.rate / self.window

    @property
    def nyquist(self) -> float:
        return self.rate / 2

    @property
    def column_seconds(self) -> float:
        return self.hop / self.rate

    @property
    def nbytes(self) -> int:
        return sum(level.nbytes for level in self.levels)

    def slice(self, t0: float, t1: float, pixels: int) -> Slice:
        """The columns that cover t0 to t1 seconds, from the coarsest level with at least one column per pixel.

        Where even level 0 has fewer columns than pixels, level 0. Times outside the sound are cut off.
        """
        t0, t1 = max(0.0, min(t0, self.duration)), max(0.0, min(t1, self.duration))
        columns = max(t1 - t0, 0.0) / self.column_seconds
        level = 0
        while level + 1 < len(self.levels) and columns / 2 ** (level + 1) >= max(1, pixels):
            level += 1
        seconds = self.column_seconds * 2**level
        available = self.levels[level].shape[1]
        first = min(int(t0 / seconds + 1e-9), available - 1)
        last = min(max(int(np.ceil(t1 / seconds - 1e-9)), first + 1), available)
        return Slice(self.levels[level][:, first:last], first * seconds, last * seconds, level)

    def render(
        self, t0: float, t1: float, width: int, low: float, high: float, height: int, scale_name: str = "linear"
    ) -> np.ndarray:
        """The picture of a view: uint8 codes `(height, width)`, row 0 lowest, from t0 to t1 s and low to high Hz.

        Pixels that cover several bins or columns show the largest, pixels finer than those interpolate. Whatever
        lies outside the sound or above half its rate has code 0.
        """
        picture = np.zeros((height, width), np.uint8)
        if not (t1 > t0 and high > low and width > 0 and height > 0):
            return picture
        per_pixel = (t1 - t0) / width
        first = max(0, int(np.floor(-t0 / per_pixel + 1e-9)))
        last = min(width, int(np.ceil((self.duration - t0) / per_pixel - 1e-9)))
        if last <= first:
            return picture
        # One column more on either side, so that interpolation at the view's edges sees its neighbours.
        margin = max(self.column_seconds, 2 * per_pixel)
        part = self.slice(t0 + first * per_pixel - margin, t0 + last * per_pixel + margin, last - first + 4)
        edges = row_edges(scale(scale_name), low, high, height)
        rows = int(np.searchsorted(edges[1:], self.nyquist + self.bin_hz / 2, side="right"))
        if rows == 0:
            return picture
        mapped = map_rows(part.codes, self.bin_hz, edges[: rows + 1])
        times = (t0 + np.arange(first, last + 1) * per_pixel - part.start) / (self.column_seconds * 2**part.level)
        picture[:rows, first:last] = map_columns(mapped, times)
        return picture

    def at(self, time: float, hz: float) -> float | None:
        """dB re full scale of the bin and column there; None outside the sound. -147 stands for that or less."""
        column, row = int(np.floor(time / self.column_seconds)), int(np.floor(hz / self.bin_hz + 0.5))
        bins, columns = self.levels[0].shape
        if not (0 <= column < columns and 0 <= row < bins and time <= self.duration):
            return None
        return float(decibels(self.levels[0][row, column]))

    @cached_property
    def loudest_db(self) -> float:
        """The level that one cell in a thousand exceeds: where the picture is brightest, clicks aside."""
        counts = np.bincount(self.levels[-1].ravel(), minlength=256)
        beyond = np.cumsum(counts[::-1])[::-1]
        return float(decibels(max(0, int(np.count_nonzero(beyond > beyond[0] * 1e-3)) - 1)))

    def updated(self, samples: np.ndarray, start: int, stop: int) -> Spectrogram:
        """The spectrogram of `samples`, which differ from those it was made of only in frames [start, stop)."""
        if len(samples) != self.frames:
            raise ValueError(f"{len(samples)} samples cannot update a spectrogram of {self.frames}")
        reach = self.window // 2 + self.hop
        first = max(0, (start - reach) // self.hop)
        last = min(self.levels[0].shape[1], (stop + reach) // self.hop + 1)
        if last <= first or stop <= start:
            return self
        base = self.levels[0].copy()
        _transform((np.asarray(samples),), base, self.window, self.hop, self.pool, first, last, None, None)
        levels = [base]
        for above in self.levels[1:]:
            first, last = first // 2, (last + 1) // 2
            level = above.copy()
            _halve(levels[-1], level, first, last)
            levels.append(level)
        return Spectrogram(_sealed(levels), self.rate, self.frames, self.window, self.hop, self.pool)


# What is drawn of the spectra `(columns, bins)` of one or more sounds: their power, or something that compares them.
Power = Callable[..., np.ndarray]


def power(spectrum: np.ndarray) -> np.ndarray:
    """|S|²."""
    found = np.square(spectrum.real)
    found += np.square(spectrum.imag)
    return found


def compute(
    samples: np.ndarray,
    rate: int,
    settings: SpectrogramSettings = SpectrogramSettings(),
    cancelled: Callable[[], bool] | None = None,
    progress: Callable[[float], None] | None = None,
    beside: np.ndarray | None = None,
    power: Power = power,
) -> Spectrogram:
    """The spectrogram of mono samples `(frames,)` at `rate` Hz, full scale ±1.

    Works in blocks: beyond the result (about twice columns × bins bytes; 77 000 columns and 1025 bins for an hour
    at 44.1 kHz) it needs a few megabytes. `cancelled` is asked between blocks and makes it raise Cancelled;
    `progress` is told the fraction done. With `beside`, samples of the same length, `power` is given the spectra of both.
    """
    samples = np.asarray(samples)
    if samples.ndim != 1 or not len(samples):
        raise ValueError(f"a spectrogram needs mono samples (frames,), not {samples.shape}")
    window = settings.window_at(rate)
    hop, pool = plan(len(samples), window)
    columns = -(-len(samples) // hop)
    base = np.empty((window // 2 + 1, columns), np.uint8)
    sounds = (samples,) if beside is None else (samples, np.asarray(beside))
    _transform(sounds, base, window, hop, pool, 0, columns, cancelled, progress, power)
    levels = [base]
    while levels[-1].shape[1] > SMALLEST_LEVEL:
        below = levels[-1]
        level = np.empty((below.shape[0], -(-below.shape[1] // 2)), np.uint8)
        _halve(below, level, 0, level.shape[1])
        levels.append(level)
    return Spectrogram(_sealed(levels), int(rate), len(samples), window, hop, pool)


def plan(frames: int, window: int) -> tuple[int, int]:
    """The hop in samples (a power of two) for a sound of that length, and the transforms that make one column."""
    hop = window // 16
    while hop < window // 4 and frames / hop > ENOUGH_COLUMNS:
        hop *= 2
    while -(-frames // hop) > MAX_COLUMNS:
        hop *= 2
    return hop, max(1, hop // (window // 2))


def hann(window: int) -> np.ndarray:
    """The periodic Hann window."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi / window * np.arange(window))


def decibels(code):
    """dB re full scale of stored codes."""
    return FLOOR_DB + STEP_DB * np.asarray(code, float)


def code_of(db: float) -> float:
    """The (fractional, unclipped) code of a level in dB."""
    return (db - FLOOR_DB) / STEP_DB


def suggest_gain(original: Spectrogram | None, perturbation: Spectrogram) -> float:
    """By how many dB to show the perturbation louder, in steps of 10: its loudest parts then lie 10 to 20 dB below the
    original's, since what is spread like noise looks brighter than music of the same level.

    Never less than 0; 0 for a silent perturbation.
    """
    quiet = perturbation.loudest_db
    if quiet <= FLOOR_DB:
        return 0.0
    loud = original.loudest_db if original is not None else -20.0
    return float(np.clip(10.0 * np.floor((loud - quiet - 10.0) / 10.0), 0.0, 120.0))


def row_edges(axis: Scale, low: float, high: float, height: int) -> np.ndarray:
    """The frequencies in Hz between the `height` rows of a picture from low to high Hz: `(height + 1,)`, rising."""
    bottom, top = float(axis.forward(max(low, axis.lowest))), float(axis.forward(high))
    return np.asarray(axis.inverse(np.linspace(bottom, top, height + 1)), float)


def map_rows(codes: np.ndarray, bin_hz: float, edges: np.ndarray) -> np.ndarray:
    """Codes `(bins, columns)` brought to rows between the given edges in Hz: `(rows, columns)` uint8.

    A row that spans more than a bin shows the largest of the bins it touches by their centres' cells; a finer one
    interpolates at its centre.
    """
    bins = len(codes)
    position = edges / bin_hz
    low = np.clip(np.floor(position[:-1] + 0.5).astype(int), 0, bins - 1)
    high = np.clip(np.ceil(position[1:] + 0.5).astype(int), low + 1, bins)
    fine = position[1:] - position[:-1] <= 1.0
    out = np.empty((len(edges) - 1, codes.shape[1]), np.uint8)
    if fine.any():
        centre = np.clip((position[:-1] + position[1:])[fine] / 2, 0, bins - 1)
        out[fine] = _between(codes, centre, axis=0)
    for row in np.flatnonzero(~fine):
        np.maximum.reduce(codes[low[row] : high[row]], axis=0, out=out[row])
    return out


def map_columns(codes: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Codes `(rows, columns)` brought to pixels between the given edges, in columns: `(rows, pixels)` uint8."""
    columns = codes.shape[1]
    wide = edges[1] - edges[0]
    if wide < 1.0:
        # Column c is centred at c + 0.5.
        return _between(codes, np.clip((edges[:-1] + edges[1:]) / 2 - 0.5, 0, columns - 1), axis=1)
    first = np.clip(np.floor(edges[:-1] + 1e-6).astype(int), 0, columns - 1)
    last = np.clip(np.ceil(edges[1:] - 1e-6).astype(int) - 1, first, columns - 1)
    out = codes[:, first]
    for step in range(1, int((last - first).max(initial=0)) + 1):
        np.maximum(out, codes[:, np.minimum(first + step, last)], out=out)
    return out


def _between(codes: np.ndarray, where: np.ndarray, axis: int) -> np.ndarray:
    """Linear interpolation along an axis at fractional indices, in whole numbers."""
    below = where.astype(int)
    above = np.minimum(below + 1, codes.shape[axis] - 1)
    weight = np.rint((where - below) * 256).astype(np.uint16)
    weight = weight[:, None] if axis == 0 else weight[None, :]
    low, high = np.take(codes, below, axis=axis), np.take(codes, above, axis=axis)
    mixed = low * (256 - weight)
    mixed += high * weight
    mixed += 128
    mixed >>= 8
    return mixed.astype(np.uint8)


def _transform(sounds, base, window, hop, pool, first, last, cancelled, progress, measure=power) -> None:
    """Fill columns [first, last) of level 0 by the `measure` of the sounds' spectra. Column c's transforms are centred at
    (c + (p + 0.5) / pool) · hop."""
    step = hop // pool
    taper = hann(window)
    taper = (taper * (2.0 / taper.sum())).astype(np.float32)
    batch = max(pool, BLOCK_BYTES // (4 * window) // pool * pool) // pool
    slope, offset = np.float32(10.0 / np.log(10.0) / STEP_DB), np.float32(code_of(0.0) + 0.5)
    for column in range(first, last, batch):
        if cancelled is not None and cancelled():
            raise Cancelled
        count = min(batch, last - column)
        begin = column * hop + step // 2 - window // 2
        end = begin + (count * pool - 1) * step + window
        spectra = []
        for samples in sounds:
            segment = samples[max(0, begin) : max(0, end)]
            if begin < 0 or end > len(samples):
                segment = np.pad(segment, (max(0, -begin), max(0, end - max(len(samples), 0))))
            windows = sliding_window_view(segment, window)[::step] * taper
            spectra.append(scipy.fft.rfft(windows, axis=1, overwrite_x=True, workers=1))
        found = measure(*spectra)
        found[:, 0] *= 0.25  # one-sided: only the bins between have a mirror image whose half they carry
        found[:, -1] *= 0.25
        if pool > 1:
            found = found.reshape(count, pool, -1).max(axis=1)
        found += np.float32(1e-20)
        np.log(found, out=found)
        found *= slope
        found += offset
        np.clip(found, 0.0, 255.0, out=found)
        base[:, column : column + count] = found.astype(np.uint8).T
        if progress is not None:
            progress((column + count - first) / (last - first))


def _halve(below: np.ndarray, above: np.ndarray, first: int, last: int) -> None:
    """Fill columns [first, last) of a level with the larger of each two columns of the level below."""
    pairs = min(last, below.shape[1] // 2)
    np.maximum(below[:, 2 * first : 2 * pairs : 2], below[:, 2 * first + 1 : 2 * pairs : 2], out=above[:, first:pairs])
    if last > pairs:
        above[:, pairs] = below[:, -1]


def _sealed(levels: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    for level in levels:
        level.flags.writeable = False
    return tuple(levels)
