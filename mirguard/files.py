"""What files may be called, and files written whole or not at all: what was there before goes only once the new file lies
complete on the disk."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_NAME = 80
_NEVER = '/\\:*?"<>|'
# Windows keeps these for devices, with any suffix.
_DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10))}


def name_trouble(name: object) -> str:
    """Why a thing of that name cannot be kept in a file or folder called so, on every system: a clause to follow a colon; ""
    if it can."""
    if not isinstance(name, str) or not name.strip():
        return "it needs at least one letter or digit"
    if len(name) > LONGEST_NAME:
        return f"it is longer than {LONGEST_NAME} characters"
    if not name.isprintable() or any(character in name for character in _NEVER):
        return f"no file may have {' '.join(_NEVER)} or unprintable characters in its name"
    if name[0] in " .-" or name[-1] in " .":
        return "it begins with a blank, dot or dash, or ends with a blank or dot"
    if name.split(".")[0].strip().upper() in _DEVICES:
        return "Windows keeps it for a device"
    return ""


def beside(path: Path) -> Path:
    """A new hidden name in the same folder, so that renaming it to `path` is one step."""
    return path.with_name(f".mirguard-{secrets.token_hex(4)}.part")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; synced and renamed at the end of the block, removed if that raises."""
    temporary = beside(path)
    try:
        yield temporary
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def put_folder(made: Path, target: Path) -> None:
    """Rename a finished folder on the same disk to `target`; what was there goes only once it has come.

    OSError where that cannot be, with what was there in its place; FileExistsError where another one came there in between."""
    before = beside(target)
    if target.exists():
        target.rename(before)
    try:
        made.rename(target)
    except OSError as error:
        came = target.exists()
        if before.exists() and not came:
            before.rename(target)
        shutil.rmtree(before, ignore_errors=True)
        if came:
            raise FileExistsError(error.errno, error.strerror, str(target)) from None
        raise
    shutil.rmtree(before, ignore_errors=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path`, making its folder; OSError where that cannot be, with nothing changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(data)
