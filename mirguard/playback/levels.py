"""Making a perturbation audible: the gain that suits it, and the limiter that keeps any gain within full scale."""

from __future__ import annotations

import numpy as np

from mirguard.playback.sources import Source

KNEE = 10 ** (-1 / 20)  # the limiter leaves everything below -1 dB of full scale as it is
MAX_GAIN_DB = 80.0
BLOCK = 1 << 14  # frames
BLOCKS = 96  # at most so many are looked at: half a minute at 44.1 kHz, spread over the clip


def level(source: Source) -> tuple[float, float]:
    """RMS over all channels, and peak, of a source; of evenly spread blocks of it when it is long."""
    scratch = np.empty(BLOCK, np.float32)
    count = -(-source.frames // BLOCK)
    chosen = range(count) if count <= BLOCKS else np.linspace(0, count - 1, BLOCKS).astype(int).tolist()
    energy, peak, frames = 0.0, 0.0, 0
    for number in chosen:
        start, stop = number * BLOCK, min((number + 1) * BLOCK, source.frames)
        for channel in range(source.channels):
            block = source.take(channel, start, stop, scratch)
            energy += float(np.einsum("i,i->", block, block, dtype=np.float64))
            peak = max(peak, float(block.max()), -float(block.min()))
        frames += stop - start
    return (energy / (frames * source.channels)) ** 0.5, peak


def suggest_gain_db(original: Source, perturbation: Source) -> float:
    """The gain in dB (whole, rounded down) that makes a perturbation about as loud as the original.

    It brings the perturbation's RMS to the original's, but its peak no higher than where the limiter begins,
    so that what is heard is the perturbation's own shape; at most 80 dB, and never below 0 dB. A silent
    perturbation gets 0 dB; beside a silent original only the peak counts.
    """
    rms, peak = level(perturbation)
    if peak == 0.0:
        return 0.0
    loudness, _ = level(original)
    gain = KNEE / peak
    if loudness > 0.0:
        gain = min(gain, loudness / rms)
    return float(np.clip(np.floor(20 * np.log10(gain) + 1e-6), 0.0, MAX_GAIN_DB))


def limit(block: np.ndarray, scratch: np.ndarray) -> bool:
    """Bend what exceeds the knee smoothly towards full scale, in place; says whether anything did.

    Without memory on purpose: the same sample gives the same output wherever playing started, and with a slope
    that is never above 1 it makes no step larger than it was.
    """
    np.abs(block, out=scratch)
    if float(scratch.max(initial=0.0)) <= KNEE:
        return False
    room = 1.0 - KNEE
    # KNEE + room·tanh((|x| - KNEE)/room) above the knee, |x| below it; the sign goes back on at the end.
    over = np.maximum(scratch, KNEE, out=scratch)
    over -= KNEE
    bent = np.tanh(np.divide(over, room, out=over), out=over)
    bent *= room
    np.clip(block, -KNEE, KNEE, out=block)
    np.copysign(bent, block, out=bent)
    block += bent
    return True
