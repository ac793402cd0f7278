"""The toy dataset as files: sounds, labels, notes, checksums and a data card, for whoever wants to use it elsewhere."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import soundfile

from mirguard.datasets.styles import STYLES
from mirguard.datasets.synthesis import LABELS, RATE, SECONDS, SPLITS, VERSION, compose
from mirguard.errors import Cancelled, FileError, UsageError

# Of every ten clips of each instrument seven are to train on, one to validate, two to test, in an order that gives small sets all.
TURNS = ("train", "test", "train", "validation", "train", "train", "train", "test", "train", "train")
FORMATS = ("flac", "wav")
COLUMNS = ("file", "label", "track", "split", "style", "tempo", "key", "scale", "band")
NOTES = ("file", "start", "seconds", "pitch", "velocity")
CHUNK = 8  # clips in one job of a process


@dataclass(frozen=True)
class ToyMade:
    """What was written: the folder, clips in each split, bytes, and the SHA-256 over all checksums, which names the dataset."""

    folder: Path
    clips: dict[str, int]
    bytes: int
    checksum: str


def make_toy(
    folder: str | Path,
    clips: int = 1000,
    seed: int = 0,
    *,
    rate: int = RATE,
    seconds: float = SECONDS,
    format: str = "flac",
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    cancel: threading.Event | None = None,
) -> ToyMade:
    """Write `clips` clips (16 bit, mono, `rate` Hz, `seconds` long) with their labels into an empty or new folder.

    The same `clips`, `seed`, `rate`, `seconds` and format give the same files, however many `workers` (processes; 0 for one a
    core) make them. `progress(done, clips)`. UsageError for a folder that holds something, or figures out of range; FileError
    where it cannot be written; Cancelled, with nothing left behind.
    """
    folder = Path(folder).expanduser()
    if not 10 <= clips <= 1_000_000 or seed < 0:
        raise UsageError("A toy dataset has 10 to 1,000,000 clips, and its seed is 0 or more.")
    if format not in FORMATS:
        raise UsageError(f"Toy clips are written as {' or '.join(FORMATS)}; got {format!r}.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not empty; name a new folder for the toy dataset.")
    new = not folder.exists()
    names = [_name(index, format) for index in range(clips)]
    try:
        for place in {Path(name).parent for name in names}:
            (folder / place).mkdir(parents=True, exist_ok=True)
        jobs = [(folder, names[first : first + CHUNK], first, seed, rate, seconds) for first in range(0, clips, CHUNK)]
        rows, notes, sums = [], [], {}
        for done in _work(jobs, workers or os.cpu_count() or 1):
            if cancel is not None and cancel.is_set():
                raise Cancelled
            for name, row, played, digest in done:
                rows.append(row)
                notes += played
                sums[name] = digest
            if progress:
                progress(len(rows), clips)
        count = {split: sum(row[3] == split for row in rows) for split in dict.fromkeys(TURNS)}
        texts = {
            "labels.csv": _table(COLUMNS, rows),
            "notes.csv": _table(NOTES, notes),
            "dataset.json": json.dumps(_about(clips, seed, rate, seconds, format), indent=2) + "\n",
            "README.md": _card(clips, seed, rate, seconds, count),
        }
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
            sums[name] = hashlib.sha256(text.encode()).hexdigest()
        listed = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
        (folder / "checksums.sha256").write_text(listed, encoding="utf-8", newline="\n")
    except (OSError, soundfile.SoundFileError) as error:
        _remove(folder, new)
        raise FileError(
            f"The toy dataset cannot be written to {folder}: {getattr(error, 'strerror', error)}."
        ) from error
    except BaseException:
        _remove(folder, new)
        raise
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return ToyMade(folder, count, size, hashlib.sha256(listed.encode()).hexdigest())


def _name(index: int, format: str) -> str:
    """Where clip `index` goes: ten clips make a round of the instruments, and each round has its turn of the splits."""
    label, split = LABELS[index % len(LABELS)], TURNS[index // len(LABELS) % len(TURNS)]
    return f"audio/{split}/{label.replace(' ', '-')}/{index:06d}.{format}"


def _work(jobs: list[tuple], workers: int):
    if workers == 1 or len(jobs) == 1:
        yield from map(_make, jobs)
        return
    # Spawned, not forked: a forked child of a process with threads (Qt, BLAS) may hang.
    with ProcessPoolExecutor(min(workers, len(jobs)), multiprocessing.get_context("spawn")) as pool:
        try:
            yield from pool.map(_make, jobs)
        finally:
            pool.shutdown(cancel_futures=True)


def _make(job: tuple) -> list[tuple[str, tuple, list[tuple], str]]:
    """Write some clips -> of each its name, its row of labels.csv, its rows of notes.csv, its SHA-256."""
    folder, names, first, seed, rate, seconds = job
    made = []
    for index, name in enumerate(names, first):
        split = name.split("/")[1]
        clip = compose(LABELS[index % len(LABELS)], seed * 1_000_003 + index, rate, seconds, split=split)
        memory = io.BytesIO()
        soundfile.write(memory, clip.samples, rate, "PCM_16", format=Path(name).suffix[1:].upper())
        data = memory.getvalue()
        (folder / name).write_bytes(data)
        row = (
            name, clip.label, f"{seed}-{index:06d}", split, clip.style, f"{clip.bpm:.2f}", clip.key, clip.scale,
            "+".join(clip.band),
        )  # fmt: skip
        played = [
            (name, f"{note.start:.4f}", f"{note.seconds:.4f}", f"{note.pitch:g}", f"{note.velocity:.3f}")
            for note in clip.notes
            if note.start < seconds
        ]
        made.append((name, row, played, hashlib.sha256(data).hexdigest()))
    return made


def _table(columns: tuple[str, ...], rows: list[tuple]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _about(clips: int, seed: int, rate: int, seconds: float, format: str) -> dict:
    return {
        "name": "MIRGuard toy dataset",
        "version": VERSION,
        "licence": "CC0-1.0",
        "clips": clips,
        "seed": seed,
        "sample_rate": rate,
        "seconds": seconds,
        "format": format,
        "instruments": list(LABELS),
        "styles": list(STYLES),
    }


def _card(clips: int, seed: int, rate: int, seconds: float, count: dict[str, int]) -> str:
    players = ", ".join(f"{SPLITS[split]} in {split}" for split in count)
    purposes = {"train": "to train on", "validation": "to validate", "test": "to test"}
    splits = ", ".join(f"{number} {purposes[split]}" for split, number in count.items())
    return f"""# MIRGuard toy dataset, version {VERSION}

