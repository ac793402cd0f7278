"""A folder with a sub-folder a class."""

from __future__ import annotations

import os
from pathlib import Path

from mirguard.datasets.grouping import Grouping, artist_in, grouped, looks_like_excerpts, unfitting
from mirguard.datasets.labelled import Cancel, Item, LabelledSet, Progress, pause, some
from mirguard.errors import FileError
from mirguard.sound_files import SOUNDS, files_below, files_directly_in, folders_in, unlabelled_folder, usable
from mirguard.words import counted, tidy


def read_classes(
    folder: Path, grouping: Grouping | None, progress: Progress | None, cancel: Cancel | None
) -> LabelledSet:
    """The sounds of every sub-folder; FileError where there are none. None for `grouping` is a file a group."""
    classes = folders_in(folder)
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
        label = tidy(os.fsencode(sub.name).decode("utf-8", "replace"))
        before = len(items)
        for file in files_below(sub, skipped):
            pause(cancel)
            is_sound, why = usable(file, file.relative_to(folder).as_posix())
            if why:
                skipped.append(why)
            if not is_sound:
                continue
            group, fits = grouped(grouping, file.relative_to(sub), label)
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
    loose = [file.name for file in files_directly_in(folder) if file.suffix.lower() in SOUNDS]
    if loose:
        warnings.append(
            f"{counted(len(loose), 'sound')} directly in {folder.name} ({some(loose)}) belong to no class and are left out."
        )
    if grouping is None:
        warnings += looks_like_excerpts(items)
    warnings += unfitting(unfit, grouping.kind if grouping else "")
    return LabelledSet(
        folder.resolve().name or str(folder),
        str(folder.resolve()),
        tuple(labels),
        tuple(items),
        grouping.kind if grouping else "track",
        tuple(skipped),
        tuple(warnings),
    )
