"""Labelled folders and tables: what is read, what is left out and why, and what may not be read at all."""

from __future__ import annotations

import codecs
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mirguard.datasets.folder import labelled_folder
from mirguard.datasets.grouping import artist_in
from mirguard.datasets.labelled import Item, LabelledSet, load_item
from mirguard.datasets.sound_table import write_table
from mirguard.errors import Cancelled, FileError, MirguardError, UsageError
from mirguard.sound_files import unlabelled_folder


@pytest.fixture
def sounds(tmp_path):
    """`sounds("rock/a.wav", ...)`: such files below a folder, which is returned."""
    root = tmp_path / "sounds"
    root.mkdir()

    def make(*names: str) -> Path:
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(os.fsencode(path), np.full(4000, 0.1), 8000, format="WAV")
        return root

    return make


@pytest.fixture
def table(sounds):
    """`table(text or bytes, *names)`: a labels.csv beside such files; the table's path."""

    def make(content: str | bytes, *names: str, called: str = "labels.csv") -> Path:
        root = sounds(*names)
        path = root / called
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def read(dataset) -> dict[str, tuple[str, str]]:
    return {item.name: (item.label, item.group) for item in dataset.items}


# -- Sub-folders -------------------------------------------------------------------------------------------------------


def test_a_sub_folder_is_a_class_and_what_lies_deeper_belongs_to_it(sounds):
    root = sounds("rock/a.wav", "rock/live/deep/b.wav", "jazz/c.wav")
    dataset = labelled_folder(root)
    assert (dataset.name, dataset.labels, dataset.grouped_by) == ("sounds", ("jazz", "rock"), "track")
    assert read(dataset) == {
        "c.wav": ("jazz", "jazz/c.wav"),
        "a.wav": ("rock", "rock/a.wav"),
        "b.wav": ("rock", "rock/live/deep/b.wav"),
    }
    assert not dataset.skipped and not dataset.warnings and not dataset.is_split


def test_the_order_does_not_hang_on_the_disk(sounds, monkeypatch):
    root = sounds(*(f"{c}/{n}.wav" for c in "dbca" for n in (3, 1, 2)))
    before = labelled_folder(root)
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: sorted(listed(self), reverse=True))
    assert labelled_folder(root) == before


def test_hidden_files_and_folders_are_left_out(sounds):
    root = sounds("a/x.wav", "b/y.wav", "a/._x.wav", ".git/z.wav", "a/.cache/z.wav", "__MACOSX/z.wav")
    assert set(read(labelled_folder(root))) == {"x.wav", "y.wav"}


def test_other_files_are_left_out_and_what_cannot_be_read_is_named(sounds):
    root = sounds("a/x.wav", "b/y.wav", "a/cover.jpg", "a/song.m4a")
    (root / "b" / "empty.flac").touch()
    dataset = labelled_folder(root)
    assert set(read(dataset)) == {"x.wav", "y.wav"}
    assert any("a/song.m4a is M4A" in word for word in dataset.skipped)
    assert any("b/empty.flac is empty" in word for word in dataset.skipped)
    assert len(dataset.skipped) == 2


def test_an_empty_class_is_no_class_but_a_warning(sounds):
    root = sounds("a/x.wav", "b/y.wav")
    (root / "c").mkdir()
    dataset = labelled_folder(root)
    assert dataset.labels == ("a", "b")
    assert dataset.warnings == ("The sub-folder c holds no sound that can be read, so it is not a class.",)


def test_sounds_beside_the_classes_are_named(sounds):
    assert any("loose.wav" in word for word in labelled_folder(sounds("a/x.wav", "b/y.wav", "loose.wav")).warnings)


def test_one_class_is_worth_a_word(sounds):
    assert labelled_folder(sounds("a/x.wav")).warnings == ("There is only one class (a); a classifier needs two.",)


@pytest.mark.parametrize(
    ("names", "words"), [(("x.wav",), "sounds but no classes"), ((), "no sounds"), (("a/x.txt",), "holds a sound")]
)
def test_a_folder_without_classes_says_what_to_do(sounds, names, words):
    with pytest.raises(FileError, match=words):
        labelled_folder(sounds(*names))


def test_no_folder(tmp_path):
    for path in (tmp_path / "none", tmp_path / "nul\0l"):
        with pytest.raises(FileError):
            labelled_folder(path)


