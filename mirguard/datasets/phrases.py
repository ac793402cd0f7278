"""What the synthetic instruments play: short phrases with a tempo, a key, dynamics and articulation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mirguard.datasets.percussion import CLAP, HAT, KICK, OPEN_HAT, SNARE, TOM

SCALES = (
    (0, 2, 4, 5, 7, 9, 11),
    (0, 2, 3, 5, 7, 8, 10),
    (0, 2, 3, 5, 7, 9, 10),
    (0, 2, 4, 5, 7, 9, 10),
    (0, 2, 4, 7, 9),
    (0, 3, 5, 7, 10),
)
PROGRESSIONS = ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 0, 4), (0, 0, 3, 4), (5, 3, 0, 4), (1, 4, 0, 0))
# Lengths of notes in sixteenths: bars that add up to sixteen.
RHYTHMS = (
    (4, 4, 4, 4),
    (2, 2, 4, 2, 2, 4),
    (8, 4, 4),
    (2, 2, 2, 2, 2, 2, 2, 2),
    (3, 3, 2, 3, 3, 2),
    (6, 2, 4, 4),
    (1, 1, 2, 4, 1, 1, 2, 4),
    (8, 8),
    (3, 1, 4, 3, 1, 4),
    (16,),
)
BEATS = (
    {KICK: (0, 8), SNARE: (4, 12), HAT: (0, 2, 4, 6, 8, 10, 12, 14)},
    {KICK: (0, 4, 8, 12), CLAP: (4, 12), OPEN_HAT: (2, 6, 10, 14)},
    {KICK: (0, 6, 10), SNARE: (4, 12), HAT: tuple(range(16))},
    {KICK: (0, 3, 8, 11), SNARE: (4, 12, 15), HAT: (0, 4, 8, 12), OPEN_HAT: (14,)},
    {KICK: (0, 10), TOM: (3, 6, 12, 14), HAT: (0, 4, 8, 12)},
    {SNARE: (0, 2, 3, 4, 6, 8, 10, 11, 12, 14), KICK: (0, 8)},
    {TOM: (0, 2, 4, 6, 8, 10, 12, 13, 14, 15), KICK: (0, 8)},
)


@dataclass(frozen=True)
class Note:
    """`start` and `seconds` (held) in seconds, `pitch` in MIDI numbers (a drum's number for drums), `velocity` in 0..1."""

    start: float
    seconds: float
    pitch: float
    velocity: float


@dataclass(frozen=True)
class Manner:
    """How an instrument is played: its range, how often it plays chords and arpeggios, and how long notes are held
    (as a part of the time to the next one, least and most)."""

    low: int
    high: int
    chords: float = 0.0
    arpeggios: float = 0.0
    hold: tuple[float, float] = (0.6, 1.0)


@dataclass(frozen=True)
class Music:
    """What players of one clip agree on."""

    bpm: float
    key: int
    scale: tuple[int, ...]
    progression: tuple[int, ...]

    @property
    def sixteenth(self) -> float:
        """Seconds."""
        return 15.0 / self.bpm

    def pitch(self, degree: int) -> int:
        """Semitones of a degree of the scale (0 is the key's root, any octave) above the key."""
        octave, step = divmod(degree, len(self.scale))
        return 12 * octave + self.scale[step]


def any_music(rng: np.random.Generator) -> Music:
    """A tempo of 66 to 168 a minute, a key, a scale, a progression."""
    return Music(
        float(np.exp(rng.uniform(np.log(66), np.log(168)))),
        int(rng.integers(12)),
        SCALES[rng.integers(len(SCALES))],
        PROGRESSIONS[rng.integers(len(PROGRESSIONS))],
    )


def phrase(manner: Manner, music: Music, rng: np.random.Generator, seconds: float) -> list[Note]:
    """Notes that fill `seconds`: a melody that walks on the scale, chords, or arpeggios, in the instrument's range."""
    kind = rng.random()
    chords = kind < manner.chords
    arpeggio = not chords and kind < manner.chords + manner.arpeggios
    hold = rng.uniform(*manner.hold)
    loudness, accent = rng.uniform(0.35, 0.95), rng.uniform(0, 0.25)
    pattern = RHYTHMS[3] if arpeggio else RHYTHMS[rng.integers(len(RHYTHMS))]
    rest = rng.uniform(0, 0.2)
    root = manner.low + (music.key - manner.low) % 12
    lowest, highest = root - 12, manner.high
    span = max(1, (highest - root) // 2)
    degree = int(rng.integers(0, span + 1))
    notes, at, bar = [], float(rng.uniform(-0.25, 0.05)) * 4 * music.sixteenth, 0
    while at < seconds:
        chord = music.progression[bar % len(music.progression)]
        for index, length in enumerate(pattern):
            step = length * music.sixteenth
            start = max(0.0, at + float(rng.normal(0, 0.006)))
            if start < seconds and (rng.random() > rest or index == 0):
                velocity = float(np.clip(loudness + accent * (index == 0) + rng.normal(0, 0.07), 0.15, 1.0))
                for lag, pitch in enumerate(_pitches(chords, arpeggio, index, chord, degree, root, music, rng)):
                    while pitch > highest:
                        pitch -= 12
                    while pitch < max(lowest, manner.low):
                        pitch += 12
                    notes.append(Note(start + 0.012 * lag * chords, max(0.08, step * hold), pitch, velocity))
            degree = int(np.clip(degree + rng.choice([-3, -2, -1, -1, 0, 1, 1, 2, 3]), -2, span + 2))
            at += step
        bar += 1
    return notes


def _pitches(chords, arpeggio, index, chord, degree, root, music, rng) -> list[int]:
    if chords:
        degrees = [chord, chord + 2, chord + 4] + ([chord + 7] if index % 2 else [])
    elif arpeggio:
        degrees = [chord + (0, 2, 4, 7, 4, 2, 4, 2)[index % 8]]
    else:
        degrees = [degree]
    return [root + music.pitch(d) for d in degrees]


def beat(music: Music, rng: np.random.Generator, seconds: float) -> list[Note]:
    """Drum strokes that fill `seconds`; `pitch` is the drum."""
    pattern = BEATS[rng.integers(len(BEATS))]
    swing = rng.choice([0.0, 0.0, 0.33]) * music.sixteenth
    loudness = rng.uniform(0.5, 0.95)
    leave_out, ghost = rng.uniform(0, 0.25), rng.uniform(0, 0.15)
    notes = []
    first = int(rng.integers(4)) * 4
    for number in range(int(seconds / music.sixteenth) + 1):
        position = (first + number) % 16
        at = number * music.sixteenth + (swing if position % 2 else 0) + abs(float(rng.normal(0, 0.003)))
        for which, places in pattern.items():
            struck = position in places and (rng.random() > leave_out or position % 8 == 0)
            quiet = not struck and which in (SNARE, HAT, TOM) and rng.random() < ghost
            if at < seconds and (struck or quiet):
                velocity = np.clip(loudness + rng.normal(0, 0.08), 0.2, 1.0) * (0.35 if quiet else 1.0)
                notes.append(Note(at, music.sixteenth, which, float(velocity)))
    return notes
