"""A person's own labelled sounds: a folder with one sub-folder a class, or a table with a row a sound (CSV)."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath

from mirguard.datasets.labelled import SPLITS, Cancel, Item, LabelledSet, Progress, pause, some
from mirguard.errors import FileError, UsageError
from mirguard.files import write_whole

TABLES = ("labels.csv", "metadata.csv")  # looked for in a folder, in this order
SOUNDS = frozenset(
    (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64", ".rf64")
)
# Sounds, but not for libsndfile.
UNREADABLE = frozenset((".m4a", ".aac", ".mp4", ".wma", ".ape", ".wv", ".alac", ".mka", ".webm", ".ra", ".amr"))
GROUPINGS = ("auto", "file", "folder", "artist", "excerpt")

_FILE = ("file", "filename", "file_name", "path")
_LABEL = ("label", "class")
_GROUP = ("group", "artist", "track")  # the first that is there decides
_SPLIT_WORDS = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
_DELIMITERS = ",;\t|"
# "song_03", "song-part2", "song (4)": a name and the number of a piece of it.
_EXCERPT = re.compile(
    r"(.*?)[\s._-]*[(\[]?(?:part|pt|seg|segment|chunk|excerpt|clip|section)?[\s._-]*\d+[)\]]?", re.IGNORECASE
)


def labelled_folder(
    path: str | os.PathLike,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    *,
    group_by: str = "auto",
    label: str = "label",
) -> LabelledSet:
    """Read the labels of sounds, not yet the sounds.

    `path` is a folder with one sub-folder a class (what lies deeper belongs to the top one), a folder with a `labels.csv`
    or `metadata.csv`, or such a table itself. A table has the columns `file` (relative to the table) and `label`, and may
    have `group`, `artist` or `track` (what must stay together), `split` (train, validation, test), `start` and `seconds`
    (a part of the file); other columns are left alone, and `label` names another one to take the labels from.

    `group_by` says what stays together where sounds are split: "file" (each for itself), "folder" (the innermost
    sub-folder below the class), "artist" (what stands before " - " in the file's name, over all classes), "excerpt" (the
    name without the number at its end, within one folder), or a regular expression whose one group, found in the
    file's name without suffix, is the name of the group. "auto" takes a table's columns, else files.

    What is named but cannot be used goes into `skipped`, one sentence each. FileError names file and line where nothing
    of it can be used, UsageError a `group_by` that makes no sense; Cancelled when asked to stop.
    """
    grouping = _grouping(group_by)
    path = Path(os.path.expanduser(path))
    try:
        if path.is_file():
            return _read_table(path, grouping, label, progress, cancel)
        if not path.exists():
            raise FileError(f"There is no folder or table {path}.")
        for name in TABLES:
            if (path / name).is_file():
                try:
                    return _read_table(path / name, grouping, label, progress, cancel)
                except _NoColumns:
                    if name == TABLES[0] or not _classes(path):
                        raise
        return _read_classes(path, grouping, progress, cancel)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError | UnicodeError) or "null" in str(error):
            reason = getattr(error, "strerror", None) or "its name cannot be used here"
            raise FileError(f"{getattr(error, 'filename', None) or path} cannot be read: {reason}.") from error
        raise


def unlabelled_folder(path: str | os.PathLike) -> tuple[Path, ...]:
    """The sound files below a folder (or the one file named), hidden ones left out, in order of name."""
    path = Path(os.path.expanduser(path))
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise FileError(f"There is no folder {path}.")
    return tuple(file for file in _files(path) if file.suffix.lower() in SOUNDS)


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


# -- What stays together -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Grouping:
    """`of(path below its class or table, class or "")` is a group's name; None where the name does not fit the rule."""

    kind: str
    of: Callable[[Path, str], str | None]