def test_links_are_followed_but_not_in_circles(sounds, tmp_path):
    root = sounds("a/x.wav", "b/y.wav")
    far = tmp_path / "far"
    far.mkdir()
    soundfile.write(far / "z.wav", np.zeros(800) + 0.1, 8000)
    (root / "c").symlink_to(far)
    (root / "a" / "again").symlink_to(root / "a")
    assert read(labelled_folder(root)) == {
        "x.wav": ("a", "a/x.wav"),
        "y.wav": ("b", "b/y.wav"),
        "z.wav": ("c", "c/z.wav"),
    }


def test_a_folder_that_may_not_be_read(sounds, monkeypatch):
    root = sounds("a/x.wav", "b/y.wav")
    listed = Path.iterdir

    def refusing(self):
        if self.name == "b":
            raise PermissionError(13, "Permission denied", str(self))
        return listed(self)

    monkeypatch.setattr(Path, "iterdir", refusing)
    dataset = labelled_folder(root)
    assert dataset.labels == ("a",) and dataset.skipped == ("The folder b cannot be read: Permission denied.",)
    with pytest.raises(FileError, match=r"b cannot be read: Permission denied\."):
        labelled_folder(root / "b")


def test_names_in_an_old_encoding(sounds):
    root = sounds("a/x.wav")
    strange = os.fsdecode(b"caf\xe9")
    try:
        sounds(f"{strange}/{strange}.wav")
    except OSError:
        pytest.skip("this disk takes no such names")
    dataset = labelled_folder(root)
    assert dataset.labels == ("a", "caf\ufffd")
    assert load_item(dataset.items[1]).frames == 4000


# -- What stays together -----------------------------------------------------------------------------------------------


def groups(dataset) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for item in dataset.items:
        found.setdefault(item.group, set()).add(item.name)
    return found


def test_by_artist_over_all_classes(sounds):
    root = sounds("rock/Nina - One.wav", "jazz/01 - Nina - Two.wav", "jazz/Bessie - One.wav", "jazz/alone.wav")
    dataset = labelled_folder(root, group_by="artist")
    assert groups(dataset) == {
        "Nina": {"Nina - One.wav", "01 - Nina - Two.wav"},
        "Bessie": {"Bessie - One.wav"},
        "jazz/alone.wav": {"alone.wav"},
    }
    assert dataset.grouped_by == "artist"
    assert any("1 file (alone.wav)" in word for word in dataset.warnings)


def test_artists_are_known_without_being_the_groups(sounds):
    dataset = labelled_folder(sounds("rock/Nina - One.wav", "jazz/Nina - Two.wav", "jazz/03 - Title.wav"))
    assert dataset.grouped_by == "track" and len(groups(dataset)) == 3
    assert [item.artist for item in dataset.items] == ["", "Nina", "Nina"]


def test_by_excerpt_within_one_folder(sounds):
    root = sounds("a/song_1.wav", "a/song_2.wav", "a/tune-part10.wav", "a/tune (11).wav", "a/plain.wav", "b/song_3.wav")
    assert groups(labelled_folder(root, group_by="excerpt")) == {
        "a/song": {"song_1.wav", "song_2.wav"},
        "a/tune": {"tune-part10.wav", "tune (11).wav"},
        "a/plain.wav": {"plain.wav"},
        "b/song": {"song_3.wav"},
    }


def test_by_sub_folder_over_all_classes(sounds):
    root = sounds("rock/Nina/a.wav", "rock/Nina/b.wav", "jazz/Nina/c.wav", "jazz/d.wav")
    assert groups(labelled_folder(root, group_by="folder")) == {
        "Nina": {"a.wav", "b.wav", "c.wav"},
        "jazz/d.wav": {"d.wav"},
    }


def test_by_a_rule_of_ones_own(sounds):
    root = sounds("a/x-s1-t1.wav", "a/y-s1-t2.wav", "b/z-s2-t1.wav", "b/none.wav")
    dataset = labelled_folder(root, group_by=r"-s(\d+)-")
    assert groups(dataset) == {"1": {"x-s1-t1.wav", "y-s1-t2.wav"}, "2": {"z-s2-t1.wav"}, "b/none.wav": {"none.wav"}}
    assert dataset.grouped_by == "given"


