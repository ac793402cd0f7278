"""A table that lists labelled sounds: read with what its rows name, and written."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import unicodedata
from dataclasses import replace
from pathlib import Path, PureWindowsPath

from mirguard.datasets.grouping import Grouping, artist_in, grouped, looks_like_excerpts, unfitting
from mirguard.datasets.labelled import SPLITS, Cancel, Item, LabelledSet, Progress, pause, some
from mirguard.datasets.table_rows import GROUP_COLUMNS, TableRow, group_kind, table_rows, table_text
from mirguard.errors import FileError, UsageError
from mirguard.files import write_whole
from mirguard.sound_files import usable
from mirguard.words import counted, tidy

TABLES = ("labels.csv", "metadata.csv")  # looked for in a folder, in this order
_SPLIT_WORDS = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip


def read_table(
    table: Path, grouping: Grouping | None, label: str, progress: Progress | None, cancel: Cancel | None
) -> LabelledSet:
    """The sounds that a table names; NoColumns where it is about something else. None for `grouping` takes its columns."""
    if progress:
        progress(f"Reading {table.name}", None)
    text, warnings = table_text(table)
    columns, rows, skipped, delimiter = table_rows(table, text, label.strip().lower())
    folder = table.parent
    items: list[Item] = []
    unfit: list[str] = []
    seen: dict[tuple, tuple[int, str]] = {}
    repeated = []
    for number, row in enumerate(rows):
        pause(cancel)
        if progress and not number % 200:
            progress(f"Reading {table.name}", number / len(rows))
        where = f"{table.name}, line {row.line}"
        found = _item(row, columns, folder, where, delimiter)
        if isinstance(found, str):
            skipped.append(found)
            continue
        key = (found.path, found.start, found.seconds)
        if key in seen:
            line, other = seen[key]
            if other == found.label:
                repeated.append(f"line {row.line}")
            else:
                skipped.append(
                    f"{where}: {found.name} is labelled {found.label} here and {other} in line {line}; the first counts."
                )
            continue
        seen[key] = (row.line, found.label)
        relative = Path(os.path.relpath(found.path, folder))
        if grouping or not found.group:
            group, fits = grouped(grouping, relative, "")
            if not fits:
                unfit.append(found.name)
            found = replace(found, group=group)
        items.append(found)
    if not items:
        reason = f": {skipped[0]}" if skipped else ": it has no rows below its header."
        raise FileError(f"{table} names no sound that can be used{reason}")
    if repeated:
        warnings.append(
            f"{table.name} names {counted(len(repeated), 'sound')} more than once ({some(repeated)}); each counts once."
        )
    kind = group_kind(columns) if grouping is None else grouping.kind
    if grouping is None and kind == "track" and "track" not in columns:
        warnings += looks_like_excerpts([item for item in items if item.start is None])
    warnings += unfitting(unfit, kind)
    labels = tuple(sorted({item.label for item in items}))
    name = folder.resolve().name if table.name.lower() in TABLES else table.stem
    source = str(table.resolve())
    licence, citation = _card(folder)
    return LabelledSet(name, source, labels, tuple(items), kind, tuple(skipped), tuple(warnings), licence, citation)


def _card(folder: Path) -> tuple[str, str]:
    """Licence and citation, where a dataset.json beside the table says them (that of the toy dataset does)."""
    try:
        about = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return "", ""
    said = (about.get(key) for key in ("licence", "citation")) if isinstance(about, dict) else ("", "")
    licence, citation = (tidy(text) if isinstance(text, str) else "" for text in said)
    return licence, citation


def _item(row: TableRow, columns: dict[str, str], folder: Path, where: str, delimiter: str) -> Item | str:
    """The row as an item, or a sentence why not; an unknown split is an error, since it spoils the whole table."""
    cells = {purpose: row.cells.get(name, "") for purpose, name in columns.items()}
    label = tidy(cells["label"])
    if not cells["file"] or not label:
        return f"{where}: no {'label' if cells['file'] else 'file'} is given."
    split = cells.get("split", "").lower()
    if split and split not in _SPLIT_WORDS:
        raise FileError(f"{where}: the split {cells['split']!r} is none of {', '.join(SPLITS)}.")
    times = []
    for purpose in ("start", "seconds"):
        cell = cells.get(purpose, "")
        if delimiter != ",":
            cell = cell.replace(",", ".")
        try:
            value = float(cell) if cell else None
        except ValueError:
            value = math.nan
        if value is not None and not (0 <= value < 1e6 and (value > 0 or purpose == "start")):
            return f"{where}: {purpose} is a number of seconds, not {cells[purpose]!r}."
        times.append(value)
    path = _found(folder, cells["file"])
    if path is None:
        return f"{where}: {cells['file']} lies outside {folder}; only files below the table's folder are used."
    if not path.is_file():
        return f"{where}: there is no file {cells['file']}."
    is_sound, why = usable(path, f"{where}: {cells['file']}")
    if not is_sound:
        return why or f"{where}: {cells['file']} is no sound file."
    group = next((f"{tidy(cells[column])}" for column in GROUP_COLUMNS if cells.get(column)), "")
    artist = tidy(cells.get("artist", "")) or artist_in(path.stem) or ""
    return Item(path, label, group, _SPLIT_WORDS.get(split, ""), times[0], times[1], artist)


def _found(folder: Path, named: str) -> Path | None:
    """The file below the folder that a table names; None where the name leads out of it.

    Tables travel between systems: a name may come with the other slashes, or with accents composed the other way.
    """
    if "\0" in named or PureWindowsPath(named).drive:
        return None
    forms = [named, named.replace("\\", "/")]
    forms += [unicodedata.normalize(form, forms[1]) for form in ("NFC", "NFD")]
    base = os.path.abspath(folder)
    paths = []
    for form in forms:
        path = os.path.abspath(os.path.join(base, form))
        if path != base and os.path.commonpath([path, base]) != base:
            return None
        paths.append(Path(path))
    return next((path for path in paths if path.is_file()), paths[0])


def write_table(dataset: LabelledSet, path: str | os.PathLike) -> Path:
    """The dataset as a table that `labelled_folder` reads back: labels, groups, artists, parts of files, and the split.

    All sounds must lie below the table's folder, since a table names nothing outside it: UsageError says so. FileError
    where it cannot be written.
    """
    path = Path(os.path.expanduser(path)).absolute()
    columns = ("file", "label", "group", "artist", "split", "start", "seconds")
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    for item in dataset.items:
        file = item.path.absolute()
        if not file.is_relative_to(path.parent):
            raise UsageError(
                f"{file} does not lie below {path.parent}; write the table into a folder above all its sounds."
            )
        times = ("" if time is None else repr(time) for time in (item.start, item.seconds))
        row = (file.relative_to(path.parent).as_posix(), item.label, item.group, item.artist, item.split, *times)
        table.writerow(row)
    try:
        write_whole(path, text.getvalue().encode("utf-8", errors="surrogateescape"))
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror}.") from error
    return path