def _grouping(rule: str) -> _Grouping | None:
    """None is "auto"."""
    if rule == "auto":
        return None
    if rule == "file":
        return _Grouping("track", lambda path, label: _joined(label, path.as_posix()))
    if rule == "folder":
        return _Grouping("given", lambda path, label: path.parent.as_posix() if path.parent.name else None)
    if rule == "artist":
        return _Grouping("artist", lambda path, label: artist_in(path.stem))
    if rule == "excerpt":
        return _Grouping("track", _without_number)
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise UsageError(
            f"Grouping by {rule!r} makes no sense: it is none of {', '.join(GROUPINGS)}, and as a regular expression "
            f"it is wrong ({error})."
        ) from error
    if pattern.groups != 1:
        raise UsageError(
            f"Grouping by {rule!r} makes no sense: it is none of {', '.join(GROUPINGS)}, and a regular expression "
            "needs exactly one pair of parentheses around what stays together."
        )

    def found(path: Path, _label: str) -> str | None:
        match = pattern.search(path.stem)
        return match[1] if match and match[1] else None

    return _Grouping("given", found)


def artist_in(stem: str) -> str | None:
    """What stands before the first " - " of a file's name, track numbers aside: "Bessie Smith" of
    "03 - Bessie Smith - St. Louis Blues"."""
    parts = [_tidy(part) for part in stem.replace("_", " ").split(" - ")]
    if parts[0].rstrip(".").isdigit():
        del parts[0]
    return parts[0] or None if len(parts) > 1 else None


def _without_number(path: Path, label: str) -> str | None:
    match = _EXCERPT.fullmatch(path.stem)
    return _joined(label, path.with_name(match[1]).as_posix()) if match and match[1] else None


def _joined(label: str, name: str) -> str:
    return f"{label}/{name}" if label else name


def _grouped(grouping: _Grouping | None, path: Path, label: str) -> tuple[str, bool]:
    """The group of a file by the rule, and whether the rule fitted; else the file is a group of its own."""
    group = grouping.of(path, label) if grouping else None
    return (group, True) if group else (_joined(label, path.as_posix()), grouping is None)


def _unfitting(names: list[str], rule: str) -> list[str]:
    if not names:
        return []
    return [f"{_many(len(names), 'file')} ({some(names)}) fit not the grouping by {rule}, so each stands for itself."]


def _looks_like_excerpts(items: list[Item]) -> list[str]:
    """A word where names look as if several files were pieces of one track, and each is a group of its own.

    Numbers of several digits after one name for a whole class (blues.00042) are how collections count their files.
    """
    stems = defaultdict(list)
    for item in items:
        match = _EXCERPT.fullmatch(item.path.stem)
        if match and match[1]:
            stems[item.label, match[1]].append(item.name)
    found = [names for names in stems.values() if len(names) > 1]
    pieces = sum(map(len, found))
    labels = {label for label, _ in stems}
    if len(found) <= 2 * len(labels) or pieces < 0.3 * len(items):
        return []
    return [
        f"Some names look like pieces of one track ({some(sorted(max(found, key=len)), 2)}), but each file counts as "
        "a track of its own; if they are pieces, group by 'excerpt', or figures will be too good."
    ]


# -- A folder with a sub-folder a class --------------------------------------------------------------------------------