@pytest.mark.parametrize("rule", ["artists", "(", r"(a)(b)"])
def test_a_rule_that_makes_no_sense_is_refused(sounds, rule):
    with pytest.raises(UsageError, match="none of auto, file, folder, artist, excerpt"):
        labelled_folder(sounds("a/x.wav"), group_by=rule)


def test_names_that_look_like_pieces_get_a_word(sounds):
    pieces = sounds(*(f"{c}/{song}_{n}.wav" for c in "ab" for song in ("one", "two", "three") for n in (1, 2, 3)))
    assert any("group by 'excerpt'" in word for word in labelled_folder(pieces).warnings)
    assert not labelled_folder(pieces, group_by="excerpt").warnings
    assert not labelled_folder(pieces, group_by="file").warnings


def test_numbered_collections_get_no_such_word(sounds):
    assert not labelled_folder(sounds(*(f"{c}/{c}.{n:05}.wav" for c in ("blues", "rock") for n in range(9)))).warnings


@pytest.mark.parametrize(
    ("stem", "artist"), [("A - B", "A"), ("01 - A - B", "A"), ("01. - B", None), ("A-B", None), (" - B", None)]
)
def test_artist_in(stem, artist):
    assert artist_in(stem) == artist


# -- Tables ------------------------------------------------------------------------------------------------------------


def test_a_table_gives_labels_groups_splits_and_parts(table):
    text = (
        "file,label,artist,split,start,seconds,tempo\n"
        "x/a.wav,rock,Nina,train,,,120\n"
        "x/b.wav,jazz,Bessie,Testing,0.1,0.25,90\n"
        "x/b.wav,jazz,Bessie,test,0.35,,90\n"
        '"x/c, d.wav",jazz,,valid,,,\n'
    )
    path = table(text, "x/a.wav", "x/b.wav", "x/c, d.wav")
    dataset = labelled_folder(path)
    assert dataset == labelled_folder(path.parent)
    assert dataset.labels == ("jazz", "rock") and dataset.grouped_by == "artist" and dataset.name == "sounds"
    root = path.parent
    assert dataset.items == (
        Item(root / "x/a.wav", "rock", "Nina", "train", None, None, "Nina"),
        Item(root / "x/b.wav", "jazz", "Bessie", "test", 0.1, 0.25, "Bessie"),
        Item(root / "x/b.wav", "jazz", "Bessie", "test", 0.35, None, "Bessie"),
        Item(root / "x/c, d.wav", "jazz", "x/c, d.wav", "validation"),
    )
    assert [load_item(item).frames for item in dataset.items] == [4000, 2000, 1200, 4000]


def test_the_coarsest_group_counts_and_the_artist_is_kept(table):
    path = table("file,label,track,group,artist\na.wav,x,t,g,Nina\n", "a.wav")
    dataset = labelled_folder(path)
    assert (dataset.items[0].group, dataset.items[0].artist, dataset.grouped_by) == ("g", "Nina", "given")


def test_another_column_may_give_the_labels(table):
    path = table("file,label,style\na.wav,guitar,rock\nb.wav,piano,\n", "a.wav", "b.wav")
    dataset = labelled_folder(path, label="Style")
    assert read(dataset) == {"a.wav": ("rock", "a.wav")}
    assert dataset.skipped == ("labels.csv, line 3: no label is given.",)
    with pytest.raises(FileError, match="among them file and 'mood'"):
        labelled_folder(path, label="mood")


def test_groups_may_be_made_from_names_in_a_table_too(table):
    path = table("file,label,track\nq/a_1.wav,x,1\nq/a_2.wav,y,2\n", "q/a_1.wav", "q/a_2.wav")
    assert {item.group for item in labelled_folder(path, group_by="excerpt").items} == {"q/a"}


ROWS = "file;label;start\né.wav;Rockë;0,25\n"


@pytest.mark.parametrize(
    ("content", "warned"),
    [
        (ROWS.encode(), False),
        (codecs.BOM_UTF8 + ROWS.encode(), False),
        (codecs.BOM_UTF16_LE + ROWS.encode("utf-16-le"), False),
        (ROWS.encode("cp1252"), True),
        (ROWS.replace("\n", "\r\n").encode(), False),
        (ROWS.replace("0,25", "0.25").replace(";", "\t").encode(), False),
        (ROWS.replace("0,25", "0.25").replace(";", "|").encode(), False),
        (("\n\n" + ROWS.replace("0,25", "0.25").replace(";", " , ").upper()).replace("É.WAV", "é.wav").encode(), False),
    ],
)
def test_tables_of_many_programs(table, content, warned):
    dataset = labelled_folder(table(content, "é.wav"))
    assert [(item.name, item.label.lower(), item.start) for item in dataset.items] == [("é.wav", "rockë", 0.25)]
    assert any("cp1252" in word for word in dataset.warnings) == warned


