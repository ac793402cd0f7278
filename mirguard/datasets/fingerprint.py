"""A fingerprint that stays the same when a recording is turned up, resampled, coded, or cut out elsewhere.

J. Haitsma, T. Kalker, "A Highly Robust Audio Fingerprinting System" (ISMIR 2002): the energies of 33 bands between 300 and
2,000 Hz, in frames of 0.37 s every 11.6 ms; each bit says whether the difference between two neighbouring bands has grown
since the frame before. Two things differ from the paper. A difference counts only from a thousandth of the frame's strongest
band on, since what lies below is what codecs change first; the bits then lean towards 0, so that two fingerprints are compared
by their correlation (φ, 1 for equal, about 0 for unrelated) and not by the number of equal bits. And candidates are not
looked up by exact 32-bit words but found by correlating smoothed fingerprints at all lags, which finds coded copies of sparse
sounds too.

Measured on toy clips and real recordings: copies have φ of 0.7 to 1, by MP3 at its worst quality 0.6 to 1; the best of all
alignments of unrelated clips is 0.36 over two seconds and more, 0.41 over one. Bars that a sequencer plays twice with the same
samples come to 0.5 and more, and are repetitions in their own right. A copy at another speed or pitch is not recognised.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import soxr
from scipy.fft import irfft, next_fast_len, rfft

from mirguard.datasets.labelled import Cancel, pause

RATE = 5_512  # Hz; nothing above 2 kHz is looked at
FRAME, HOP = 2_048, 64
BANDS = 33
LOWEST, HIGHEST = 300.0, 2_000.0
SHARE = 1e-3  # of the strongest band's energy, below which a difference is taken for none
QUIET = 1e-6  # energy in a band (a sine at full scale has 2.6e5) below which a frame holds nothing but 16-bit rounding
SECONDS = HOP / RATE  # a frame's

# What must be alike: φ over an overlap of at least so many seconds.
ALIKE = ((2.2, 0.6), (1.0, 0.7))
FEWEST = 200  # ones in the overlap of each, fewer of which prove nothing (a tone that is held)

POOL, STEP = 16, 8  # frames that are smoothed over, and from one smoothed frame to the next
CANDIDATE = 0.35  # correlation of smoothed fingerprints from which a pair is looked at closely
TRIES = 3  # lags that are tried for a pair
_BLOCK = 32  # clips compared with as many at a time; products of larger matrices start threads that mostly wait
_MEMORY = 1 << 26  # bytes for the correlations of a block of clips with another


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """`bits` `(frames, 32)` bool; empty for what is too short."""

    bits: np.ndarray

    def smoothed(self) -> np.ndarray:
        """`(frames / 8, 32)` float32: how many bits are set around each moment, less the clip's mean."""
        count = max(0, (len(self.bits) - POOL) // STEP + 1)
        if not count:
            return np.zeros((0, BANDS - 1), np.float32)
        sums = np.cumsum(np.vstack([np.zeros((1, BANDS - 1)), self.bits]), axis=0)
        first = np.arange(count) * STEP
        pooled = (sums[first + POOL] - sums[first]) / POOL
        return (pooled - pooled.mean(axis=0)).astype(np.float32)


@dataclass(frozen=True)
class Match:
    """Two of the fingerprints, by number: the second begins `offset` seconds after the first (or before it, if negative)."""

    first: int
    second: int
    offset: float
    similarity: float


def fingerprint(samples: np.ndarray, rate: int) -> Fingerprint:
    """Of mono samples `(frames,)`."""
    low = soxr.resample(samples, rate, RATE, quality="LQ") if rate != RATE else samples
    low = np.ascontiguousarray(low, np.float32)
    if len(low) < FRAME + HOP:
        return Fingerprint(np.zeros((0, BANDS - 1), bool))
    frames = np.lib.stride_tricks.sliding_window_view(low, FRAME)[::HOP]
    window, bands = _window(), _bands()
    energies = np.empty((len(frames), BANDS), np.float32)
    for start in range(0, len(frames), 512):
        spectra = rfft(frames[start : start + 512] * window, axis=1)
        energies[start : start + 512] = (spectra.real**2 + spectra.imag**2) @ bands
    change = np.diff(energies, axis=0)
    strongest = energies.max(axis=1)[1:]
    bits = change[:, :-1] - change[:, 1:] > SHARE * strongest[:, None]
    bits[strongest < QUIET] = False
    return Fingerprint(bits)


@cache
def _window() -> np.ndarray:
    return np.hanning(FRAME).astype(np.float32)


@cache
def _bands() -> np.ndarray:
    """`(bins, 33)`: which bin belongs to which band; bands are equally wide on a logarithmic scale."""
    edges = np.geomspace(LOWEST, HIGHEST, BANDS + 1)
    bins = np.fft.rfftfreq(FRAME, 1 / RATE)
    return ((bins[:, None] >= edges[:-1]) & (bins[:, None] < edges[1:])).astype(np.float32)


def compare(a: Fingerprint, b: Fingerprint, lag: int, around: int = 0) -> tuple[float, int]:
    """The largest φ of b shifted by about `lag` frames against a, and the lag; 0 where too little overlaps."""
    best = (0.0, lag)
    for shift in range(lag - around, lag + around + 1):
        one, other = a.bits[max(0, shift) :], b.bits[max(0, -shift) :]
        frames = min(len(one), len(other))
        if frames * SECONDS < ALIKE[-1][0]:
            continue
        one, other = one[:frames], other[:frames]
        ones, others = int(np.count_nonzero(one)), int(np.count_nonzero(other))
        if min(ones, others) < FEWEST:
            continue
        total = one.size
        both = int(np.count_nonzero(one & other))
        spread = np.sqrt(float(ones * (total - ones)) * float(others * (total - others)))
        phi = (both * total - ones * others) / spread if spread else 0.0
        best = max(best, (float(phi), shift))
    return best


def alike(phi: float, overlap: float) -> bool:
    """Whether so much likeness over so many seconds is the same recording."""
    return any(overlap >= seconds and phi >= least for seconds, least in ALIKE)


def matches(prints: list[Fingerprint], cancel: Cancel | None = None) -> Iterator[tuple[float, list[Match]]]:
    """All pairs that are the same recording, block by block, with the fraction of the work that is done."""
    smooth = [each.smoothed() for each in prints]
    energies = [_energies(each) for each in smooth]
    order = sorted((n for n in range(len(prints)) if len(smooth[n])), key=lambda n: len(smooth[n]))
    if not order:
        return
    blocks = list(_blocks(order, smooth))
    total, done = sum(len(block) for block in blocks) ** 2 / 2, 0.0
    for number, rows in enumerate(blocks):
        for columns in blocks[number:]:
            pause(cancel)
            found = []
            for a, b, lags in _candidates(rows, columns, smooth, energies):
                match = _closely(prints, a, b, lags)
                if match:
                    found.append(match)
            done += len(rows) * len(columns) / (2 if columns is rows else 1)
            yield min(1.0, done / total), found


def _closely(prints: list[Fingerprint], a: int, b: int, lags: list[int]) -> Match | None:
    first, second = min(a, b), max(a, b)
    for lag in lags:
        about = (lag if a < b else -lag) * STEP
        phi, exact = compare(prints[first], prints[second], about, STEP)
        overlap = min(len(prints[first].bits) - max(0, exact), len(prints[second].bits) + min(0, exact))
        if alike(phi, overlap * SECONDS):
            return Match(first, second, exact * SECONDS, phi)
    return None


def _blocks(order: list[int], smooth: list[np.ndarray]) -> Iterator[list[int]]:
    """Clips of about the same length together, as many as fit into the memory for a block with the longest block."""
    start = 0
    while start < len(order):
        size = _BLOCK
        while size > 1:
            block = order[start : start + size]
            length = next_fast_len(len(smooth[block[-1]]) + len(smooth[order[-1]]), real=True)
            if size * size * length * 4 <= _MEMORY:
                break
            size //= 2
        yield order[start : start + size]
        start += size


def _candidates(
    rows: list[int], columns: list[int], smooth: list[np.ndarray], energies: list[np.ndarray]
) -> Iterator[tuple[int, int, list[int]]]:
    """Pairs whose smoothed fingerprints correlate, and the lags in smoothed frames at which they do most."""
    longest_row, longest_column = (max(len(smooth[n]) for n in block) for block in (rows, columns))
    length = next_fast_len(longest_row + longest_column, real=True)
    spectra_a, spectra_b = _spectra(rows, smooth, length), _spectra(columns, smooth, length)
    # Σ_t a[t + lag]·b[t] over all bands, for every pair: one matrix product a frequency.
    turned = np.ascontiguousarray(spectra_b.conj().transpose(0, 2, 1))
    products = np.matmul(spectra_a, turned)  # (bins, rows, columns)
    for i, a in enumerate(rows):
        correlations = irfft(products[:, i], length, axis=0)  # (lags, columns)
        for j, b in enumerate(columns):
            if columns is rows and j <= i:
                continue
            lags, ranges = _overlaps(len(smooth[a]), len(smooth[b]))
            if not len(lags):
                continue
            score = correlations[lags % length, j] / _energy_in(ranges, energies[a], energies[b])
            if score.max() >= CANDIDATE:
                yield a, b, _peaks(lags, score, ranges)


def _peaks(lags: np.ndarray, score: np.ndarray, ranges: tuple[np.ndarray, ...]) -> list[int]:
    """The lags that say most: a correlation over a longer overlap is less likely to be chance."""
    weight = score * np.sqrt(ranges[1] - ranges[0])
    found = []
    for place in np.argsort(-np.where(score >= CANDIDATE, weight, -np.inf)):
        if score[place] < CANDIDATE or len(found) == TRIES:
            break
        if all(abs(lags[place] - lag) > 2 for lag in found):
            found.append(int(lags[place]))
    return found


def _spectra(block: list[int], smooth: list[np.ndarray], length: int) -> np.ndarray:
    """`(bins, clips, bands)` complex64."""
    padded = np.zeros((len(block), length, BANDS - 1), np.float32)
    for row, number in enumerate(block):
        padded[row, : len(smooth[number])] = smooth[number]
    return np.ascontiguousarray(rfft(padded, axis=1).transpose(1, 0, 2))


def _energies(smooth: np.ndarray) -> np.ndarray:
    """Cumulated Σ over bands of the squares, `(frames + 1,)`."""
    return np.concatenate([[0.0], np.cumsum(np.square(smooth, dtype=np.float64).sum(axis=1))])


@lru_cache(maxsize=64)
def _overlaps(frames_a: int, frames_b: int) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Lags at which enough overlaps, and where what overlaps begins and ends in a and in b."""
    least = max(1, int((ALIKE[-1][0] / SECONDS - POOL) / STEP))
    if frames_a < least or frames_b < least:
        return np.zeros(0, int), ()
    lags = np.arange(-(frames_b - least), frames_a - least + 1)
    start_a, start_b = np.maximum(lags, 0), np.maximum(-lags, 0)
    shared = np.minimum(frames_a - start_a, frames_b - start_b)
    return lags, (start_a, start_a + shared, start_b, start_b + shared)


def _energy_in(ranges: tuple[np.ndarray, ...], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The geometric mean of both energies in what overlaps, with a little added where that is next to nothing."""
    start_a, end_a, start_b, end_b = ranges
    energy = (a[end_a] - a[start_a]) * (b[end_b] - b[start_b])
    return np.sqrt(np.maximum(energy, 1e-12)) + 1e-3 * np.sqrt(a[-1] * b[-1]) + 1e-9