def _read_classes(
    folder: Path, grouping: _Grouping | None, progress: Progress | None, cancel: Cancel | None
) -> LabelledSet:
    classes = _classes(folder)
    if not classes:
        loose = next(iter(unlabelled_folder(folder)), None)
        raise FileError(
            f"{folder} holds {'sounds but no classes' if loose else 'no sounds'}: put the sounds of each class into "
            "a sub-folder named after it, or list them in a labels.csv with the columns file and label."
        )
    items, skipped, warnings, unfit = [], [], [], []
    labels = {}
    for number, sub in enumerate(classes):
        if progress:
            progress(f"Looking through {sub.name}", number / len(classes))
        label = _tidy(os.fsencode(sub.name).decode("utf-8", "replace"))
        before = len(items)
        for file in _files(sub, skipped):
            pause(cancel)
            usable, why = _usable(file, file.relative_to(folder).as_posix())
            if why:
                skipped.append(why)
            if not usable:
                continue
            group, fits = _grouped(grouping, file.relative_to(sub), label)
            if not fits:
                unfit.append(file.name)
            items.append(Item(file, label, group, artist=artist_in(file.stem) or ""))
        if len(items) > before:
            labels[label] = None
        else:
            warnings.append(f"The sub-folder {sub.name} holds no sound that can be read, so it is not a class.")
    if not items:
        reason = f" ({skipped[0].rstrip('.')})" if skipped else ""
        raise FileError(f"No sub-folder of {folder} holds a sound that can be read{reason}.")
    loose = [file.name for file in _directly_in(folder) if file.suffix.lower() in SOUNDS]
    if loose:
        warnings.append(
            f"{_many(len(loose), 'sound')} directly in {folder.name} ({some(loose)}) belong to no class and are left out."
        )
    if grouping is None:
        warnings += _looks_like_excerpts(items)
    warnings += _unfitting(unfit, grouping.kind if grouping else "")
    return _checked(
        LabelledSet(
            folder.resolve().name or str(folder),
            str(folder.resolve()),
            tuple(labels),
            tuple(items),
            grouping.kind if grouping else "track",
            tuple(skipped),
            tuple(warnings),
        )
    )


def _classes(folder: Path) -> list[Path]:
    return sorted((sub for sub in folder.iterdir() if sub.is_dir() and not _hidden(sub.name)), key=_by_name)


def _directly_in(folder: Path) -> list[Path]:
    return sorted((file for file in folder.iterdir() if file.is_file() and not _hidden(file.name)), key=_by_name)


def _files(folder: Path, refused: list[str] | None = None) -> Iterator[Path]:
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


def _by_name(path: Path) -> str:
    return path.name


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _usable(file: Path, named: str) -> tuple[bool, str | None]:
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


# -- A table -----------------------------------------------------------------------------------------------------------


class _NoColumns(FileError):
    """A table without the columns that say file and label: perhaps a table about something else."""


@dataclass(frozen=True)
class _Row:
    line: int
    cells: dict[str, str]


def _read_table(
    table: Path, grouping: _Grouping | None, label: str, progress: Progress | None, cancel: Cancel | None
) -> LabelledSet:
    if progress:
        progress(f"Reading {table.name}", None)
    text, warnings = _decoded(table)
    columns, rows, skipped, delimiter = _rows(table, text, label.strip().lower())
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
            group, fits = _grouped(grouping, relative, "")
            if not fits:
                unfit.append(found.name)
            found = replace(found, group=group)
        items.append(found)
    if not items:
        reason = f": {skipped[0]}" if skipped else ": it has no rows below its header."
        raise FileError(f"{table} names no sound that can be used{reason}")
    if repeated:
        warnings.append(
            f"{table.name} names {_many(len(repeated), 'sound')} more than once ({some(repeated)}); each counts once."
        )
    kind = _kind(columns) if grouping is None else grouping.kind
    if grouping is None and kind == "track" and "track" not in columns:
        warnings += _looks_like_excerpts([item for item in items if item.start is None])
    warnings += _unfitting(unfit, kind)
    labels = tuple(sorted({item.label for item in items}))
    name = folder.resolve().name if table.name.lower() in TABLES else table.stem
    source = str(table.resolve())
    licence, citation = _card(folder)
    return _checked(
        LabelledSet(name, source, labels, tuple(items), kind, tuple(skipped), tuple(warnings), licence, citation)
    )


def _card(folder: Path) -> tuple[str, str]:
    """Licence and citation, where a dataset.json beside the table says them (that of the toy dataset does)."""
    try:
        about = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return "", ""
    said = (about.get(key) for key in ("licence", "citation")) if isinstance(about, dict) else ("", "")
    licence, citation = (_tidy(text) if isinstance(text, str) else "" for text in said)
    return licence, citation