def test_names_from_other_systems_are_found(table):
    path = table("file,label\nsub\\a.wav,x\ncafe\u0301.wav,cafe\u0301\n", "sub/a.wav", "caf\u00e9.wav")
    dataset = labelled_folder(path)
    assert [item.path for item in dataset.items] == [path.parent / "sub/a.wav", path.parent / "caf\u00e9.wav"]
    assert dataset.labels == ("caf\u00e9", "x")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("none.wav,x", "labels.csv, line 3: there is no file none.wav."),
        (".,x", "labels.csv, line 3: there is no file .."),
        ("../a.wav,x", "labels.csv, line 3: ../a.wav lies outside"),
        ("..\\a.wav,x", "labels.csv, line 3: ..\\a.wav lies outside"),
        ("sub/../../b.wav,x", "labels.csv, line 3: sub/../../b.wav lies outside"),
        ("/dev/zero,x", "labels.csv, line 3: /dev/zero lies outside"),
        ("C:\\a.wav,x", "labels.csv, line 3: C:\\a.wav lies outside"),
        ("\\\\server\\share\\a.wav,x", "lies outside"),
        ("notes.txt,x", "labels.csv, line 3: notes.txt is no sound file."),
        ("void.wav,x", "labels.csv, line 3: void.wav is empty (0 bytes)."),
        ("a.wav,", "labels.csv, line 3: no label is given."),
        (",x", "labels.csv, line 3: no file is given."),
        ("a.wav", "labels.csv, line 3: no label is given."),
        ("a.wav,x,,,,,", "labels.csv, line 3: 7 cells under 5 headings"),
        ("a.wav,x,,-1,", "labels.csv, line 3: start is a number of seconds, not '-1'."),
        ("a.wav,x,,nan,", "start is a number"),
        ("a.wav,x,,,0", "seconds is a number"),
        ("a.wav,x,,,1e99", "seconds is a number"),
        ("good.wav,other", "labels.csv, line 3: good.wav is labelled other here and x in line 2; the first counts."),
    ],
)
def test_a_row_that_cannot_be_used_is_named_and_the_rest_goes_on(table, row, sentence):
    path = table(f"file,label,split,start,seconds\ngood.wav,x\n{row}\nlast.wav,y\n", "good.wav", "last.wav", "a.wav")
    (path.parent / "void.wav").touch()
    (path.parent / "notes.txt").write_text("hello")
    soundfile.write(path.parent.parent / "a.wav", np.zeros(800), 8000)
    dataset = labelled_folder(path)
    assert [item.name for item in dataset.items] == ["good.wav", "last.wav"]
    assert len(dataset.skipped) == 1 and sentence in dataset.skipped[0]


def test_a_card_beside_the_table_gives_the_licence(table):
    path = table("file,label\na.wav,x\n", "a.wav")
    for card, licence in (('{"licence": "CC0-1.0"}', "CC0-1.0"), ("[1", ""), ("[1]", ""), ('{"licence": 7}', "")):
        (path.parent / "dataset.json").write_text(card)
        assert labelled_folder(path).licence == licence


def test_a_row_given_twice_counts_once(table):
    dataset = labelled_folder(table("file,label\na.wav,x\na.wav,x\nb.wav,y\n", "a.wav", "b.wav"))
    assert len(dataset.items) == 2
    assert dataset.warnings == ("labels.csv names 1 sound more than once (line 3); each counts once.",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"name,genre\na.wav,x\n", "needs a first line that names its columns, among them file and label"),
        (b"file,label\n", "no rows below its header"),
        (b"file,label\nnone.wav,x\n", "line 2: there is no file none.wav"),
        (b"file,label,split\na.wav,x,fold3\n", "line 2: the split 'fold3' is none of train, validation, test"),
        (b'file,label\n"a.wav,x\n', "line 2"),
        (b"file,label\n" + b"x" * 200_000 + b",y\n", "line 2"),
        (b"RIFF\0\0\0\0WAVE", "binary data"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8\x00", "UTF-16 is damaged"),
    ],
)
def test_a_table_that_cannot_be_used_says_where(table, content, words):
    with pytest.raises(FileError, match=words):
        labelled_folder(table(content, "a.wav"))


