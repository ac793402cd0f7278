"""A folder of sounds divided in two: what something is made from, and what it is held to."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from mirguard.clip import Clip, load_clip
from mirguard.errors import Cancelled, FileError, MirguardError, UsageError
from mirguard.sound_files import unlabelled_folder


def divided_folder(
    folder: str | Path,
    clips: int = 200,
    held_out: float = 0.3,
    seed: int = 0,
    *,
    progress: Callable[[str, float | None], None] | None = None,
    cancel: threading.Event | None = None,
) -> tuple[list[Clip], list[Clip], tuple[str, ...]]:
    """At most `clips` sounds below a folder, drawn by chance, of them the part `held_out` on its own; then why files were left out.

    The division is by files: pieces of one recording should be one file, or the held-out part is no stranger to the other."""
    if not 0.0 <= held_out < 1.0 or clips < 1:
        raise UsageError("A set has at least one clip to work with, and of all clips 0 to below 1 are held out.")
    files = list(unlabelled_folder(folder))
    random.Random(seed).shuffle(files)
    found, skipped = [], []
    for number, file in enumerate(files[:clips]):
        if cancel is not None and cancel.is_set():
            raise Cancelled
        if progress:
            progress(f"Loading {file.name}", number / min(len(files), clips))
        try:
            found.append(load_clip(file))
        except MirguardError as error:
            skipped.append(str(error))
    if not found:
        raise FileError(f"{folder} holds no WAV, FLAC, OGG, MP3 or AIFF file that can be read.")
    return *divided(found, held_out), tuple(skipped)


def divided(clips: Sequence[Clip], held_out: float = 0.3) -> tuple[list[Clip], list[Clip]]:
    """What to work with, at least one clip, and the part that is held out: the first ones."""
    away = min(round(held_out * len(clips)), len(clips) - 1)
    return list(clips[away:]), list(clips[:away])
