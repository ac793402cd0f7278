"""A person's own labelled sounds: a folder with one sub-folder a class, or a table with a row a sound (CSV)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from mirguard.datasets.class_folders import read_classes
from mirguard.datasets.grouping import Grouping, grouping_rule
from mirguard.datasets.labelled import Cancel, LabelledSet, Progress
from mirguard.datasets.sound_table import TABLES, read_table
from mirguard.datasets.table_rows import NoColumns
from mirguard.errors import FileError
from mirguard.sound_files import folders_in


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
    grouping = grouping_rule(group_by)
    path = Path(os.path.expanduser(path))
    try:
        dataset = _read(path, grouping, label, progress, cancel)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError | UnicodeError) or "null" in str(error):
            reason = getattr(error, "strerror", None) or "its name cannot be used here"
            raise FileError(f"{getattr(error, 'filename', None) or path} cannot be read: {reason}.") from error
        raise
    if len(dataset.labels) > 1:
        return dataset
    few = f"There is only one class ({dataset.labels[0]}); a classifier needs two."
    return replace(dataset, warnings=(*dataset.warnings, few))


def _read(
    path: Path, grouping: Grouping | None, label: str, progress: Progress | None, cancel: Cancel | None
) -> LabelledSet:
    if path.is_file():
        return read_table(path, grouping, label, progress, cancel)
    if not path.exists():
        raise FileError(f"There is no folder or table {path}.")
    for name in TABLES:
        if (path / name).is_file():
            try:
                return read_table(path / name, grouping, label, progress, cancel)
            except NoColumns:
                if name == TABLES[0] or not folders_in(path):
                    raise
    return read_classes(path, grouping, progress, cancel)
