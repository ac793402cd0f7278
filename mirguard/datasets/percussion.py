"""A synthetic drum kit: what each drum of one individual kit sounds like."""

from __future__ import annotations

import numpy as np

from mirguard.datasets.oscillators import decay, envelope, peak, shaped_noise
from mirguard.datasets.voices import log_span, span

KICK, SNARE, HAT, OPEN_HAT, TOM, CLAP = range(6)


def drum(which: int, velocity: float, traits: tuple[float, ...], rng: np.random.Generator, rate: int) -> np.ndarray:
    """One stroke, float32."""
    if which == KICK:
        return (
            _skin(
                log_span(traits[0], 42, 65),
                log_span(traits[1], 2.0, 5.0),
                log_span(traits[2], 0.2, 0.8),
                0.15,
                rng,
                rate,
            )
            * velocity
        )
    if which == TOM:
        base = log_span(traits[3], 80, 190) * rng.choice([1.0, 1.3, 1.65])
        return _skin(base, 1.5, log_span(traits[4], 0.25, 0.7), 0.12, rng, rate) * velocity * 0.8
    if which == SNARE:
        ring = log_span(traits[5], 0.12, 0.4)
        body = _skin(log_span(traits[6], 150, 240), 1.3, ring, 0.0, rng, rate)
        wires = shaped_noise(rng, rate, len(body), lambda f: peak(f, log_span(traits[7], 2200, 5500), 1.1)) * decay(
            rate, len(body), ring
        )
        return (span(traits[0], 0.3, 0.8) * body + 0.8 * wires) * velocity * 0.8
    if which == CLAP:
        samples = int(0.25 * rate)
        t = np.arange(samples) / rate
        strokes = sum(
            np.where(t >= start, np.exp(-(t - start) / long), 0)
            for start, long in ((0, 0.004), (0.011, 0.004), (0.022, 0.05))
        )
        return (
            (shaped_noise(rng, rate, samples, lambda f: peak(f, 1500, 0.6)) * strokes).astype(np.float32)
            * velocity
            * 0.5
        )
    ring = log_span(traits[1], 0.04, 0.12) if which == HAT else log_span(traits[2], 0.3, 0.9)
    samples = int(ring * 1.1 * rate)
    edge = log_span(traits[3], 5000, 8500)
    metal = shaped_noise(rng, rate, samples, lambda f: 1 / (1 + (edge / np.maximum(f, 1)) ** 6))
    return metal * decay(rate, samples, ring) * velocity * span(traits[4], 0.15, 0.45)


def _skin(base: float, drop: float, ring: float, click: float, rng: np.random.Generator, rate: int) -> np.ndarray:
    """A skin: a sine that falls from `drop` times its pitch."""
    samples = int(ring * 1.1 * rate)
    t = np.arange(samples) / rate
    phase = np.cumsum(base * (1 + (drop - 1) * np.exp(-t / 0.025))) * (2 * np.pi / rate)
    out = np.sin(phase).astype(np.float32) * decay(rate, samples, ring)
    if click:
        out += click * shaped_noise(rng, rate, samples, lambda f: peak(f, 2500, 1.0)) * decay(rate, samples, 0.03)
    return out * envelope(rate, samples, (0, 0), (0.001, 1), (samples / rate, 1))
