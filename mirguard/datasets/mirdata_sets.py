"""Published collections as labelled sets: GTZAN, IRMAS, Medley-solos-DB and TinySOL.

The sounds are read by each collection's own documented layout, so that a copy from anywhere serves, without a network.
mirdata (Bittner et al., ISMIR 2019; `pip install 'mirguard[data]'`) downloads and validates them: its checksums come from an
index that it must fetch first, so nothing but these two hangs on it.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mirguard.datasets import gtzan
from mirguard.datasets.folder import labelled_folder
from mirguard.datasets.labelled import Cancel, Item, LabelledSet, Progress, pause, some
from mirguard.errors import FileError, UsageError
from mirguard.sound_files import SOUNDS

FOLDS = 5  # TinySOL's


@dataclass(frozen=True)
class KnownSet:
    """A published collection: what it is, who made it, on what terms, and how to get it.

    `mirdata_name` is what mirdata calls it, `size` about how much is downloaded, `archives` where the archives lie below
    the home after that.
    """

    name: str
    title: str
    note: str
    licence: str
    citation: str
    size: str
    how: str
    mirdata_name: str
    archives: tuple[str, ...]

    @property
    def home(self) -> Path:
        """Where it is looked for unless another folder is named: where mirdata puts it."""
        return Path.home() / "mir_datasets" / self.mirdata_name


_BY_MIRDATA = "'mirguard datasets download {}' fetches {} with mirdata"

_SETS = {
    known.name: known
    for known in (
        KnownSet(
            "gtzan",
            "GTZAN: ten genres of 100 excerpts of 30 s",
            "comes with the fault-filtered split 443 / 197 / 290 (Kereliuk, Sturm, Larsen 2015); 70 excerpts are left out.",
            "Unclear: collected from CDs, radio and recordings without a licence; for research only.",
            "G. Tzanetakis, P. Cook: Musical genre classification of audio signals. IEEE Transactions on Speech and Audio "
            "Processing 10(5), 2002.",
            "about 1.2 GB",
            _BY_MIRDATA.format("gtzan", "about 1.2 GB")
            + "; its first home often does not answer, and a copy from elsewhere (folders blues ... rock) serves as well.",
            "gtzan_genre",
            ("gtzan_genre/genres.tar.gz", "annot.zip"),
        ),
        KnownSet(
            "irmas",
            "IRMAS: the predominant instrument of 3-second excerpts, eleven instruments",
            "trains on the 6,705 labelled excerpts; of the testing excerpts, which may have several labels, those with "
            "exactly one make the test part.",
            "CC BY-NC-SA 3.0: not for commercial use.",
            "J. J. Bosch, J. Janer, F. Fuhrmann, P. Herrera: A comparison of sound segregation techniques for predominant "
            "instrument recognition in musical audio signals. ISMIR 2012.",
            "about 10 GB",
            _BY_MIRDATA.format("irmas", "about 10 GB") + "; IRMAS-TrainingData alone serves too.",
            "irmas",
            tuple(f"IRMAS-{part}.zip" for part in ("TrainingData", *(f"TestingData-Part{n}" for n in (1, 2, 3)))),
        ),
        KnownSet(
            "medley-solos-db",
            "Medley-solos-DB: eight instruments alone, 3-second clips",
            "comes with its own split: trained on MedleyDB, tested on solosDB.",
            "CC BY 4.0.",
            "V. Lostanlen, C. E. Cella: Deep convolutional networks on the pitch spiral for musical instrument recognition. "
            "ISMIR 2016.",
            "about 6 GB",
            _BY_MIRDATA.format("medley-solos-db", "about 6 GB") + ".",
            "medley_solos_db",
            ("audio/Medley-solos-DB.tar.gz",),
        ),
        KnownSet(
            "tinysol",
            "TinySOL: 2,913 single notes of 14 instruments",
            "comes in five folds: one to test, the next to validate, three to train.",
            "CC BY 4.0.",
            "C. E. Cella, D. Ghisi, V. Lostanlen, F. Lévy, J. Fineberg, Y. Maresz: OrchideaSOL, a dataset of extended "
            "instrumental techniques for computer-aided orchestration. ICMC 2020.",
            "about 1.5 GB",
            _BY_MIRDATA.format("tinysol", "about 1.5 GB") + ".",
            "tinysol",
            ("audio/TinySOL.tar.gz",),
        ),
    )
}


def list_known() -> tuple[KnownSet, ...]:
    """The collections that can be named in the place of a folder."""
    return tuple(_SETS.values())


def find_known(name: str) -> KnownSet:
    """One of them; UsageError lists all."""
    if name.lower() not in _SETS:
        raise UsageError(f"There is no collection {name!r}; there are {', '.join(_SETS)}.")
    return _SETS[name.lower()]


def known_set(
    name: str,
    home: str | os.PathLike | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    *,
    published_split: bool = True,
    fold: int = 0,
) -> LabelledSet:
    """A collection's labels, read from its files below `home` (default: where mirdata puts them).

    With `published_split` its own parts are filled in: GTZAN's fault-filtered ones (what that leaves out is left out),
    the testing excerpts of IRMAS, Medley-solos-DB's subsets, TinySOL's fold `fold` to test and the next one to validate.
    Without it all sounds come unassigned. Groups are the finest that each collection tells: the recording (IRMAS), the song
    (Medley-solos-DB), the pitch (TinySOL without its folds), else the file.
    FileError says where the sounds were looked for and how to get them.
    """
    known = find_known(name)
    if not 0 <= fold < FOLDS:
        raise UsageError(f"TinySOL's folds are 0 to {FOLDS - 1}; got {fold}.")
    place = Path(os.path.expanduser(home)) if home is not None else known.home
    if progress:
        progress(f"Looking for {known.title.partition(':')[0]}", None)
    reader = {"gtzan": _gtzan, "irmas": _irmas, "medley-solos-db": _medley_solos, "tinysol": _tinysol}[known.name]
    try:
        labels, items, grouped_by, skipped, warnings = reader(known, place, cancel, fold if published_split else None)
    except OSError as error:
        raise FileError(f"{error.filename or place} cannot be read: {error.strerror}.") from error
    if not items:
        raise _missing(known, place)
    present = tuple(label for label in labels if any(item.label == label for item in items))
    if len(present) < len(labels):
        absent = [label for label in labels if label not in present]
        warnings.append(f"There are no sounds of {some(absent, 5)} in {place}.")
    found = LabelledSet(
        known.name,
        str(place.resolve()),
        present,
        tuple(items),
        grouped_by,
        tuple(skipped),
        tuple(warnings),
        known.licence,
        known.citation,
    )
    return found if published_split else replace(found.without_splits(), grouped_by=_ungiven(grouped_by))


def _ungiven(grouped_by: str) -> str:
    return "track" if grouped_by == "given" else grouped_by


def _missing(known: KnownSet, place: Path) -> FileError:
    title = known.title.partition(":")[0]
    there = "holds no sounds of it in its layout" if place.is_dir() else "does not exist"
    return FileError(f"{title} was looked for in {place}, which {there}; {known.how}")


# What a reader gives: all labels, the items, what they are grouped by, what is skipped, warnings.
_Read = tuple[tuple[str, ...], list[Item], str, list[str], list[str]]
_Reader = Callable[[KnownSet, Path, Cancel | None, int | None], _Read]


def _first(place: Path, names: tuple[str, ...], inside: str) -> Path | None:
    """The first of these folders below `place` that has `inside` in it."""
    return next((place / name for name in names if (place / name / inside).exists()), None)


def _sounds(folder: Path, cancel: Cancel | None) -> Iterator[Path]:
    """Sound files below a folder, in order of name; those that hold nothing are left out."""
    for path in sorted(folder.rglob("*")):
        pause(cancel)
        if path.suffix.lower() in SOUNDS and not path.name.startswith(".") and path.is_file() and path.stat().st_size:
            yield path


# -- GTZAN -------------------------------------------------------------------------------------------------------------

_GTZAN_NAME = re.compile(r"([a-z]+)\.(\d{5})")


def _gtzan(known: KnownSet, place: Path, cancel: Cancel | None, fold: int | None) -> _Read:
    """`genres/blues/blues.00000.wav`, or `.au` as first published; also under the names of the usual copies."""
    parts = gtzan.fault_filtered()
    names = ("", "genres", "gtzan_genre/genres", "gtzan_genre", "genres_original", "Data/genres_original")
    root = next((place / name for name in names if any((place / name / g).is_dir() for g in gtzan.GENRES)), None)
    items, left_out = [], 0
    for genre in gtzan.GENRES if root else ():
        for path in _sounds(root / genre, cancel):
            match = _GTZAN_NAME.fullmatch(path.stem)
            if not match or match[1] != genre:
                continue
            part = parts.get((genre, int(match[2])), "")
            if fold is not None and not part:
                left_out += 1
                continue
            items.append(Item(path, genre, path.stem, part))
    expected = len(parts) if fold is not None else gtzan.EACH * len(gtzan.GENRES)
    skipped, warnings = [], []
    if left_out:
        skipped.append(
            f"{left_out} excerpts are left out by the fault-filtered split: repeated, distorted or misnamed."
        )
    if 0 < len(items) < expected:
        warnings.append(f"{expected - len(items)} of {expected} excerpts are not there.")
    if fold is None:
        warnings.append(
            "GTZAN does not say whose music its excerpts are, so one artist may be in training and test; "
            "its fault-filtered split avoids that."
        )
    return gtzan.GENRES, items, "given", skipped, warnings


# -- IRMAS -------------------------------------------------------------------------------------------------------------

_INSTRUMENTS = {
    "cel": "cello", "cla": "clarinet", "flu": "flute", "gac": "acoustic guitar", "gel": "electric guitar", "org": "organ",
    "pia": "piano", "sax": "saxophone", "tru": "trumpet", "vio": "violin", "voi": "voice",
}  # fmt: skip


def _irmas(known: KnownSet, place: Path, cancel: Cancel | None, fold: int | None) -> _Read:
    """`IRMAS-TrainingData/cel/[cel][cla]0001__1.wav`, the number after "__" counting the excerpts of a recording, and
    `IRMAS-TestingData-Part1/Part1/NAME-1.wav` beside a NAME-1.txt with one label a line."""
    training = _first(place, ("IRMAS-TrainingData", "TrainingData", "irmas/IRMAS-TrainingData", ""), "cel")
    items, skipped, warnings = [], [], []
    for code, label in _INSTRUMENTS.items() if training else ():
        for path in _sounds(training / code, cancel):
            items.append(Item(path, label, f"{code}/{re.sub(r'__[0-9]+$', '', path.stem)}"))
    several = unlabelled = 0
    testing = (f"{folder}IRMAS-TestingData-Part{n}" for n in (1, 2, 3) for folder in ("", "irmas/"))
    for folder in testing if fold is not None else ():
        for path in _sounds(place / folder, cancel) if (place / folder).is_dir() else ():
            labels = _irmas_labels(path.with_suffix(".txt"))
            if len(labels) == 1:
                items.append(Item(path, labels[0], f"test/{re.sub(r'-[0-9]+$', '', path.stem)}", "test"))
            elif labels:
                several += 1
            else:
                unlabelled += 1
    if several:
        skipped.append(
            f"{several} testing excerpts have more than one predominant instrument and cannot have one label."
        )
    if unlabelled:
        skipped.append(f"{unlabelled} testing excerpts have no readable annotation beside them.")
    if not training and items:
        warnings.append(f"IRMAS-TrainingData is not in {place}: there is nothing to train on.")
    if training and fold is not None and not any(item.split for item in items):
        warnings.append("IRMAS-TestingData is not there, so the test part has to come out of the training excerpts.")
    return tuple(_INSTRUMENTS.values()), items, "track", skipped, warnings


def _irmas_labels(annotation: Path) -> list[str]:
    try:
        text = annotation.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return list(dict.fromkeys(_INSTRUMENTS[code] for code in text.split() if code in _INSTRUMENTS))


# -- Medley-solos-DB ---------------------------------------------------------------------------------------------------

_SOLOISTS = (
    "clarinet", "distorted electric guitar", "female singer", "flute", "piano", "tenor saxophone", "trumpet", "violin",
)  # fmt: skip


def _medley_solos(known: KnownSet, place: Path, cancel: Cancel | None, fold: int | None) -> _Read:
    """`annotation/Medley-solos-DB_metadata.csv` and `audio/Medley-solos-DB_test-0_UUID.wav`."""
    table = _table(place, "Medley-solos-DB_metadata.csv")
    sounds = {path.stem.rpartition("_")[2]: path for path in _sounds(place, cancel)} if table else {}
    items, absent = [], 0
    for row in _rows(table, ("subset", "instrument_id", "song_id", "uuid4")) if table else ():
        path = sounds.get(row["uuid4"])
        if path is None:
            absent += 1
            continue
        part = {"training": "train", "train": "train", "validation": "validation", "test": "test"}.get(row["subset"])
        number = int(row["instrument_id"]) if row["instrument_id"].isdigit() else -1
        if part is None or not 0 <= number < len(_SOLOISTS):
            raise FileError(f"{table}: the clip {row['uuid4']} has no known subset and instrument; get the file anew.")
        items.append(Item(path, _SOLOISTS[number], f"song {row['song_id']}", part))
    warnings = [f"{absent} of {absent + len(items)} clips are not there."] if absent and items else []
    return _SOLOISTS, items, "track", [], warnings


# -- TinySOL -----------------------------------------------------------------------------------------------------------

_TINYSOL = (
    "Accordion", "Alto Saxophone", "Bass Tuba", "Bassoon", "Clarinet in B-flat", "Contrabass", "Flute", "French Horn",
    "Oboe", "Trombone", "Trumpet in C", "Viola", "Violin", "Violoncello",
)  # fmt: skip


def _tinysol(known: KnownSet, place: Path, cancel: Cancel | None, fold: int | None) -> _Read:
    """`annotation/TinySOL_metadata.csv` and `audio/Winds/Flute/ordinario/Fl-ord-C4-mf-N-T14d.wav`."""
    table = _table(place, "TinySOL_metadata.csv")
    sounds = {path.stem: path for path in _sounds(place, cancel)} if table else {}
    items, absent = [], 0
    columns = ("path", "fold", "instrument (in full)", "pitch")
    for row in _rows(table, columns) if table else ():
        stem = Path(row["path"].replace("\\", "/")).stem
        if stem not in sounds:
            absent += 1
            continue
        label = row["instrument (in full)"]
        if not row["fold"].isdigit() or not 0 <= int(row["fold"]) < FOLDS or label not in _TINYSOL:
            raise FileError(f"{table}: the note {stem} has no known fold and instrument; get the file anew.")
        if fold is None:
            items.append(Item(sounds[stem], label, f"{label} {row['pitch']}"))
            continue
        distance = (int(row["fold"]) - fold) % FOLDS
        items.append(Item(sounds[stem], label, stem, {0: "test", 1: "validation"}.get(distance, "train")))
    warnings = [f"{absent} of {absent + len(items)} notes are not there."] if absent and items else []
    if items:
        warnings.append(
            "All notes of an instrument are played on one instrument in one room, so the test part tells how well these "
            "recordings are told apart, not instruments at large."
        )
    if fold is not None and items:
        warnings.append(f"This is fold {fold} of {FOLDS}; TinySOL's authors ask for the mean over all folds.")
    return _TINYSOL, items, "given" if fold is not None else "track", [], warnings


def _table(place: Path, name: str) -> Path | None:
    return next((path for path in (place / "annotation" / name, place / name) if path.is_file()), None)


def _rows(table: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a collection's own table, with the headings in small letters."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = [{str(key).lower(): value or "" for key, value in row.items()} for row in csv.DictReader(file)]
    except (csv.Error, UnicodeDecodeError) as error:
        raise FileError(f"{table} is damaged; get it anew.") from error
    if not rows or not set(columns) <= set(rows[0]):
        raise FileError(f"{table} is not the collection's own: it lacks the columns {', '.join(columns)}; get it anew.")
    return rows


def load_set(
    source: str | os.PathLike,
    home: str | os.PathLike | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    *,
    group_by: str = "auto",
    label: str = "label",
) -> LabelledSet:
    """A labelled set by whatever names it: a collection's name, else a folder or table (`./gtzan` is a folder).

    `home` is where a collection lies (UsageError with a folder or table); `group_by` and `label` are `labelled_folder`'s.
    """
    if str(source).lower() in _SETS:
        return known_set(str(source), home, progress, cancel)
    if home is not None:
        raise UsageError(f"A home goes with the name of a collection ({', '.join(_SETS)}), not with a folder or table.")
    if not Path(os.path.expanduser(source)).exists():
        raise FileError(f"There is no folder or table {source}, and the collections are {', '.join(_SETS)}.")
    return labelled_folder(source, progress, cancel, group_by=group_by, label=label)