def _kind(columns: dict[str, str]) -> str:
    first = next((column for column in _GROUP if column in columns), "track")
    return "given" if first == "group" else first


def _decoded(table: Path) -> tuple[str, list[str]]:
    """The table's text, whatever program wrote it, and a word where the encoding was guessed."""
    content = table.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return content.decode("utf-16"), []
        except UnicodeDecodeError as error:
            raise FileError(f"{table} is no table of text (its UTF-16 is damaged).") from error
    if b"\0" in content:
        raise FileError(f"{table} is no table of text (it holds binary data).")
    try:
        return content.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace"), [
            f"{table.name} is not UTF-8 and was read as Windows text (cp1252); look whether names with accents are right."
        ]


def _rows(table: Path, text: str, label: str) -> tuple[dict[str, str], list[_Row], list[str], str]:
    """The columns by name, the rows below the header, sentences about rows that are no rows, and the delimiter."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    if not header:
        raise FileError(f"{table} is empty.")
    for delimiter in sorted(_DELIMITERS, key=header.count, reverse=True):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        rows, skipped = [], []
        names: list[str] | None = None
        try:
            start = 1
            for cells in reader:
                line, start = start, reader.line_num + 1
                if not any(cell.strip() for cell in cells):
                    continue
                if names is None:
                    names = [cell.strip().lower() for cell in cells]
                    if not _column(names, _FILE):
                        break
                    continue
                if len(cells) > len(names):
                    skipped.append(
                        f"{table.name}, line {line}: {len(cells)} cells under {len(names)} headings; "
                        f"put quotation marks around what holds {_spelt(delimiter)}."
                    )
                    continue
                rows.append(_Row(line, dict(zip(names, (cell.strip() for cell in cells), strict=False))))
        except csv.Error as error:
            raise FileError(f"{table}, line {reader.line_num}: {error}; look at the quotation marks there.") from error
        columns = _columns(names or [], label)
        if columns:
            return columns, rows, skipped, delimiter
    wanted = "label" if label == "label" else repr(label)
    raise _NoColumns(
        f"{table} needs a first line that names its columns, among them file and {wanted}; "
        f"it begins with {_shortened(header)!r}."
    )


def _column(names: list[str], wanted: tuple[str, ...]) -> str | None:
    return next((name for name in wanted if name in names), None)


def _columns(names: list[str], label: str) -> dict[str, str]:
    """What a column is for -> how it is called in this table; empty where file or label is missing."""
    file = _column(names, _FILE)
    labels = _column(names, _LABEL if label == "label" else (label,))
    if not file or not labels:
        return {}
    others = {name: name for name in (*_GROUP, "split", "start", "seconds") if name in names}
    return {"file": file, "label": labels, **others}


def _item(row: _Row, columns: dict[str, str], folder: Path, where: str, delimiter: str) -> Item | str:
    """The row as an item, or a sentence why not; an unknown split is an error, since it spoils the whole table."""
    cells = {purpose: row.cells.get(name, "") for purpose, name in columns.items()}
    label = _tidy(cells["label"])
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
    usable, why = _usable(path, f"{where}: {cells['file']}")
    if not usable:
        return why or f"{where}: {cells['file']} is no sound file."
    group = next((f"{_tidy(cells[column])}" for column in _GROUP if cells.get(column)), "")
    artist = _tidy(cells.get("artist", "")) or artist_in(path.stem) or ""
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


# -- Words -------------------------------------------------------------------------------------------------------------


def _checked(dataset: LabelledSet) -> LabelledSet:
    if len(dataset.labels) > 1:
        return dataset
    few = f"There is only one class ({dataset.labels[0]}); a classifier needs two."
    return replace(dataset, warnings=(*dataset.warnings, few))


def _tidy(text: str) -> str:
    """Composed accents and single blanks, so that names from several systems are the same name."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _shortened(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _spelt(delimiter: str) -> str:
    return {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}[delimiter]


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
