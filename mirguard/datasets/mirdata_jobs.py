"""Downloading and validating published collections with mirdata, in a process that can be stopped."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirguard.datasets.labelled import Cancel, LabelledSet, Progress, pause, some
from mirguard.datasets.mirdata_sets import KnownSet, find_known, known_set
from mirguard.errors import FileError, MirguardError

_DONE = {"download": "downloaded", "validate": "validated"}
_CHECKOUT = Path(__file__).resolve().parents[2]  # or the folder of installed packages


@dataclass(frozen=True)
class Validated:
    """What mirdata's checksums say of a collection: files it should have, those that are missing or differ, and a sentence."""

    files: int
    missing: tuple[str, ...]
    altered: tuple[str, ...]
    sentence: str

    @property
    def complete(self) -> bool:
        return not self.missing and not self.altered


def download(
    name: str, home: str | os.PathLike | None = None, progress: Progress | None = None, cancel: Cancel | None = None
) -> LabelledSet:
    """Fetch a collection into `home` (default: where mirdata puts it) and read it.

    Archives are checked against mirdata's checksums, unpacked, and removed when all is well; what was fetched whole before a
    failure is not fetched again. MirguardError says why it cannot be had and what to do; Cancelled leaves no half archive.
    """
    known = find_known(name)
    place = _place(known, home)
    new = not place.exists()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{place} cannot be made: {error.strerror}; name another folder.") from error
    try:
        _run("download", known, place, progress, cancel)
    finally:
        if new:
            _drop_empty(place)
    found = known_set(known.name, place)
    for archive in known.archives:
        (place / archive).unlink(missing_ok=True)
    return found


def _drop_empty(folder: Path) -> None:
    """Let go of folders that nothing came into."""
    for inner in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        with contextlib.suppress(OSError):
            inner.rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()


def validate(
    name: str, home: str | os.PathLike | None = None, progress: Progress | None = None, cancel: Cancel | None = None
) -> Validated:
    """Compare a collection's files with mirdata's checksums; mirdata fetches the list of these when it is not there yet."""
    known = find_known(name)
    place = _place(known, home)
    if not place.is_dir():
        raise FileError(f"{known.title.partition(':')[0]} was looked for in {place}, which does not exist; {known.how}")
    result = _run("validate", known, place, progress, cancel)
    files, missing, altered = int(result["files"]), tuple(result["missing"]), tuple(result["altered"])
    return Validated(files, missing, altered, _verdict(known, place, files, missing, altered))


def _verdict(known: KnownSet, place: Path, files: int, missing: tuple[str, ...], altered: tuple[str, ...]) -> str:
    title = known.title.partition(":")[0]
    if not missing and not altered:
        return f"{title} in {place} is complete: {files} files are as published."
    parts = []
    if missing:
        parts.append(f"{len(missing)} are missing ({some((Path(path).name for path in missing), 2)})")
    if altered:
        parts.append(f"{len(altered)} are not as published ({some((Path(path).name for path in altered), 2)})")
    return f"Of {title}'s {files} files in {place} {' and '.join(parts)}."


def _place(known: KnownSet, home: str | os.PathLike | None) -> Path:
    return (Path(os.path.expanduser(home)) if home is not None else known.home).absolute()


# -- The process -------------------------------------------------------------------------------------------------------


def _run(action: str, known: KnownSet, place: Path, progress: Progress | None, cancel: Cancel | None) -> dict[str, Any]:
    """What the worker gives in the end; while it works its words are handed on and stopping it is possible."""
    title = known.title.partition(":")[0]
    if importlib.util.find_spec("mirdata") is None:
        raise MirguardError(
            f"{title} cannot be {_DONE[action]} without mirdata: pip install 'mirguard[data]', or get its files from elsewhere "
            f"and put them into {place}."
        )
    command = [sys.executable, "-W", "ignore", "-m", "mirguard.datasets.mirdata_worker"]
    command += [action, known.mirdata_name, str(place)]
    paths = os.pathsep.join(filter(None, (str(_CHECKOUT), os.environ.get("PYTHONPATH"))))
    half: Path | None = None
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=os.environ | {"PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8"},
            encoding="utf-8",
        )
        lines: queue.Queue[str | None] = queue.Queue()
        reader = threading.Thread(target=_read, args=(process.stdout, lines), name="mirdata", daemon=True)
        reader.start()
        try:
            while True:
                pause(cancel)
                try:
                    line = lines.get(timeout=0.1)
                except queue.Empty:
                    continue
                if line is None:
                    raise MirguardError(
                        f"{title} could not be {_DONE[action]}: mirdata ended without a word; try again."
                    )
                if not line.startswith("{"):  # something else that spoke before the worker did
                    continue
                said = json.loads(line)
                if "error" in said:
                    raise MirguardError(_failed(action, known, place, said["error"]))
                if "result" in said:
                    half = None
                    return said["result"]
                if "fetching" in said:
                    half = Path(said["fetching"])
                elif "fetched" in said:
                    half = None
                elif progress:
                    progress(said["text"], said["done"])
        finally:
            process.kill()
            process.wait()
            reader.join()
            process.stdout.close()
            if half:
                half.unlink(missing_ok=True)


def _read(stream: Any, lines: queue.Queue[str | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _failed(action: str, known: KnownSet, place: Path, reason: str) -> str:
    title = known.title.partition(":")[0]
    if action == "validate":
        return f"{title} could not be validated: {reason}; mirdata must fetch its list of checksums once."
    return f"{title} could not be downloaded: {reason}; try again later, or put a copy from elsewhere into {place}."
