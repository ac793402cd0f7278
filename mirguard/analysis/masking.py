"""The masking threshold of a sound: how loud something else may be in each time–frequency bin before it is heard.

After Qin et al. 2019 (arXiv:1903.10346, appendix; MPEG-1 model 1): all maskers are taken as tonal. The power spectrum of
the loudest bin is set to 96 dB (loud playback), and masker and perturbation are measured by the same spectrum, so that
the two can be compared (several published versions differ by 4.26 dB there).

    Bark(f)  = 13 atan(0.00076 f) + 3.5 atan((f/7500)²)
    ATH(f)   = 3.64 f_k^−0.8 − 6.5 e^(−0.6 (f_k − 3.3)²) + 10⁻³ f_k⁴ − 12,   f_k in kHz
    T_j(i)   = P_j − 6.025 − 0.275 Bark_j + SF,   SF = 27 Δ for Δ = Bark_i − Bark_j ≤ 0, else (−27 + 0.37 max(P_j − 40, 0)) Δ
    θ(i)     = 10 log10(10^(ATH/10) + Σ_j 10^(T_j/10))
"""

from __future__ import annotations

import numpy as np
from scipy.fft import rfft
from scipy.signal import get_window

WINDOW, HOP = 2048, 512
REFERENCE_DB = 96.0
FRAMES = 64  # a block of frames at a time bounds the memory


def bark(hz: np.ndarray) -> np.ndarray:
    return 13.0 * np.arctan(0.00076 * hz) + 3.5 * np.arctan((hz / 7500.0) ** 2)


def threshold_in_quiet(hz: np.ndarray) -> np.ndarray:
    """ATH in dB SPL; below 20 Hz nothing is heard at all."""
    khz = np.maximum(hz, 20.0) / 1000.0
    return 3.64 * khz**-0.8 - 6.5 * np.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4 - 12.0


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
    return max(1, -(-max(0, frames - WINDOW) // HOP) + 1)


def _masked(psd: np.ndarray, barks: np.ndarray, quiet: np.ndarray) -> np.ndarray:
    """θ `(bins,)` of one frame's spectrum in dB."""
    inner = psd[1:-1]
    peaks = np.flatnonzero((inner > psd[:-2]) & (inner >= psd[2:]) & (inner > quiet[1:-1])) + 1
    total = 10.0 ** (quiet / 10.0)
    if not len(peaks):
        return quiet
    # Of peaks within half a Bark only the loudest masks.
    strongest = [j for j in peaks if psd[j] >= psd[peaks[np.abs(barks[peaks] - barks[j]) < 0.5]].max()]
    level, place = psd[strongest][:, None], barks[strongest][:, None]
    distance = barks[None] - place
    slope = np.where(distance <= 0.0, 27.0, -27.0 + 0.37 * np.maximum(level - 40.0, 0.0))
    spread = level - 6.025 - 0.275 * place + slope * distance
    return 10.0 * np.log10(total + (10.0 ** (spread / 10.0)).sum(0))


def masking_excess(signal: np.ndarray, perturbation: np.ndarray, sample_rate: int) -> tuple[float | None, float | None]:
    """Mean dB above θ over the bins of `perturbation (n,)` that exceed the threshold of `signal (n,)`, and their share.

    (None, None) for a silent signal, which has no loudest bin to set the playback level by.
    """
    count = frame_count(len(signal))
    blocks = [(i, min(i + FRAMES, count)) for i in range(0, count, FRAMES)]
    loudest = max(power_spectra(signal, *block).max() for block in blocks)
    if loudest <= 0.0:
        return None, None
    shift = REFERENCE_DB - 10.0 * np.log10(loudest)
    hz = np.arange(WINDOW // 2 + 1) * sample_rate / WINDOW
    barks, quiet = bark(hz), threshold_in_quiet(hz)
    above, over = 0, 0.0
    for block in blocks:
        spectra, disturbance = (
            10.0 * np.log10(np.maximum(power_spectra(part, *block), 1e-30)) + shift for part in (signal, perturbation)
        )
        for frame, other in zip(spectra, disturbance, strict=True):
            excess = other - _masked(frame, barks, quiet)
            loud = excess > 0.0
            above += int(loud.sum())
            over += float(excess[loud].sum())
    return (over / above if above else 0.0), above / (count * len(hz))
