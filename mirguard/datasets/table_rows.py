"""The rows of a table of sounds (CSV), whatever program wrote it, by what their columns are for."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from mirguard.errors import FileError

_FILE = ("file", "filename", "file_name", "path")
_LABEL = ("label", "class")
GROUP_COLUMNS = ("group", "artist", "track")  # the first that is there decides
_DELIMITERS = ",;\t|"


class NoColumns(FileError):
    """A table without the columns that say file and label: perhaps a table about something else."""


@dataclass(frozen=True)
class TableRow:
    line: int
    cells: dict[str, str]


def table_text(table: Path) -> tuple[str, list[str]]:
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


def table_rows(table: Path, text: str, label: str) -> tuple[dict[str, str], list[TableRow], list[str], str]:
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
                rows.append(TableRow(line, dict(zip(names, (cell.strip() for cell in cells), strict=False))))
        except csv.Error as error:
            raise FileError(f"{table}, line {reader.line_num}: {error}; look at the quotation marks there.") from error
        columns = _columns(names or [], label)
        if columns:
            return columns, rows, skipped, delimiter
    wanted = "label" if label == "label" else repr(label)
    raise NoColumns(
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
    others = {name: name for name in (*GROUP_COLUMNS, "split", "start", "seconds") if name in names}
    return {"file": file, "label": labels, **others}


def group_kind(columns: dict[str, str]) -> str:
    first = next((column for column in GROUP_COLUMNS if column in columns), "track")
    return "given" if first == "group" else first


def _shortened(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _spelt(delimiter: str) -> str:
    return {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}[delimiter]