{clips} clips of {seconds:g} s, mono, 16 bit, {rate} Hz, made with seed {seed}: {splits}.
Licence: CC0 1.0. Every sample was computed; nobody's recording, composition or instrument is in it.

## What is in it

One of ten instruments ({", ".join(LABELS)}) plays a phrase, seven times out of ten in front of a band of one to three others
that is 9 to 26 dB quieter. Eight genre-like styles ({", ".join(STYLES)}) decide tempo, metre, scale, chords and rhythm.
Room, microphone, overdrive, noise, hum and level vary from clip to clip.

| file | what it holds |
| --- | --- |
| `labels.csv` | a line a clip: {", ".join(f"`{column}`" for column in COLUMNS)} |
| `notes.csv` | a line a note of the instrument in front: {", ".join(f"`{column}`" for column in NOTES)} |
| `dataset.json` | what made it |
| `checksums.sha256` | of every file; `sha256sum -c checksums.sha256` checks them |

Tempo is in quarter notes a minute, start and length of notes in seconds, pitch in MIDI
numbers (for drums 0 kick, 1 snare, 2 hi-hat, 3 open hi-hat, 4 tom, 5 clap). Key and scale are empty where drums are alone.

## Splits

Each split has individual instruments and rooms of its own ({players}), so that a
test clip's guitar is no guitar heard in training. Seeds are drawn apart as well.

## What it is good for

Trying methods out: training small networks in minutes, attacking and defending them, checking code with labels that are
exactly right, teaching. It is not saturated by a small network: noise, rooms, levels and overlapping notes leave a few per
cent of errors.

## What it is not good for

Saying anything of recorded music. The instruments are caricatures, the styles are named after what inspired them and sample
nobody's culture, there is no singing, and a network trained on these clips does not carry over to recordings.

The same version, seed and figures give the same files on the same kind of machine; another processor or another version of
numpy may round the last bit of some samples differently.
"""


def _remove(folder: Path, new: bool) -> None:
    """What was begun; the folder itself only if it was not there before."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if new and folder.is_dir():
        folder.rmdir()
