"""Where a synthetic phrase is played and how it is recorded: reverberation, tone, noise, hum, level."""

from __future__ import annotations

import numpy as np
from scipy.signal import fftconvolve

from mirguard.datasets.oscillators import shaped_noise


def room(rng: np.random.Generator, rate: int, size: float) -> np.ndarray:
    """An impulse response without its direct sound: a few early reflections, then noise whose highs die sooner.

    `size` in [0, 1] goes from a booth (0.15 s) to a hall (2 s to -60 dB). Unit energy.
    """
    long = 0.15 * (2.0 / 0.15) ** size
    samples = int(min(long, 1.2) * rate)
    t = np.arange(samples) / rate
    cut = rng.uniform(900, 3000)
    low = shaped_noise(rng, rate, samples, lambda f: 1 / np.sqrt(1 + (f / cut) ** 4)) * np.exp(-6.9 * t / long)
    high = shaped_noise(rng, rate, samples, lambda f: 1 / np.sqrt(1 + (cut / np.maximum(f, 1)) ** 4))
    response = low + rng.uniform(0.3, 0.9) * high * np.exp(-6.9 * t / (long * rng.uniform(0.3, 0.7)))
    start = int((0.002 + 0.02 * size) * rate)  # before the first reflection nothing is heard
    response[:start] = 0
    for _ in range(6):
        at = start + int(rng.uniform(0, 0.03 + 0.04 * size) * rate)
        if at < samples:
            response[at] += rng.choice([-1, 1]) * rng.uniform(2, 8)
    return (response / max(np.sqrt(np.sum(response**2)), 1e-12)).astype(np.float32)


def reverberate(dry: np.ndarray, response: np.ndarray, wet_db: float) -> np.ndarray:
    """`dry` plus the room at `wet_db` below it; the tail beyond the clip is cut off."""
    return dry + np.float32(10 ** (wet_db / 20)) * fftconvolve(dry, response)[: len(dry)].astype(np.float32)


def tone(sound: np.ndarray, rate: int, tilt_db: float, cut: float) -> np.ndarray:
    """A microphone's tone: so many dB an octave around 1 kHz, and a gentle end at `cut` Hz."""
    size = 1 << (len(sound) - 1).bit_length()
    bins = np.fft.rfftfreq(size, 1 / rate)
    gain = 10 ** (tilt_db / 20 * np.clip(np.log2(np.maximum(bins, 30.0) / 1000), -4, 4)) / np.sqrt(
        1 + (bins / cut) ** 8
    )
    return np.fft.irfft(np.fft.rfft(sound, size) * gain, size)[: len(sound)].astype(np.float32)


def background(rng: np.random.Generator, rate: int, samples: int) -> np.ndarray:
    """Noise of unit deviation between white and brown, now and then with the mains' hum."""
    slope = rng.uniform(0, 1.0)
    noise = shaped_noise(rng, rate, samples, lambda f: np.maximum(f, 40.0) ** -slope)
    if rng.random() < 0.25:
        mains = rng.choice([50.0, 60.0])
        t = np.arange(samples) / rate
        noise += sum(
            rng.uniform(0.2, 1.0) / k * np.sin(2 * np.pi * mains * k * t + 6.28 * rng.random()) for k in (1, 2, 3, 5)
        )
    return noise.astype(np.float32)
