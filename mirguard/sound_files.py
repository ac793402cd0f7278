"""Which files below a folder are sounds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mirguard.errors import FileError

SOUNDS = frozenset(
    (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64", ".rf64")
)
# Sounds, but not for libsndfile.
UNREADABLE = frozenset((".m4a", ".aac", ".mp4", ".wma", ".ape", ".wv", ".alac", ".mka", ".webm", ".ra", ".amr"))


def unlabelled_folder(path: str | os.PathLike) -> tuple[Path, ...]:
    """The sound files below a folder (or the one file named), hidden ones left out, in order of name."""
    path = Path(os.path.expanduser(path))
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise FileError(f"There is no folder {path}.")
    return tuple(file for file in files_below(path) if file.suffix.lower() in SOUNDS)


def files_below(folder: Path, refused: list[str] | None = None) -> Iterator[Path]:
    """All files below a folder in order of name, hidden ones left out; links are followed, but no folder is seen twice.

    A folder that cannot be read is an error, or a sentence more in `refused`.
    """
    seen = set()

    def below(place: Path) -> Iterator[Path]:
        real = place.resolve()
        if real in seen:
            return
        seen.add(real)
        try:
            entries = sorted(place.iterdir(), key=_by_name)
        except OSError as error:
            if refused is None:
                raise
            refused.append(f"The folder {place.relative_to(folder.parent)} cannot be read: {error.strerror}.")
            return
        for entry in entries:
            if _hidden(entry.name):
                continue
            if entry.is_dir():
                yield from below(entry)
            elif entry.is_file():
                yield entry

    return below(folder)


def files_directly_in(folder: Path) -> list[Path]:
    return sorted((file for file in folder.iterdir() if file.is_file() and not _hidden(file.name)), key=_by_name)


def folders_in(folder: Path) -> list[Path]:
    return sorted((sub for sub in folder.iterdir() if sub.is_dir() and not _hidden(sub.name)), key=_by_name)


def _by_name(path: Path) -> str:
    return path.name


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def usable(file: Path, named: str) -> tuple[bool, str | None]:
    """Whether a file may be a sound, and a sentence if one expects it to be but it is not."""
    suffix = file.suffix.lower()
    if suffix in UNREADABLE:
        return False, f"{named} is {suffix[1:].upper()}, which cannot be read; convert it to FLAC or WAV."
    if suffix not in SOUNDS:
        return False, None
    try:
        empty = file.stat().st_size == 0
    except OSError as error:
        return False, f"{named} cannot be read: {error.strerror}."
    return (False, f"{named} is empty (0 bytes).") if empty else (True, None)
