"""The demonstration clip: ten seconds of synthetic music, plucked strings in front, free of anyone's rights (CC0)."""

from __future__ import annotations

import numpy as np

from mirguard.clip import Clip
from mirguard.datasets.percussion import HAT, KICK, SNARE
from mirguard.datasets.phrases import Note
from mirguard.datasets.rooms import reverberate, room, tone
from mirguard.datasets.synthesis import perform

RATE = 44_100
BPM = 100
SECONDS = 10.6  # four bars and the last chord's end
INSTRUMENT = "plucked string"

# D, A, B minor, G: the bass's root, then the chord that is broken.
CHORDS = (
    (38, (50, 57, 62, 66, 69)),
    (45, (57, 61, 64, 69, 73)),
    (35, (47, 54, 59, 62, 66)),
    (43, (55, 59, 62, 67, 71)),
)
BROKEN = (0, 2, 3, 1, 4, 2, 3, 1)  # one a quaver
# (bar, quaver, quavers held, pitch): a tune that the same player plays on top.
TUNE = (
    (0, 0, 3, 78), (0, 3, 1, 76), (0, 4, 4, 74),
    (1, 0, 3, 76), (1, 3, 1, 73), (1, 4, 2, 69), (1, 6, 2, 71),
    (2, 0, 2, 74), (2, 2, 2, 71), (2, 4, 3, 78), (2, 7, 1, 76),
    (3, 0, 2, 74), (3, 2, 2, 71), (3, 4, 4, 74),
)  # fmt: skip


def demonstration() -> Clip:
    """The clip: stereo, 44.1 kHz, 10.6 s; always the same samples."""
    quaver = 30.0 / BPM
    bar = 8 * quaver
    rng = np.random.default_rng(20_260)
    feel = np.random.default_rng(7)

    def at(number: int, quavers: float) -> float:
        return number * bar + quavers * quaver + abs(float(feel.normal(0, 0.004)))

    guitar, tune, pad, bass, kit = [], [], [], [], []
    for number, (root, chord) in enumerate(CHORDS):
        for index, which in enumerate(BROKEN):
            loud = 0.62 + 0.12 * (index % 4 == 0) + float(feel.normal(0, 0.03))
            guitar.append(Note(at(number, index), 2.6 * quaver, chord[which], loud))
        pad += [Note(at(number, 0), bar * 0.97, pitch, 0.5) for pitch in chord[1:4]]
        bass += [Note(at(number, q), long * quaver, root, 0.6) for q, long in ((0, 2.8), (3, 0.9), (4, 3.6))]
        kit += [Note(at(number, q), quaver, KICK, 0.7) for q in (0, 3, 4)]
        kit += [Note(at(number, q), quaver, SNARE, 0.35) for q in (2, 6)]
        kit += [Note(at(number, q), quaver, HAT, 0.5 if q % 2 == 0 else 0.35) for q in range(8)]
    tune += [Note(at(number, q), long * quaver * 1.3, pitch, 0.85) for number, q, long, pitch in TUNE]
    end = [Note(at(4, 0) + 0.03 * i, 1.2, pitch, 0.7) for i, pitch in enumerate((38, 50, 57, 62, 66, 74))]

    samples = round(SECONDS * RATE)
    # Every part: instrument, notes, traits of the individual, level in dB, place from -1 (left) to 1 (right).
    parts = (
        ("plucked string", guitar + end, (0.35, 0.85, 0.35, 0.35, 0.5, 0.5, 0.5, 0.5), -6.0, -0.25),
        ("plucked string", tune, (0.3, 0.9, 0.5, 0.3, 0.5, 0.5, 0.5, 0.5), -4.0, 0.2),
        ("bowed string", pad, (0.9, 0.3, 0.4, 0.3, 0.9, 0.9, 0.4, 0.3), -10.0, 0.5),
        ("synth bass", bass, (0.8, 0.5, 0.2, 0.1, 0.7, 0.2, 0.2, 0.1), -11.0, 0.0),
        ("drums", kit, (0.4, 0.4, 0.3, 0.5, 0.3, 0.2, 0.4, 0.5), -15.0, -0.1),
    )
    sides = [np.zeros(samples, np.float32), np.zeros(samples, np.float32)]
    for instrument, notes, traits, level, place in parts:
        sound = perform(instrument, sorted(notes, key=lambda note: note.start), traits, rng, RATE, samples)
        sound *= np.float32(10 ** (level / 20) / np.sqrt(np.mean(np.square(sound))))
        angle = (place + 1) * np.pi / 4
        sides[0] += sound * np.float32(np.cos(angle))
        sides[1] += sound * np.float32(np.sin(angle))
    wet = [reverberate(side, room(np.random.default_rng([3, n]), RATE, 0.75), -12.0) for n, side in enumerate(sides)]
    mix = np.stack([tone(side, RATE, -0.6, 15_000.0) for side in wet])
    fade = np.ones(samples, np.float32)
    fade[-round(0.9 * RATE) :] = np.cos(np.linspace(0, np.pi / 2, round(0.9 * RATE))) ** 2
    mix = mix * fade
    mix = np.tanh(mix * np.float32(1.3 / np.abs(mix).max()))  # rounds off the plucks' sharpest peaks
    mix *= np.float32(0.7 / np.abs(mix).max())
    return Clip(mix, RATE, provenance={"name": "demo", "licence": "CC0-1.0"})
