"""How far one sound is from another: the measures beside every result, each with its definition.

There is one SNR here, 10·log10(Σx²/Σδ²) over all channels of the whole clip; the literature's other quantities of that
name are off by up to 55 dB. With d = processed − original:

    snr_db              10 log10(Σx² / Σd²)
    snr_trimmed_db      the same without the first and last 2,048 samples (Kereliuk 2015, Prinz 2021)
    segmental_snr_db    mean over 25 ms frames of the frame's SNR clamped to −10…35 dB, silent frames skipped
    dbx_db              20 log10(max|d| / max|x|)  (Carlini & Wagner 2018)
    l2, rms, linf       √Σd², √mean d², max|d|, in units of full scale
    masking_excess      mean dB by which d exceeds the masking threshold of x, over the bins that exceed it (Qin 2019)
    masking_share       share of time–frequency bins of d above that threshold; both of the down-mix to one channel
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from mirguard.analysis.masking import masking_excess
from mirguard.clip import Clip, energy, peak, rms
from mirguard.errors import MirguardError, UsageError

TRIM = 2048
SEGMENT_SECONDS = 0.025
SEGMENT_RANGE = (-10.0, 35.0)
SILENT = 1e-10  # mean power under which a frame counts as silent: -100 dB of full scale
TEST_SNR, TEST_TOLERANCE = 20.0, 0.01  # dB


def power_ratio_db(signal: float, noise: float) -> float | None:
    """10 log10(signal/noise); None where there is no signal (a silent clip has no SNR), inf where there is no noise."""
    if signal <= 0.0:
        return None
    return math.inf if noise <= 0.0 else 10.0 * math.log10(signal / noise)


def snr_db(original: np.ndarray, processed: np.ndarray) -> float | None:
    """10·log10(Σx²/Σδ²), δ = processed − original, both `(channels, frames)`; None for a silent original."""
    return power_ratio_db(energy(original), energy(processed - original))


def snr_self_test() -> dict[str, float | None]:
    """What `snr_db` reads of four perturbations whose SNR is 20.00 dB, by their names (SC-16).

    Each shows up formulas that stand in the literature's programs: noise without a mean, the square of the mean instead of the mean
    of squares; a single impulse, peaks instead of powers, and edges left out; equal energy, the difference of levels instead of
    the level of the difference; any of them, sounds moved to 0…1, where the offset counts as signal, and 10·log for 20·log."""
    rng = np.random.default_rng(20)
    x = 0.1 * rng.standard_normal((2, 8 * TRIM))
    noise = rng.standard_normal(x.shape)
    impulse = np.zeros_like(x)
    impulse[0, TRIM // 2] = 1.0
    # y is orthogonal to x and as loud, so x cos θ + y sin θ is as loud as both, and |δ|² = (2 − 2 cos θ)·|x|².
    y = noise - x * (x * noise).sum() / energy(x)
    y *= math.sqrt(energy(x) / energy(y))
    turn = math.acos(1.0 - 10.0 ** (-TEST_SNR / 10.0) / 2.0)
    deltas = {
        "white noise": noise,
        "noise without a mean": noise - noise.mean(1, keepdims=True),
        "a single impulse": impulse,
    }
    scaled = {
        name: x + delta * math.sqrt(energy(x) / energy(delta)) * 10.0 ** (-TEST_SNR / 20.0)
        for name, delta in deltas.items()
    }
    scaled["a sound of equal energy"] = x * math.cos(turn) + y * math.sin(turn)
    return {name: snr_db(x, processed) for name, processed in scaled.items()}


@cache
def require_snr() -> None:
    """Every export asks for this first: MirguardError unless `snr_db` reads 20.00 ± 0.01 dB of all of `snr_self_test`."""
    for name, read in snr_self_test().items():
        if read is None or not abs(read - TEST_SNR) <= TEST_TOLERANCE:
            shown = "nothing" if read is None else f"{read:.2f} dB"
            raise MirguardError(
                f"The SNR is computed wrongly: {name} at {TEST_SNR:.2f} dB reads {shown}, so nothing is exported; "
                "install MIRGuard again."
            )


def segmental_snr_db(original: np.ndarray, difference: np.ndarray, sample_rate: int) -> float | None:
    """Mean SNR of the frames of `original (channels, n)` that are not silent; None where there is no such frame."""
    size = max(1, round(SEGMENT_SECONDS * sample_rate))

    def frame_energy(part: np.ndarray) -> np.ndarray:
        frames = part[:, : part.shape[1] // size * size].reshape(len(part), -1, size)
        return np.einsum("cfs,cfs->f", frames, frames, dtype=np.float64)

    signal, noise = frame_energy(original), frame_energy(difference)
    heard = signal > SILENT * size * len(original)
    if not heard.any():
        return None
    share = np.maximum(noise[heard] / signal[heard], 1e-30)  # no noise at all has no logarithm
    return float(np.clip(-10.0 * np.log10(share), *SEGMENT_RANGE).mean())


def compare(original: Clip, processed: Clip) -> dict[str, float | None]:
    """All the measures of this page between two clips of equal rate and shape; UsageError otherwise."""
    if original.sample_rate != processed.sample_rate:
        raise UsageError(
            f"The two sounds have different sample rates ({original.sample_rate} and {processed.sample_rate} Hz); "
            "compare files of one rate."
        )
    if original.samples.shape != processed.samples.shape:
        raise UsageError(
            f"The two sounds differ in shape ({original.channels} × {original.frames} and {processed.channels} × "
            f"{processed.frames} samples); compare a sound with its own processed version."
        )
    x, d = original.samples, processed.samples - original.samples
    inner = slice(TRIM, -TRIM)
    peak_x, peak_d = peak(x), peak(d)
    excess, share = masking_excess(original.mono(), d.mean(0), original.sample_rate)
    return {
        "snr_db": power_ratio_db(energy(x), energy(d)),
        "snr_trimmed_db": power_ratio_db(energy(x[:, inner]), energy(d[:, inner])) if x.shape[1] > 2 * TRIM else None,
        "segmental_snr_db": segmental_snr_db(x, d, original.sample_rate),
        "dbx_db": 20.0 * math.log10(peak_d / peak_x) if peak_x > 0 and peak_d > 0 else None,
        "l2": math.sqrt(energy(d)),
        "rms": rms(d),
        "linf": peak_d,
        "masking_excess": excess,
        "masking_share": share,
    }
