"""A person's decisions on the clips of a collection, kept in the user's data folder and never beside the user's sounds.

One JSON file for each folder or list that was looked through, named by the hash of its path, written whole or not at all.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from mirguard.errors import FileError
from mirguard.files import write_whole
from mirguard.resources import data_folder

VERSION = 1


@dataclass(frozen=True)
class Record:
    """What was decided on one clip, and how to find the clip again: by its place, size and modification time, or by the
    hash of its samples. `decision` and `note` may each be ""; the rest says what the person saw when deciding."""

    place: str
    start: float | None = None
    seconds: float | None = None
    size: int = 0
    modified: int = 0
    sound: str = ""
    decision: str = ""
    label: str = ""
    note: str = ""
    at: str = ""
    model: str = ""
    heard: str = ""
    confidence: float | None = None
    score: float | None = None
    flagged: bool | None = None

    @property
    def key(self) -> tuple:
        return self.place, self.start, self.seconds


def now() -> str:
    """The time as it is written down: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def review_file(source: str) -> Path:
    """Where the decisions on that folder or list are kept."""
    return data_folder() / "reviews" / f"{hashlib.sha256(source.encode(errors='surrogatepass')).hexdigest()[:32]}.json"


def read_records(path: Path) -> tuple[Record, ...]:
    """The decisions of a file; none where there is no such file. FileError where it cannot be understood: it is then set
    aside, so that new decisions do not take its place."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise _set_aside(path, "are damaged") from error
    try:
        document = json.loads(text)
        newer = document["version"] > VERSION
        records = () if newer else tuple(_record(entry) for entry in document["records"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _set_aside(path, "are damaged") from error
    if newer:
        raise _set_aside(path, "were kept by a newer MIRGuard")
    return records


def _record(entry: Mapping[str, object]) -> Record:
    made = Record(**{field.name: entry[field.name] for field in fields(Record) if field.name in entry})
    texts = (made.place, made.sound, made.decision, made.label, made.note, made.at, made.model, made.heard)
    numbers = (made.start, made.seconds, made.confidence, made.score)
    if (
        not all(isinstance(text, str) for text in texts)
        or not all(number is None or isinstance(number, int | float) for number in numbers)
        or not isinstance(made.size, int)
        or not isinstance(made.modified, int)
    ):
        raise TypeError("a record of a decision has parts of a wrong kind")
    return made


def _set_aside(path: Path, why: str) -> FileError:
    aside = path.with_name(f"{path.name}.{secrets.token_hex(2)}.aside")
    try:
        path.replace(aside)
        where = f"they are kept as {aside}"
    except OSError:
        where = f"they are in {path}"
    return FileError(
        f"The earlier decisions on these clips {why} and were left alone ({where}); new ones start afresh."
    )


def write_records(path: Path, source: str, records: Iterable[Record]) -> None:
    """Keep decisions, whole or not at all; FileError where that cannot be."""
    # A line each; without indentation, since that is written by slow means.
    lines = ",\n".join(json.dumps(vars(record)) for record in records)
    text = f'{{"version": {VERSION}, "source": {json.dumps(source)}, "records": [\n{lines}\n]}}\n'
    _write(path, text.encode("ascii"), "Make room there or make it writable")


def write_table(path: Path, rows: list[Mapping[str, object]]) -> None:
    """Write decisions as CSV (UTF-8, one header line), whole or not at all; FileError where that cannot be."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else ["file", "label", "decision", "note"])
    writer.writeheader()
    writer.writerows(rows)
    _write(path, text.getvalue().encode("utf-8", errors="surrogateescape"), "Choose another place")


def _write(path: Path, content: bytes, remedy: str) -> None:
    """The error ends with what to do."""
    try:
        write_whole(path, content)
    except OSError as error:
        reason = (error.strerror or "the disk may be full").rstrip(".")
        raise FileError(f"The decisions cannot be written to {path}: {reason}. {remedy}.") from error