def test_lines_are_counted_as_an_editor_counts_them(table):
    path = table('file,label,note\n\na.wav,x,"two\nlines"\nnone.wav,x,\n', "a.wav")
    assert labelled_folder(path).skipped == ("labels.csv, line 5: there is no file none.wav.",)


def test_a_table_about_something_else_does_not_hide_the_classes(table):
    path = table("uuid,subset\n1,2\n", "a/x.wav", "b/y.wav", called="metadata.csv")
    assert labelled_folder(path.parent).labels == ("a", "b")
    with pytest.raises(FileError, match="names its columns"):
        labelled_folder(path)


def test_a_table_under_another_name(table):
    path = table("path,class\na.wav,x\nb.wav,y\n", "a.wav", "b.wav", called="my own.csv")
    assert (labelled_folder(path).name, labelled_folder(path).labels) == ("my own", ("x", "y"))


def test_any_table_gives_a_set_or_a_sentence(table):
    """Noise in the place of a table: never a traceback."""
    rng = np.random.default_rng(0)
    good = b"file,label,split,start,seconds\na.wav,x,train,0,1\nb.wav,y,test,,\n"
    path = table(good, "a.wav", "b.wav")
    outcomes = set()
    for _ in range(200):
        content = bytearray(good)
        for place in rng.integers(0, len(content), 3):
            content[place] = rng.choice([0, 10, 13, 34, 44, 46, 47, 59, 92, 200, 255, rng.integers(256)])
        path.write_bytes(content[: rng.integers(1, len(content) + 1)])
        try:
            outcomes.add(type(labelled_folder(path)))
        except MirguardError as error:
            outcomes.add(type(error))
    assert {LabelledSet, FileError} <= outcomes


def test_a_set_that_is_written_is_read_back(table, tmp_path):
    text = 'file,label,group,artist,split,start,seconds\nx/a.wav,rock,g,Nina,train,0.125,0.25\n"x/b, c.wav",jäzz,h,,test,,\n'
    before = labelled_folder(table(text, "x/a.wav", "x/b, c.wav"))
    path = write_table(before, tmp_path / "sounds" / "again.csv")
    after = labelled_folder(path)
    assert after.items == before.items and after.grouped_by == "given"
    assert path.read_text(encoding="utf-8") == text
    with pytest.raises(UsageError, match="above all its sounds"):
        write_table(before, tmp_path / "other" / "again.csv")
    with pytest.raises(FileError, match="cannot be written"):
        write_table(before, tmp_path / "sounds" / ("n" * 300))
    with pytest.raises(FileError, match="x cannot be written"):
        write_table(before, tmp_path / "sounds" / "x")
    assert {path.name for path in (tmp_path / "sounds").iterdir()} == {"x", "labels.csv", "again.csv"}


# -- Parts of files, jobs, and folders without labels ------------------------------------------------------------------


def test_a_part_beyond_the_end_says_so(sounds):
    path = sounds("a.wav") / "a.wav"
    assert load_item(Item(path, "x", "g", start=0.4, seconds=9.0)).frames == 800
    with pytest.raises(FileError, match=r"0\.5 s long"):
        load_item(Item(path, "x", "g", start=0.5))


def test_progress_is_told_and_a_job_can_be_stopped(sounds):
    root = sounds("a/x.wav", "b/y.wav")
    told = []
    labelled_folder(root, lambda sentence, fraction: told.append((sentence, fraction)))
    assert told == [("Looking through a", 0.0), ("Looking through b", 0.5)]
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        labelled_folder(root, cancel=stop)


def test_sounds_without_labels(sounds, tmp_path):
    root = sounds("b.wav", "a/c.flac", "a/.hidden.wav", "notes.txt")
    assert unlabelled_folder(root) == (root / "a/c.flac", root / "b.wav")
    assert unlabelled_folder(root / "b.wav") == (root / "b.wav",)
    with pytest.raises(FileError, match="no folder"):
        unlabelled_folder(tmp_path / "none")
