"""Ten families of synthetic instruments: how one note of each sounds.

Each voice takes what the player does (Hz, seconds held, velocity 0..1), the traits of the individual instrument (numbers in
[0, 1], the same for all its notes) and a random generator for what differs from note to note, and gives the note with its
release: `voice(frequency, seconds, velocity, traits, rng, rate) -> float32 samples`. The methods are textbook ones:
Karplus-Strong strings (Computer Music Journal 7(2), 1983), wavetables, frequency modulation (Chowning, JAES 21(7), 1973),
modal bars (Fletcher and Rossing, The Physics of Musical Instruments, 1998).
"""

from __future__ import annotations

import numpy as np

from mirguard.datasets.oscillators import (
    decay,
    envelope,
    harmonics,
    held,
    low_pass,
    oscillate,
    peak,
    shaped_noise,
    tables,
    vibrato,
    wander,
)


def span(trait: float, low: float, high: float) -> float:
    """A trait in [0, 1] as a value in [low, high]."""
    return low + trait * (high - low)


def log_span(trait: float, low: float, high: float) -> float:
    """The same on a logarithmic scale."""
    return low * (high / low) ** trait


def plucked_string(frequency, seconds, velocity, traits, rng, rate):
    """A string after Karplus and Strong: a burst of noise going round a delay line with a low-pass in it."""
    release = 0.12
    samples = int((max(seconds, 0.25) + release) * rate)
    # The loop is three taps around the period: a fractional delay convolved with a two-point low-pass.
    damping = span(traits[0], 0.02, 0.45)  # 0: bright steel; 0.5: nylon or muted
    period = rate / frequency - damping
    whole = int(period)
    part = period - whole
    ring = log_span(traits[1], 0.5, 4.0) * (220 / frequency) ** 0.35
    gain = 10 ** (-3 / (frequency * ring))
    taps = gain * np.convolve([1 - part, part], [1 - damping, damping])
    # The plectrum: harder plucks are brighter, and the place of plucking cancels every n-th harmonic.
    burst = rng.uniform(-1, 1, whole)
    spectrum = np.fft.rfft(burst)
    k = np.arange(len(spectrum))
    cut = log_span(traits[2], 1500, 7000) * (0.5 + velocity)
    spectrum *= low_pass(k * frequency, cut) * np.abs(np.sin(np.pi * k * span(traits[3], 0.08, 0.45)))
    burst = np.fft.irfft(spectrum, whole)
    out = np.zeros(samples + whole + 2)
    out[2 : whole + 2] = burst
    step = whole
    for start in range(whole + 2, len(out), step):
        stop = min(start + step, len(out))
        size = stop - start
        base = start - whole
        out[start:stop] = taps[0] * out[base : base + size] + taps[1] * out[base - 1 : base - 1 + size]
        out[start:stop] += taps[2] * out[base - 2 : base - 2 + size]
    out = out[2 : samples + 2].astype(np.float32)
    out *= envelope(rate, samples, (0, 1), (samples / rate - release, 1), (samples / rate, 0))
    return out * (velocity / max(float(out[: rate // 10].std()), 1e-9))


def bowed_string(frequency, seconds, velocity, traits, rng, rate):
    """Saw-like bow motion through the resonances of a body, with vibrato and the rosin's noise."""
    release = span(traits[0], 0.06, 0.2)
    samples = int((seconds + release) * rate)
    k = harmonics(frequency, rate)
    body = 0.25 + sum(
        peak(k * frequency, centre, 0.22) * height
        for centre, height in (
            (log_span(traits[1], 220, 420), 1.0),
            (log_span(traits[2], 600, 1100), 0.9),
            (log_span(traits[3], 1800, 3400), 0.9),
        )
    )
    bright = k ** -span(traits[4], 0.85, 1.25) * body
    cycles = tables(np.stack([bright * k**-0.9, bright]), rng)
    attack = span(traits[5], 0.04, 0.16) * (1.3 - 0.6 * velocity)
    level = held(rate, samples, seconds, attack, release)
    pitch = frequency * vibrato(rng, rate, samples, span(traits[6], 4.8, 6.4), span(traits[7], 6, 30), 0.12)
    tone = oscillate(cycles, pitch, rate, samples, level * (0.4 + 0.6 * velocity))
    hiss = shaped_noise(rng, rate, samples, lambda f: peak(f, log_span(traits[3], 1800, 3400), 0.8))
    return (tone + hiss * span(traits[0], 0.02, 0.07)) * level * (1 + 0.06 * wander(rng, rate, samples, 12)) * velocity


def flute(frequency, seconds, velocity, traits, rng, rate):
    """Few harmonics and much breath, which speaks before the tone does."""
    release = span(traits[0], 0.05, 0.15)
    samples = int((seconds + release) * rate)
    k = harmonics(frequency, rate, 9)
    amplitudes = np.array([1, 0.5, 0.22, 0.1, 0.05, 0.03, 0.02, 0.01, 0.008])[: len(k)]
    strength = span(traits[1], 0.35, 1.1) * (0.6 + 0.7 * velocity)
    cycles = tables(amplitudes * strength ** (k - 1.0), rng)
    attack = span(traits[2], 0.03, 0.1)
    level = held(rate, samples, seconds, attack, release)
    rate_of_vibrato = span(traits[3], 4.2, 6.0)
    pitch = frequency * vibrato(rng, rate, samples, rate_of_vibrato, span(traits[4], 2, 14), 0.2)
    t = np.arange(samples, dtype=np.float32) / rate
    swell = 1 + span(traits[5], 0.03, 0.22) * np.sin(2 * np.pi * rate_of_vibrato * t + rng.random() * 6) * np.minimum(
        t / 0.3, 1
    )
    breath = shaped_noise(
        rng,
        rate,
        samples,
        lambda f: 0.5 * peak(f, frequency, 0.12) + 0.35 * peak(f, 2 * frequency, 0.15) + 0.3 * peak(f, 3500, 1.0),
    )
    chiff = np.exp(-t / span(traits[6], 0.015, 0.05)) * span(traits[7], 0.05, 0.45)
    air = log_span(traits[6], 0.03, 0.16)
    return (
        oscillate(cycles, pitch, rate, samples) * level * swell
        + breath * (air * level + chiff * np.minimum(t / 0.006, 1))
    ) * velocity


def clarinet(frequency, seconds, velocity, traits, rng, rate):
    """A reed on a closed tube: odd harmonics, the even ones only high up."""
    release = span(traits[0], 0.04, 0.12)
    samples = int((seconds + release) * rate)
    k = harmonics(frequency, rate, 40)
    even = span(traits[1], 0.02, 0.12) + span(traits[2], 0.1, 0.45) * np.clip((k - 5) / 10, 0, 1)
    cut = log_span(traits[3], 1300, 3000)
    amplitudes = np.where(k % 2 == 1, 1.0, even) * k ** -span(traits[4], 0.35, 0.8) * low_pass(k * frequency, cut, 1.5)
    cycles = tables(np.stack([amplitudes * k**-0.7, amplitudes]), rng)
    level = held(rate, samples, seconds, span(traits[5], 0.02, 0.07), release)
    pitch = frequency * vibrato(rng, rate, samples, 5.0, span(traits[6], 0, 7), 0.3)
    tone = oscillate(cycles, pitch, rate, samples, level * velocity)
    air = shaped_noise(rng, rate, samples, lambda f: peak(f, 2500, 0.9))
    return (tone + air * span(traits[7], 0.008, 0.035)) * level * velocity


def brass(frequency, seconds, velocity, traits, rng, rate):
    """Lips and bell: the louder, the brighter, within every note; a scoop into the pitch."""
    release = span(traits[0], 0.05, 0.14)
    samples = int((seconds + release) * rate)
    k = harmonics(frequency, rate)
    formant = 0.35 + peak(k * frequency, log_span(traits[1], 450, 1500), 0.7)
    slopes = np.array([2.6, 1.7, 1.0, 0.6])[:, None] + span(traits[2], -0.1, 0.35)
    cycles = tables(formant * k**-slopes, rng)
    attack = span(traits[3], 0.025, 0.08)
    # An overshoot at the beginning, then the note is held: what makes it "speak".
    level = envelope(
        rate, samples, (0, 0), (attack, 1), (attack + 0.08, span(traits[4], 0.65, 0.9)),
        (max(seconds, attack + 0.1), span(traits[5], 0.7, 1.0)), (max(seconds, attack + 0.1) + release, 0),
    )  # fmt: skip
    scoop = np.exp2(-span(traits[6], 10, 60) / 1200 * np.exp(-np.arange(samples) / (0.03 * rate)))
    pitch = frequency * scoop * vibrato(rng, rate, samples, 5.3, span(traits[7], 0, 16), 0.35)
    tone = oscillate(cycles, pitch, rate, samples, 3 * level * (0.35 + 0.65 * velocity))
    return tone * level * (1 + 0.04 * wander(rng, rate, samples, 20)) * velocity


BARS = (
    (1, 3.93, 9.6, 16.0),
    (1, 4.0, 10.2, 18.0),
    (1, 3.0, 6.1, 10.0),
    (1, 2.76, 5.4, 8.93),
)  # marimba, vibraphone, xylophone, bells


def mallet(frequency, seconds, velocity, traits, rng, rate):
    """A struck bar: a few inharmonic modes that die away, and the mallet's knock. It rings on after the note ends."""
    kind = int(traits[0] * 3.999)
    ring = log_span(traits[1], (0.35, 1.5, 0.25, 0.9)[kind], (1.1, 4.0, 0.7, 3.0)[kind]) * (440 / frequency) ** 0.5
    samples = int(min(ring + 0.05, max(seconds, 0.3) + 1.2) * rate)
    hard = log_span(traits[2], 900, 6000) * (0.5 + velocity)
    out = np.zeros(samples, np.float32)
    for number, ratio in enumerate(BARS[kind]):
        mode = frequency * ratio * (1 + 0.01 * (traits[3] - 0.5) * number)
        if mode < 0.45 * rate:
            weight = (1, span(traits[4], 0.2, 0.7), span(traits[5], 0.1, 0.45), 0.12)[number] * low_pass(mode, hard)
            phase = np.arange(samples) * (2 * np.pi * mode / rate) + 6.28 * rng.random()
            out += weight * np.sin(phase).astype(np.float32) * decay(rate, samples, ring / ratio**0.9)
    if kind == 1:  # the vibraphone's fans
        t = np.arange(samples, dtype=np.float32) / rate
        out *= 1 - span(traits[6], 0, 0.35) * (0.5 + 0.5 * np.sin(2 * np.pi * span(traits[7], 3, 7) * t))
    knock = shaped_noise(rng, rate, samples, lambda f: peak(f, min(hard, 3000), 0.8)) * decay(rate, samples, 0.04)
    out += knock * span(traits[7], 0.05, 0.35)
    out *= envelope(rate, samples, (0, 0), (0.001, 1), (samples / rate - 0.05, 1), (samples / rate, 0))
    return out * velocity


def electric_piano(frequency, seconds, velocity, traits, rng, rate):
    """Two pairs of operators in frequency modulation: the tone and the tine."""
    release = span(traits[0], 0.08, 0.3)
    samples = int((max(seconds, 0.15) + release) * rate)
    t = np.arange(samples, dtype=np.float32) / rate
    ring = log_span(traits[1], 1.2, 5.0) * (220 / frequency) ** 0.4
    fade = decay(rate, samples, ring)
    index = span(traits[2], 0.5, 2.6) * (0.25 + velocity) * decay(rate, samples, ring * span(traits[3], 0.3, 0.8))
    turn = 2 * np.pi * frequency * t
    ratio = (1.0, 1.0, 2.0, 3.0)[int(traits[4] * 3.999)]
    tone = np.sin(turn + index * np.sin(ratio * turn))
    tine = min(14.0 if traits[5] < 0.6 else 7.0, 0.4 * rate / frequency)
    bell = np.sin(turn + span(traits[6], 0.1, 0.7) * velocity * decay(rate, samples, 0.5) * np.sin(tine * turn))
    out = (0.75 * tone + 0.45 * bell) * fade
    out *= 1 - span(traits[7], 0, 0.4) * (
        0.5 + 0.5 * np.sin(2 * np.pi * span(traits[3], 3.5, 6.5) * t + 6.28 * rng.random())
    )
    out *= envelope(rate, samples, (0, 0), (0.002, 1), (samples / rate - release, 1), (samples / rate, 0))
    return (out * velocity).astype(np.float32)


DRAWBARS = np.array(
    [1, 3, 2, 4, 6, 8, 10, 12, 16]
)  # 16', 5 1/3', 8', 4', 2 2/3', 2', 1 3/5', 1 1/3', 1', over half the pitch
REGISTRATIONS = np.array(
    [
        [8, 8, 8, 0, 0, 0, 0, 0, 0],
        [8, 3, 8, 8, 0, 3, 0, 0, 0],
        [6, 0, 8, 6, 4, 3, 2, 2, 3],
        [0, 0, 8, 7, 0, 6, 0, 0, 4],
        [8, 8, 8, 8, 8, 8, 8, 8, 8],
        [0, 0, 8, 0, 5, 0, 3, 0, 0],
    ],
    float,
)


def organ(frequency, seconds, velocity, traits, rng, rate):
    """Drawbars on one wheel, at once on and at once off, through a rotating loudspeaker."""
    release = 0.03
    samples = int((seconds + release) * rate)
    chosen = traits[0] * (len(REGISTRATIONS) - 1)
    low = int(chosen)
    bars = REGISTRATIONS[low] * (1 - chosen + low) + REGISTRATIONS[min(low + 1, len(REGISTRATIONS) - 1)] * (
        chosen - low
    )
    amplitudes = np.zeros(16)
    amplitudes[DRAWBARS - 1] = bars * span(traits[1], 0.75, 1.05) ** np.arange(9)
    amplitudes = amplitudes[: max(2, min(16, int(0.9 * rate / frequency)))]
    t = np.arange(samples, dtype=np.float32) / rate
    turns = (6.5 if traits[2] > 0.5 else 0.8) * span(traits[3], 0.85, 1.15)
    swing = np.sin(2 * np.pi * turns * t)  # one rotor for all notes
    depth = span(traits[4], 0, 1)
    tone = oscillate(tables(amplitudes, rng), frequency / 2 * (1 + 0.003 * depth * swing), rate, samples)
    level = envelope(rate, samples, (0, 0), (span(traits[5], 0.004, 0.03), 1), (seconds, 1), (seconds + release, 0))
    click = shaped_noise(rng, rate, samples, lambda f: peak(f, 2500, 0.7)) * decay(rate, samples, 0.02)
    return (
        (tone * (1 + 0.18 * depth * np.cos(2 * np.pi * turns * t)) + click * span(traits[6], 0, 0.4))
        * level
        * (0.6 + 0.4 * velocity)
    )


def synth_bass(frequency, seconds, velocity, traits, rng, rate):
    """Saw or pulse through a resonant low-pass that an envelope sweeps: wavetables at six positions of the filter."""
    release = span(traits[0], 0.02, 0.12)
    samples = int((seconds + release) * rate)
    k = harmonics(frequency, rate, 120)
    width = span(traits[1], 0.1, 0.5)
    source = (1.0 / k) if traits[2] < 0.5 else np.abs(np.sin(np.pi * k * width)) / k
    cuts = frequency * np.geomspace(1.0, 40.0, 6)[:, None]
    resonance = 1 + span(traits[3], 0, 4.0) * peak(k * frequency, cuts, 0.18)
    cycles = tables(source * low_pass(k * frequency, cuts, 3.0) * resonance, rng)
    sweep = decay(rate, samples, log_span(traits[4], 0.2, 2.0))
    position = span(traits[5], 0.2, 2.2) + span(traits[6], 0.5, 3.2) * sweep * (0.4 + velocity)
    glide = np.exp2(-span(traits[7], 0, 120) / 1200 * np.exp(-np.arange(samples) / (0.02 * rate)))
    tone = oscillate(cycles, frequency * glide, rate, samples, position)
    level = envelope(
        rate, samples, (0, 0), (0.004, 1), (0.15, 0.8), (max(seconds, 0.16), 0.65), (max(seconds, 0.16) + release, 0)
    )
    return tone * level * velocity
