"""The toy dataset as sounds to harden toy models with: made once, kept in the user's data folder, the same every time."""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from mirguard.datasets.synthesis import VERSION
from mirguard.datasets.toy_files import make_toy
from mirguard.errors import FileError, UsageError
from mirguard.resources import data_folder

NAME = "toy"
CLIPS = 1000
LEAST = 100  # with fewer, some instrument is missing in some part


def toy_clips(source: str) -> int | None:
    """How many clips "toy" or "toy:N" asks for; None for anything else. UsageError for an N that makes no sense."""
    name, colon, count = str(source).partition(":")
    if name != NAME:
        return None
    if not colon:
        return CLIPS
    if not count.isdecimal() or not LEAST <= int(count) <= 100_000:
        raise UsageError(f"Say how many toy clips as {NAME}:N with N from {LEAST} to 100,000; got {source!r}.")
    return int(count)


def toy_folder(
    clips: int = CLIPS,
    *,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    cancel: threading.Event | None = None,
) -> Path:
    """The folder with so many toy clips, made if it is not there yet; whole or not at all. FileError where it cannot be written."""
    folder = data_folder() / "datasets" / f"toy-{VERSION}-{clips}"
    if folder.is_dir():
        return folder
    making = folder.with_name(f".making-{secrets.token_hex(4)}")
    try:
        make_toy(making, clips, workers=workers, progress=progress, cancel=cancel)
        if not folder.is_dir():
            making.rename(folder)
    except OSError as error:
        raise FileError(f"The toy dataset cannot be kept in {folder.parent}: {error.strerror}.") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return folder
