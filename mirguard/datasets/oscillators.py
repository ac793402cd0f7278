"""The parts that the synthetic instruments are made of: wavetable oscillators, envelopes, shaped noise.

Everything is whole-note numpy: no loop runs over samples.
"""

from __future__ import annotations

import numpy as np

TABLE = 2048  # samples in one cycle of a wavetable


def hertz(pitch: np.ndarray | float) -> np.ndarray | float:
    """MIDI pitch -> Hz, A4 = 69 = 440 Hz."""
    return 440.0 * 2.0 ** ((np.asarray(pitch, float) - 69) / 12)


def harmonics(frequency: float, rate: int, most: int = 60) -> np.ndarray:
    """The numbers 1, 2, ... of the harmonics that stay below 0.45 of the rate."""
    return np.arange(1, max(1, min(most, int(0.45 * rate / frequency))) + 1)


def tables(amplitudes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cycles `(tables, TABLE)` with the given amplitudes `(tables, harmonics)`, unit energy each, all with the same phases."""
    amplitudes = np.atleast_2d(amplitudes)
    spectrum = np.zeros((len(amplitudes), TABLE // 2 + 1), complex)
    phases = np.exp(2j * np.pi * rng.random(amplitudes.shape[1]))
    spectrum[:, 1 : amplitudes.shape[1] + 1] = amplitudes * phases
    cycles = np.fft.irfft(spectrum, axis=-1)
    return (cycles / np.maximum(cycles.std(axis=-1, keepdims=True), 1e-12)).astype(np.float32)


def oscillate(
    cycles: np.ndarray, frequency: np.ndarray | float, rate: int, samples: int, position: np.ndarray | None = None
) -> np.ndarray:
    """Play `cycles (tables, TABLE)` at `frequency` Hz (a number, or one a sample).

    `position (samples,)` in [0, tables - 1] says where between the tables the timbre is at each moment; without it the first
    table sounds throughout.
    """
    steps = np.broadcast_to(np.asarray(frequency, float) * (TABLE / rate), (samples,))
    phase = np.cumsum(steps)
    whole = phase.astype(np.int64)
    part = (phase - whole).astype(np.float32)
    left, right = whole & (TABLE - 1), (whole + 1) & (TABLE - 1)

    def read(table: int | np.ndarray) -> np.ndarray:
        here = cycles[table, left]
        return here + part * (cycles[table, right] - here)

    if position is None or len(cycles) == 1:
        return read(0)
    position = np.clip(position, 0, len(cycles) - 1).astype(np.float32)
    table = np.minimum(position.astype(np.int64), len(cycles) - 2)
    mix = position - table.astype(np.float32)
    return read(table) * (1 - mix) + read(table + 1) * mix


def envelope(rate: int, samples: int, *points: tuple[float, float]) -> np.ndarray:
    """Straight lines through `(seconds, level)`, one value a sample."""
    times, levels = zip(*points, strict=True)
    return np.interp(np.arange(samples) / rate, times, levels).astype(np.float32)


def decay(rate: int, samples: int, seconds: float) -> np.ndarray:
    """exp(-6.9 t / seconds): down by 60 dB after `seconds`."""
    return np.exp(np.arange(samples, dtype=np.float32) * np.float32(-6.9 / (max(seconds, 1e-3) * rate)))


def held(rate: int, samples: int, seconds: float, attack: float, release: float, sag: float = 1.0) -> np.ndarray:
    """Level of a note that is held for `seconds`: smooth attack, slow sag to `sag`, smooth release, in seconds."""
    attack = min(attack, 0.8 * seconds)
    level = envelope(
        rate, samples, (0, 0), (attack, 1), (max(seconds, attack), sag), (max(seconds, attack) + release, 0)
    )
    return level * level * (3 - 2 * level) if sag == 1.0 else level


def wander(rng: np.random.Generator, rate: int, samples: int, per_second: float) -> np.ndarray:
    """A slow random curve of unit deviation: what no player holds still."""
    knots = rng.standard_normal(int(samples / rate * per_second) + 3)
    at = np.arange(samples) * (per_second / rate)
    return np.interp(at, np.arange(len(knots)), knots).astype(np.float32)


def vibrato(
    rng: np.random.Generator, rate: int, samples: int, per_second: float, cents: float, onset: float
) -> np.ndarray:
    """Factor `(samples,)` on a frequency: vibrato that sets in after `onset` seconds, and some unsteadiness."""
    t = np.arange(samples, dtype=np.float32) / rate
    depth = np.clip((t - onset) / 0.25, 0, 1) * cents
    swing = np.sin(2 * np.pi * (per_second * t + rng.random())) * depth
    return np.exp2((swing + wander(rng, rate, samples, 9) * 3) / 1200)


def shaped_noise(rng: np.random.Generator, rate: int, samples: int, gain) -> np.ndarray:
    """Gaussian noise whose spectrum is `gain(Hz)`, unit deviation."""
    bins = np.fft.rfftfreq(_even(samples), 1 / rate)
    spectrum = gain(bins) * (rng.standard_normal(len(bins)) + 1j * rng.standard_normal(len(bins)))
    noise = np.fft.irfft(spectrum)[:samples]
    return (noise / max(noise.std(), 1e-12)).astype(np.float32)


def _even(samples: int) -> int:
    """A length that FFTs like: the next multiple of 1024."""
    return -(-max(samples, 1) // 1024) * 1024


def peak(bins: np.ndarray, centre: float, octaves: float) -> np.ndarray:
    """A bell of the given width on a logarithmic frequency axis, 1 at its centre."""
    return np.exp(-0.5 * (np.log2(np.maximum(bins, 1.0) / centre) / octaves) ** 2)


def low_pass(bins: np.ndarray, cut: np.ndarray | float, order: float = 2.0) -> np.ndarray:
    """Magnitude of a smooth low-pass: 1/√2 at `cut`, falling by `order` · 6 dB an octave."""
    return 1 / np.sqrt(1 + (bins / cut) ** (2 * order))
