"""The toy dataset: phrases of ten synthetic instruments, from a seed, free of anyone's rights.

A clip is one instrument playing a phrase in a genre-like style (tempo, metre, key, chords), often in front of a quieter band
(bass, chords, drums), in a room, through a microphone, with noise, at some level. What was played is known: instrument,
style, tempo, key, scale, every note in front. Individual instruments and rooms are drawn apart for each split, so that a test
clip's guitar is no guitar heard in training.

These are synthetic sounds: what is learned from them does not carry over to recordings.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from mirguard.datasets import voices
from mirguard.datasets.oscillators import hertz
from mirguard.datasets.percussion import drum
from mirguard.datasets.phrases import Manner, Note, bass_line, beat, chord_part, phrase
from mirguard.datasets.rooms import background, reverberate, room, tone
from mirguard.datasets.styles import STYLES, Music, any_music
from mirguard.errors import UsageError

RATE = 22_050
SECONDS = 4.0
VERSION = 2  # goes up whenever a seed gives another sound
TRAITS = 8

# Individual instruments of each family and rooms, in each split. "train-b" is a second training set that has nothing in common
# with the first but the recipe: what an attacker with limited knowledge trains a surrogate on.
SPLITS = {"train": 96, "validation": 24, "test": 32, "reference": 32, "train-b": 96}

INSTRUMENTS = {
    "plucked string": (voices.plucked_string, Manner(40, 79, chords=0.3, arpeggios=0.3, hold=(0.5, 1.4))),
    "bowed string": (voices.bowed_string, Manner(48, 88, chords=0.2, hold=(0.5, 1.02))),
    "flute": (voices.flute, Manner(60, 93, hold=(0.45, 1.0))),
    "clarinet": (voices.clarinet, Manner(50, 86, hold=(0.45, 1.0))),
    "brass": (voices.brass, Manner(46, 80, chords=0.2, hold=(0.4, 0.98))),
    "mallet": (voices.mallet, Manner(55, 91, chords=0.15, arpeggios=0.3, hold=(0.5, 1.0))),
    "electric piano": (voices.electric_piano, Manner(45, 84, chords=0.4, arpeggios=0.2, hold=(0.5, 1.05))),
    "organ": (voices.organ, Manner(43, 82, chords=0.5, arpeggios=0.1, hold=(0.6, 1.0))),
    "drums": (None, Manner(0, 5)),
    "synth bass": (voices.synth_bass, Manner(28, 52, arpeggios=0.2, hold=(0.35, 1.0))),
}
LABELS = tuple(INSTRUMENTS)
# Who accompanies: part of the band -> the instruments that may take it.
BAND = {
    "drums": ("drums",),
    "bass": ("synth bass", "plucked string", "bowed string"),
    "chords": ("electric piano", "organ", "plucked string", "mallet", "bowed string"),
}


@dataclass(frozen=True)
class Example:
    """One clip of the dataset and what was played in it.

    `samples (frames,)` float32 in ±1 at `sample_rate` Hz; `label` is the instrument in front and `band` those behind it; `bpm`
    quarter notes a minute, `key` the tonic and `scale` its scale ("" where drums are alone); `notes` those of the instrument in
    front (for drums, the strokes)."""

    samples: np.ndarray
    sample_rate: int
    label: str
    style: str
    bpm: float
    key: str
    scale: str
    band: tuple[str, ...]
    notes: tuple[Note, ...]


def compose(
    instrument: str,
    seed: int,
    rate: int = RATE,
    seconds: float = SECONDS,
    *,
    split: str = "train",
    style: str | None = None,
) -> Example:
    """A phrase of the instrument, `round(seconds · rate)` samples long, in the style named or in any.

    The same arguments give the same clip. UsageError for an unknown instrument, split or style.
    """
    for kind, name, known in (("instrument", instrument, LABELS), ("split", split, SPLITS), ("style", style, STYLES)):
        if name not in known and not (kind == "style" and name is None):
            raise UsageError(f"There is no toy {kind} {name!r}; there are {', '.join(known)}.")
    if not 8_000 <= rate <= 192_000 or not 0.1 <= seconds <= 600:
        raise UsageError("Toy clips are made at 8 to 192 kHz and 0.1 to 600 seconds.")
    rng = np.random.default_rng([VERSION, seed, LABELS.index(instrument), _number(split)])
    samples = round(seconds * rate)
    music = any_music(rng, style)
    manner = INSTRUMENTS[instrument][1]
    notes = (beat if instrument == "drums" else lambda *a: phrase(manner, *a))(music, rng, seconds)
    sound = _normal(_play(instrument, notes, split, rng, rate, samples))
    band = _band(instrument, music, rng) if rng.random() < 0.7 else {}
    if band:
        behind = np.zeros(samples, np.float32)
        for part, player in band.items():
            behind += _normal(_play(player, _part(part, player, music, rng, seconds), split, rng, rate, samples))
        sound = sound + _normal(behind) * np.float32(10 ** (rng.uniform(-26, -9) / 20))
    alone = instrument == "drums" and not set(band) - {"drums"}
    return Example(
        _record(sound, split, rng, rate),
        rate,
        instrument,
        music.style,
        music.bpm,
        "" if alone else music.tonic,
        "" if alone else music.mode,
        tuple(band.values()),
        tuple(notes),
    )


def synthesise(
    instrument: str, seed: int, rate: int = RATE, seconds: float = SECONDS, *, split: str = "train"
) -> np.ndarray:
    """The samples alone of `compose`, float32 `(round(seconds · rate),)` in ±1."""
    return compose(instrument, seed, rate, seconds, split=split).samples


def _band(lead: str, music: Music, rng: np.random.Generator) -> dict[str, str]:
    """Part -> instrument: one to three of the style's parts, none of them by the instrument in front."""
    parts = {part: [who for who in players if who != lead] for part, players in BAND.items()}
    if not music.manners.beats:
        parts["drums"] = []
    present = [part for part, players in parts.items() if players]
    chosen = rng.permutation(present)[: int(rng.integers(1, len(present) + 1))] if present else []
    band: dict[str, str] = {}
    for part in (part for part in BAND if part in chosen):
        free = [who for who in parts[part] if who not in band.values()]
        band[part] = free[rng.integers(len(free))]
    return band


