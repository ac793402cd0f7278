"""The masking threshold of a sound: how loud something else may be in each time–frequency bin before it is heard.

After Qin et al. 2019 (arXiv:1903.10346, appendix; MPEG-1 model 1): all maskers are taken as tonal. The power spectrum of
the loudest bin is set to 96 dB (loud playback), and masker and perturbation are measured by the same spectrum, so that
the two can be compared (several published versions differ by 4.26 dB there).

    Bark(f)  = 13 atan(0.00076 f) + 3.5 atan((f/7500)²)
    ATH(f)   = 3.64 f_k^−0.8 − 6.5 e^(−0.6 (f_k − 3.3)²) + 10⁻³ f_k⁴ − 12,   f_k in kHz
    P_j      = power of the peak j and its two neighbours, in dB; within half a Bark only the strongest peak masks
    T_j(i)   = P_j − 6.025 − 0.275 Bark_j + SF,   SF = 27 Δ for Δ = Bark_i − Bark_j ≤ 0, else (−27 + 0.37 max(P_j − 40, 0)) Δ
    θ(i)     = 10 log10(10^(ATH/10) + Σ_j 10^(T_j/10))
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.fft import rfft
from scipy.signal import get_window

WINDOW, HOP = 2048, 512
REFERENCE_DB = 96.0
FRAMES = 64  # a block of frames at a time bounds the memory
FULL_SCALE = 1.0 / 6.0  # power of a sine at full scale in its bin
NEPER = np.float32(np.log(10.0) / 10.0)  # of power, per dB


def bark(hz: np.ndarray) -> np.ndarray:
    return 13.0 * np.arctan(0.00076 * hz) + 3.5 * np.arctan((hz / 7500.0) ** 2)


def threshold_in_quiet(hz: np.ndarray) -> np.ndarray:
    """ATH in dB SPL. Below 20 Hz it stays what it is there; at most 200 dB, which nothing reaches."""
    khz = np.maximum(hz, 20.0) / 1000.0
    return np.minimum(3.64 * khz**-0.8 - 6.5 * np.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4 - 12.0, 200.0)


def power_spectra(signal: np.ndarray, first: int, last: int) -> np.ndarray:
    """Power `(frames, bins)` of frames `[first, last)`, Hann window with gain √(8/3); the end is padded with zeros."""
    window = get_window("hann", WINDOW) * np.sqrt(8.0 / 3.0) / WINDOW
    start, stop = first * HOP, (last - 1) * HOP + WINDOW
    piece = np.zeros(stop - start)
    inside = signal[start:stop]
    piece[: len(inside)] = inside
    frames = np.lib.stride_tricks.sliding_window_view(piece, WINDOW)[::HOP]
    return np.abs(rfft(frames * window, axis=-1)) ** 2


def frame_count(frames: int) -> int:
    """Frames it takes for every sample to lie in one."""
    return max(1, -(-(frames - WINDOW) // HOP) + 1)


def blocks(count: int) -> Iterator[tuple[int, int]]:
    """`[first, last)` of so many frames at a time as bound the memory."""
    for first in range(0, count, FRAMES):
        yield first, min(first + FRAMES, count)


def masking_threshold(power: np.ndarray, barks: np.ndarray, quiet: np.ndarray) -> np.ndarray:
    """θ `(bins,)` in dB of one frame's power `(bins,)` at playback level, given each bin's Bark and ATH in dB."""
    inner = power[1:-1]
    peaks = np.flatnonzero((inner > power[:-2]) & (inner >= power[2:])) + 1
    level = 10.0 * np.log10(power[peaks - 1] + power[peaks] + power[peaks + 1])
    heard = level > quiet[peaks]
    level, place = level[heard], barks[peaks[heard]]
    near = np.abs(place[:, None] - place) < 0.5
    strongest = level >= np.where(near, level, -np.inf).max(1, initial=-np.inf)
    level, place = level[strongest, None], place[strongest, None]
    distance = (barks - place).astype(np.float32)
    above = (-27.0 + 0.37 * np.maximum(level - 40.0, 0.0)).astype(np.float32)
    # In single precision: of this matrix every entry is raised to a power, which takes nearly all the time.
    spread = np.where(distance <= 0.0, np.float32(27.0), above) * distance
    spread += (level - 6.025 - 0.275 * place).astype(np.float32)
    return 10.0 * np.log10(10.0 ** (quiet / 10.0) + np.exp(NEPER * spread).sum(0, dtype=np.float64))


def playback_gain(signal: np.ndarray) -> float:
    """What brings the power of the signal's loudest bin to `REFERENCE_DB`; of silence, that of a sine at full scale."""
    count = frame_count(len(signal))
    loudest = max(power_spectra(signal, *block).max() for block in blocks(count))
    return 10.0 ** (REFERENCE_DB / 10.0) / (loudest or FULL_SCALE)


def masking_thresholds(power: np.ndarray, sample_rate: int) -> np.ndarray:
    """θ `(frames, bins)` in dB of power `(frames, bins)` at playback level."""
    hz = np.arange(WINDOW // 2 + 1) * sample_rate / WINDOW
    barks, quiet = bark(hz), threshold_in_quiet(hz)
    return np.stack([masking_threshold(frame, barks, quiet) for frame in power])


def masking_excess(signal: np.ndarray, perturbation: np.ndarray, sample_rate: int) -> tuple[float | None, float | None]:
    """Mean dB above θ over the bins of `perturbation (n,)` that exceed the threshold of `signal (n,)`, and their share.

    (None, None) for a silent signal, which has no loudest bin to set the playback level by.
    """
    if not signal.any():
        return None, None
    count, gain = frame_count(len(signal)), playback_gain(signal)
    above, over = 0, 0.0
    for block in blocks(count):
        maskers, disturbance = (gain * power_spectra(part, *block) for part in (signal, perturbation))
        excess = 10.0 * np.log10(np.maximum(disturbance, 1e-30)) - masking_thresholds(maskers, sample_rate)
        loud = excess > 0.0
        above += int(loud.sum())
        over += float(excess[loud].sum())
    return (over / above if above else 0.0), above / (count * (WINDOW // 2 + 1))
