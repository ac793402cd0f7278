"""Genre-like styles of the toy dataset: what a band agrees on before it plays.

Each is a caricature made of tempo, metre, scales, chords, rhythms and drum patterns. They are named after what inspired
them; none of them is a sample of that music.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mirguard.datasets.percussion import CLAP, HAT, KICK, OPEN_HAT, SNARE

TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
SCALES: Mapping[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "major pentatonic": (0, 2, 4, 7, 9),
    "minor pentatonic": (0, 3, 5, 7, 10),
}
ALL = tuple(range(16))
Rhythm = tuple[int, ...]  # lengths in sixteenths that add up to a bar
Hits = Mapping[int, tuple[int, ...]]  # drum -> the sixteenths of a bar that it is struck on


@dataclass(frozen=True)
class Style:
    """`tempo` in beats a minute (least and most), `bar` in sixteenths, `progressions` as degrees of the scale (one chord a
    bar), `rhythms` of melodies, `beats` of drums (none: no drummer), `bass` and `chords` as (sixteenth, length) in a bar,
    `swing` as the part of a sixteenth by which off-beat quavers come late, `hold` scales how long notes are held."""

    tempo: tuple[float, float]
    bar: int
    scales: tuple[str, ...]
    progressions: tuple[tuple[int, ...], ...]
    rhythms: tuple[Rhythm, ...]
    beats: tuple[Hits, ...]
    bass: tuple[tuple[int, int], ...]
    chords: tuple[tuple[int, int], ...]
    swing: float = 0.0
    hold: float = 1.0


STYLES: Mapping[str, Style] = {
    "ballad": Style(
        (58, 84), 16, ("major", "minor"), ((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4)),
        ((8, 4, 4), (4, 4, 8), (6, 2, 8), (8, 8), (4, 4, 4, 4)),
        ({KICK: (0,), SNARE: (8,), HAT: (0, 4, 8, 12)},),
        ((0, 14),), ((0, 15),), hold=1.15,
    ),
    "waltz": Style(
        (100, 178), 12, ("major", "minor"), ((0, 4, 4, 0), (0, 3, 4, 0), (0, 0, 4, 4)),
        ((8, 4), (4, 4, 4), (6, 2, 4), (12,), (2, 2, 4, 4)),
        ({KICK: (0,), HAT: (4, 8)}, {KICK: (0,), SNARE: (4, 8)}),
        ((0, 4),), ((4, 3), (8, 3)),
    ),
    "march": Style(
        (98, 126), 16, ("major",), ((0, 3, 0, 4), (0, 4, 3, 0), (0, 0, 4, 0)),
        ((3, 1, 4, 3, 1, 4), (4, 4, 3, 1, 4), (4, 2, 2, 4, 4), (3, 1, 3, 1, 8)),
        ({KICK: (0, 8), SNARE: (0, 2, 3, 4, 6, 8, 10, 11, 12, 14)}, {KICK: (0, 8), SNARE: (4, 6, 7, 12, 14)}),
        ((0, 3), (8, 3)), ((4, 2), (12, 2)), hold=0.75,
    ),
    "swing": Style(
        (112, 182), 16, ("mixolydian", "dorian"), ((0, 3, 0, 4), (1, 4, 0, 0), (0, 5, 1, 4)),
        ((2, 2, 4, 2, 2, 4), (2, 2, 2, 2, 2, 2, 4), (4, 2, 2, 2, 6), (2, 2, 2, 2, 2, 2, 2, 2)),
        ({OPEN_HAT: (0, 4, 6, 8, 12, 14), KICK: (0, 8)}, {HAT: (0, 4, 6, 8, 12, 14), SNARE: (10,), KICK: (0,)}),
        ((0, 4), (4, 4), (8, 4), (12, 4)), ((6, 2), (14, 2)), swing=0.66,
    ),
    "funk": Style(
        (90, 116), 16, ("dorian", "minor pentatonic", "mixolydian"), ((0, 0, 3, 0), (0, 0, 0, 3)),
        ((1, 1, 2, 3, 1, 3, 1, 4), (3, 3, 2, 1, 3, 4), (2, 1, 1, 2, 2, 1, 1, 2, 4), (3, 1, 2, 2, 3, 1, 4)),
        ({KICK: (0, 6, 10), SNARE: (4, 12), HAT: ALL}, {KICK: (0, 3, 10, 11), SNARE: (4, 12, 15), HAT: ALL}),
        ((0, 2), (3, 1), (6, 2), (10, 1), (11, 2)), ((4, 1), (7, 1), (14, 1)), hold=0.6,
    ),
    "house": Style(
        (118, 134), 16, ("minor", "dorian"), ((0, 5, 3, 4), (0, 0, 5, 6), (0, 3, 5, 4)),
        ((3, 3, 2, 3, 3, 2), (2, 2, 2, 2, 2, 2, 2, 2), (3, 3, 4, 6), (4, 4, 4, 4)),
        ({KICK: (0, 4, 8, 12), CLAP: (4, 12), OPEN_HAT: (2, 6, 10, 14)}, {KICK: (0, 4, 8, 12), HAT: (2, 6, 10, 14), SNARE: (12,)}),
        ((2, 2), (6, 2), (10, 2), (14, 2)), ((0, 2), (3, 2), (6, 2), (10, 2)), hold=0.8,
    ),
    "bossa": Style(
        (112, 146), 16, ("major", "dorian"), ((0, 1, 4, 0), (1, 4, 0, 5), (0, 5, 1, 4)),
        ((3, 3, 4, 3, 3), (6, 2, 3, 5), (3, 3, 6, 4), (4, 3, 3, 6)),
        ({HAT: tuple(range(0, 16, 2)), CLAP: (0, 3, 6, 10, 13), KICK: (0, 6, 8, 14)},),
        ((0, 5), (6, 2), (8, 5), (14, 2)), ((0, 3), (3, 3), (6, 4), (10, 3), (13, 3)),
    ),
    "drone": Style(
        (48, 72), 16, ("major pentatonic", "minor pentatonic", "dorian"), ((0,),),
        ((16,), (8, 8), (12, 4), (4, 12)),
        (),
        ((0, 16),), ((0, 16),), hold=1.3,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Music:
    """What the players of one clip agree on."""

    style: str
    bpm: float
    key: int  # semitones above C
    mode: str
    progression: tuple[int, ...]

    @property
    def manners(self) -> Style:
        return STYLES[self.style]

    @property
    def tonic(self) -> str:
        return TONICS[self.key]

    @property
    def scale(self) -> tuple[int, ...]:
        return SCALES[self.mode]

    @property
    def sixteenth(self) -> float:
        """Seconds."""
        return 15.0 / self.bpm

    def pitch(self, degree: int) -> int:
        """Semitones of a degree of the scale (0 is the key's root, any octave) above the key."""
        octave, step = divmod(degree, len(self.scale))
        return 12 * octave + self.scale[step]

    def chord(self, bar: int) -> int:
        """The degree that the chord of a bar stands on."""
        return self.progression[bar % len(self.progression)]

    def late(self, sixteenth: int) -> float:
        """Seconds by which what is written on that sixteenth of a bar comes late: swing moves off-beat quavers."""
        return self.manners.swing * self.sixteenth if sixteenth % 4 == 2 else 0.0


def any_music(rng: np.random.Generator, style: str | None = None) -> Music:
    """A style (or the one named) and a tempo, key, scale and progression in it."""
    style = style or list(STYLES)[rng.integers(len(STYLES))]
    manners = STYLES[style]
    return Music(
        style,
        float(np.exp(rng.uniform(*np.log(manners.tempo)))),
        int(rng.integers(12)),
        manners.scales[rng.integers(len(manners.scales))],
        manners.progressions[rng.integers(len(manners.progressions))],
    )
