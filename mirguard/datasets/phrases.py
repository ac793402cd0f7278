"""What the synthetic instruments play: phrases and accompaniments in a style, with dynamics and articulation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mirguard.datasets.percussion import HAT, KICK, SNARE, TOM
from mirguard.datasets.styles import Music

BROKEN = (0, 2, 4, 7, 4, 2, 4, 2)  # the order in which an arpeggio goes through a chord, in degrees
# Styles without a drummer can have drums in front too.
HAND_DRUMS = ({TOM: (0, 6, 12)}, {TOM: (0, 3, 8, 11, 14)}, {TOM: (4, 12), KICK: (0, 8)})


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


def phrase(manner: Manner, music: Music, rng: np.random.Generator, seconds: float) -> list[Note]:
    """Notes that fill `seconds`: a melody that walks on the scale, chords, or arpeggios, in the instrument's range."""
    style = music.manners
    kind = rng.random()
    chords = kind < manner.chords
    arpeggio = not chords and kind < manner.chords + manner.arpeggios
    hold = rng.uniform(*manner.hold) * style.hold
    loudness, accent = rng.uniform(0.35, 0.95), rng.uniform(0, 0.25)
    patterns = ((2,) * (style.bar // 2),) if arpeggio else style.rhythms
    pattern = patterns[rng.integers(len(patterns))]
    rest = rng.uniform(0, 0.2)
    root = manner.low + (music.key - manner.low) % 12
    span = max(1, (manner.high - root) // 2)
    degree = int(rng.integers(0, span + 1))
    notes, at, bar = [], float(rng.uniform(-0.25, 0.05)) * 4 * music.sixteenth, 0
    while at < seconds:
        place = 0
        for index, length in enumerate(pattern):
            step = length * music.sixteenth
            start = max(0.0, at + music.late(place) + float(rng.normal(0, 0.006)))
            sounds = rng.random() > rest or index == 0 or length > 4  # no silence of seconds
            if start < seconds and sounds:
                velocity = float(np.clip(loudness + accent * (index == 0) + rng.normal(0, 0.07), 0.15, 1.0))
                degrees = _degrees(chords, arpeggio, index, music.chord(bar), degree)
                for lag, wanted in enumerate(degrees):
                    pitch = _within(root + music.pitch(wanted), manner)
                    notes.append(Note(start + 0.012 * lag * chords, max(0.08, step * hold), pitch, velocity))
            degree = int(np.clip(degree + rng.choice([-3, -2, -1, -1, 0, 1, 1, 2, 3]), -2, span + 2))
            at += step
            place += length
        bar += 1
    return notes


def _degrees(chords: bool, arpeggio: bool, index: int, chord: int, degree: int) -> list[int]:
    if chords:
        return [chord, chord + 2, chord + 4] + ([chord + 7] if index % 2 else [])
    return [chord + BROKEN[index % len(BROKEN)]] if arpeggio else [degree]


def _within(pitch: int, manner: Manner) -> int:
    """The pitch, in an octave that the instrument has."""
    while pitch > manner.high:
        pitch -= 12
    while pitch < manner.low:
        pitch += 12
    return pitch


def bass_line(manner: Manner, music: Music, rng: np.random.Generator, seconds: float) -> list[Note]:
    """Roots, with fifths and walking steps between them, in the style's rhythm, low in the instrument's range."""
    root = manner.low + (music.key - manner.low) % 12
    loudness, hold = rng.uniform(0.5, 0.8), rng.uniform(0.7, 1.0) * music.manners.hold
    walks = music.manners.swing > 0
    notes = []
    for bar, start in _bars(music, seconds):
        for index, (place, length) in enumerate(music.manners.bass):
            degree = music.chord(bar) + (index if walks else (4 if index % 2 and rng.random() < 0.4 else 0))
            at = start + place * music.sixteenth + music.late(place) + abs(float(rng.normal(0, 0.004)))
            if at < seconds:
                pitch = _within(root + music.pitch(degree), manner)
                notes.append(Note(at, max(0.08, length * music.sixteenth * hold), pitch, loudness))
    return notes


def chord_part(manner: Manner, music: Music, rng: np.random.Generator, seconds: float) -> list[Note]:
    """Chords of three notes in the style's rhythm, in the middle of the instrument's range."""
    middle = (manner.low + manner.high) // 2 - 6
    root = middle + (music.key - middle) % 12
    loudness, hold = rng.uniform(0.4, 0.7), rng.uniform(0.6, 0.95) * music.manners.hold
    notes = []
    for bar, start in _bars(music, seconds):
        for place, length in music.manners.chords:
            at = start + place * music.sixteenth + music.late(place) + abs(float(rng.normal(0, 0.004)))
            if at < seconds:
                held = max(0.08, length * music.sixteenth * hold)
                degrees = (music.chord(bar) + step for step in (0, 2, 4))
                notes += [Note(at, held, _within(root + music.pitch(d), manner), loudness) for d in degrees]
    return notes


def _bars(music: Music, seconds: float) -> list[tuple[int, float]]:
    """Number and start of each bar that begins before the end."""
    long = music.manners.bar * music.sixteenth
    return [(bar, bar * long) for bar in range(int(seconds / long) + 1)]


def beat(music: Music, rng: np.random.Generator, seconds: float) -> list[Note]:
    """Drum strokes that fill `seconds`; `pitch` is the drum."""
    bar = music.manners.bar
    patterns = music.manners.beats or HAND_DRUMS
    pattern = patterns[rng.integers(len(patterns))]
    loudness = rng.uniform(0.5, 0.95)
    leave_out, ghost = rng.uniform(0, 0.25), rng.uniform(0, 0.15)
    notes = []
    first = int(rng.integers(bar // 4)) * 4
    for number in range(int(seconds / music.sixteenth) + 1):
        position = (first + number) % bar
        at = number * music.sixteenth + music.late(position) + abs(float(rng.normal(0, 0.003)))
        for which, places in pattern.items():
            struck = position in places and (rng.random() > leave_out or position % 8 == 0)
            quiet = not struck and which in (SNARE, HAT, TOM) and rng.random() < ghost
            if at < seconds and (struck or quiet):
                velocity = np.clip(loudness + rng.normal(0, 0.08), 0.2, 1.0) * (0.35 if quiet else 1.0)
                notes.append(Note(at, music.sixteenth, which, float(velocity)))
    return notes