def _part(part: str, player: str, music: Music, rng: np.random.Generator, seconds: float) -> list[Note]:
    if part == "drums":
        return beat(music, rng, seconds)
    write = bass_line if part == "bass" else chord_part
    return write(INSTRUMENTS[player][1], music, rng, seconds)


def _play(player: str, notes: list[Note], split: str, rng: np.random.Generator, rate: int, samples: int) -> np.ndarray:
    """The notes as some individual of the split plays them, dry, `(samples,)`."""
    return perform(player, notes, individual(player, split, int(rng.integers(SPLITS[split]))), rng, rate, samples)


def individual(instrument: str, split: str, number: int) -> tuple[float, ...]:
    """The eight traits in [0, 1] of one guitar, one flute, ... of a split."""
    rng = np.random.default_rng([VERSION, 7919, LABELS.index(instrument), _number(split), number])
    return tuple(rng.random(TRAITS).tolist())  # Python's floats, which leave float32 arrays what they are


def perform(
    instrument: str, notes: list[Note], traits: tuple[float, ...], rng: np.random.Generator, rate: int, samples: int
) -> np.ndarray:
    """Notes as sound `(samples,)`, dry."""
    voice = INSTRUMENTS[instrument][0]
    out = np.zeros(samples, np.float32)
    for note in notes:
        start = int(note.start * rate)
        if voice is None:
            sound = drum(int(note.pitch), note.velocity, traits, rng, rate)
        else:
            detune = float(rng.normal(0, 0.03))
            sound = voice(float(hertz(note.pitch + detune)), note.seconds, note.velocity, traits, rng, rate)
        stop = min(start + len(sound), samples)
        if stop > start:
            out[start:stop] += sound[: stop - start]
    return out


def _record(sound: np.ndarray, split: str, rng: np.random.Generator, rate: int) -> np.ndarray:
    where = np.random.default_rng([VERSION, 104_729, _number(split), int(rng.integers(SPLITS[split]))])
    response = room(where, rate, where.random())
    sound = reverberate(sound, response, rng.uniform(-24, -3))
    sound = tone(sound, rate, rng.normal(0, 1.2), rng.uniform(min(4_500, 0.4 * rate), 0.5 * rate))
    sound = _normal(sound)
    if rng.random() < 0.2:  # a driven input
        sound = np.tanh(sound * np.float32(rng.uniform(0.3, 1.0)))
        sound = _normal(sound)
    sound = sound + background(rng, rate, len(sound)) * np.float32(10 ** (rng.uniform(-70, -20) / 20))
    top = 10 ** (rng.uniform(-24, -0.5) / 20)
    return (sound * np.float32(top / max(float(np.abs(sound).max()), 1e-9))).astype(np.float32)


def _normal(sound: np.ndarray) -> np.ndarray:
    return sound / max(float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))), 1e-6)


def _number(split: str) -> int:
    return list(SPLITS).index(split)


def example(index: int, seed: int = 0, split: str = "train", rate: int = RATE, seconds: float = SECONDS) -> Example:
    """Clip `index` of the dataset: labels go round, so that any stretch of a multiple of ten clips is balanced."""
    return compose(LABELS[index % len(LABELS)], seed * 1_000_003 + index, rate, seconds, split=split)


def dataset(
    count: int, seed: int = 0, split: str = "train", rate: int = RATE, seconds: float = SECONDS
) -> Iterator[Example]:
    """The first `count` clips of a split, one at a time."""
    for index in range(count):
        yield example(index, seed, split, rate, seconds)


def render(
    count: int,
    seed: int = 0,
    split: str = "train",
    rate: int = RATE,
    seconds: float = SECONDS,
    workers: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """The same clips at once: samples `(count, frames)` and label numbers `(count,)`, made by `workers` processes."""
    clips = np.empty((count, round(seconds * rate)), np.float32)
    labels = np.arange(count) % len(LABELS)
    if workers <= 1:
        for index, clip in enumerate(dataset(count, seed, split, rate, seconds)):
            clips[index] = clip.samples
        return clips, labels
    # Spawned, not forked: a forked child of a process with threads (torch, BLAS) may hang.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        jobs = ((index, seed, split, rate, seconds) for index in range(count))
        for index, samples in enumerate(pool.map(_samples, jobs, chunksize=16)):
            clips[index] = samples
    return clips, labels


def _samples(job: tuple) -> np.ndarray:
    return example(*job).samples
