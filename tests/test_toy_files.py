"""The toy dataset as files: labels that agree with the sounds, the same files from the same seed, nothing left of what failed."""

from __future__ import annotations

import csv
import hashlib
import json
import threading

import numpy as np
import pytest

from mirguard.clip import load_clip
from mirguard.datasets import toy_files
from mirguard.datasets.synthesis import LABELS, VERSION, compose
from mirguard.datasets.toy_files import TURNS, make_toy
from mirguard.errors import Cancelled, FileError, UsageError

SMALL = {"rate": 8_000, "seconds": 0.5, "workers": 1}


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_toy(tmp_path_factory.mktemp("toy") / "set", 100, 4, **SMALL)


def test_every_clip_is_there_with_its_labels(made):
    listed = rows(made.folder / "labels.csv")
    assert len(listed) == 100 and made.clips == {"train": 70, "validation": 10, "test": 20}
    assert {row["label"] for row in listed} == set(LABELS)
    for split in made.clips:
        inside = [row["label"] for row in listed if row["split"] == split]
        assert {inside.count(label) for label in LABELS} == {len(inside) // len(LABELS)}
    for row in listed[::13]:
        clip = load_clip(made.folder / row["file"])
        assert (clip.sample_rate, clip.frames, clip.channels) == (8_000, 4_000, 1)
        assert row["split"] in row["file"] and row["label"].replace(" ", "-") in row["file"]


def test_files_hold_what_their_labels_say(made):
    row = rows(made.folder / "labels.csv")[37]
    again = compose(row["label"], 4 * 1_000_003 + 37, 8_000, 0.5, split=row["split"])
    assert np.abs(load_clip(made.folder / row["file"]).samples[0] - again.samples).max() <= 1 / 32_768
    assert (row["style"], row["key"], row["scale"]) == (again.style, again.key, again.scale)
    assert float(row["tempo"]) == pytest.approx(again.bpm, abs=0.01)
    notes = [note for note in rows(made.folder / "notes.csv") if note["file"] == row["file"]]
    assert [float(note["pitch"]) for note in notes] == [note.pitch for note in again.notes if note.start < 0.5]


def test_the_checksums_are_those_of_all_files(made):
    listed = dict(line.split("  ")[::-1] for line in (made.folder / "checksums.sha256").read_text().splitlines())
    files = {path.relative_to(made.folder).as_posix() for path in made.folder.rglob("*") if path.is_file()}
    assert set(listed) == files - {"checksums.sha256"}
    for name, digest in listed.items():
        assert hashlib.sha256((made.folder / name).read_bytes()).hexdigest() == digest


def test_one_seed_gives_identical_files_with_any_number_of_processes(made, tmp_path):
    again = make_toy(tmp_path / "again", 100, 4, **{**SMALL, "workers": 2})
    assert again.checksum == made.checksum
    for path in made.folder.rglob("*"):
        if path.is_file():
            assert (again.folder / path.relative_to(made.folder)).read_bytes() == path.read_bytes()
    other = make_toy(tmp_path / "other", 20, 5, **SMALL)
    first = rows(made.folder / "labels.csv")[0]["file"]
    assert (other.folder / first).read_bytes() != (made.folder / first).read_bytes()


# Of ten clips of half a second at 8 kHz, seed 0: the labels exactly, the sounds as the level (dB) of four bands.
PINNED_LABELS = "5473d4a9ff27fc48"
PINNED_LEVELS = (
    (48.98500061035156, 44.202999114990234, 37.52399826049805, 33.689998626708984),
    (42.93000030517578, 40.119998931884766, 39.625999450683594, 36.95600128173828),
    (37.314998626708984, 32.64799880981445, 21.86199951171875, 17.499000549316406),
    (43.84400177001953, 47.617000579833984, 28.160999298095703, 29.604000091552734),
    (38.606998443603516, 38.57600021362305, 28.054000854492188, 18.711000442504883),
    (40.016998291015625, 25.881000518798828, 13.404999732971191, 6.302999973297119),
    (60.76599884033203, 22.51099967956543, 25.615999221801758, 23.604000091552734),
    (50.48400115966797, 36.073001861572266, 22.795000076293945, -4.285999774932861),
    (49.10499954223633, 46.222999572753906, 43.86899948120117, 47.71200180053711),
    (55.35900115966797, 34.542999267578125, 22.937999725341797, 5.900000095367432),
)


def _levels(samples: np.ndarray) -> list[float]:
    power = np.abs(np.fft.rfft(samples)) ** 2
    return [round(10 * np.log10(band.sum()), 3) for band in np.array_split(power, 4)]


def test_version_and_seed_pin_the_dataset(tmp_path):
    """A change of the synthesis needs a new VERSION and new figures here. Levels and not bits of the sounds, since processors
    round sines differently."""
    made = make_toy(tmp_path / "pinned", 10, 0, **SMALL)
    assert VERSION == 2
    assert hashlib.sha256((made.folder / "labels.csv").read_bytes()).hexdigest()[:16] == PINNED_LABELS
    levels = [_levels(load_clip(made.folder / row["file"]).samples[0]) for row in rows(made.folder / "labels.csv")]
    np.testing.assert_allclose(levels, PINNED_LEVELS, atol=0.02)


def test_the_card_says_what_it_is_and_is_not_good_for(made):
    card = (made.folder / "README.md").read_text(encoding="utf-8")
    for word in ("CC0", "not good for", "seed 4", "70 to train on", *LABELS):
        assert word in card
    about = json.loads((made.folder / "dataset.json").read_text())
    assert (about["version"], about["seed"], about["licence"]) == (VERSION, 4, "CC0-1.0")


def test_turns_give_every_split_its_share():
    assert (TURNS.count("train"), TURNS.count("validation"), TURNS.count("test")) == (7, 1, 2)


def test_a_small_set_has_all_splits(tmp_path):
    made = make_toy(tmp_path / "set", 40, 0, **{**SMALL, "seconds": 0.1})
    assert made.clips == {"train": 20, "test": 10, "validation": 10}
    assert "10 to validate" in (made.folder / "README.md").read_text(encoding="utf-8")


def test_what_is_cancelled_leaves_nothing(tmp_path):
    cancel = threading.Event()
    with pytest.raises(Cancelled):
        make_toy(tmp_path / "set", 40, 0, **SMALL, progress=lambda done, of: cancel.set(), cancel=cancel)
    assert not (tmp_path / "set").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(Cancelled):
        make_toy(tmp_path / "empty", 40, 0, **SMALL, cancel=cancel)
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(toy_files, "_make", full)
    with pytest.raises(FileError, match="No space left on device"):
        make_toy(tmp_path / "set", 10, 0, **SMALL)
    assert not (tmp_path / "set").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty; name a new folder"):
        make_toy(tmp_path, 10, 0, **SMALL)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"clips": 9}, "10 to 1,000,000 clips"),
        ({"seed": -1}, "seed is 0 or more"),
        ({"format": "mp3"}, "flac or wav"),
        ({"rate": 4_000}, "8 to 192 kHz"),
    ],
)
def test_figures_out_of_range_are_refused(tmp_path, arguments, says):
    with pytest.raises(UsageError, match=says):
        make_toy(tmp_path / "set", **{"clips": 10, **SMALL, **arguments})
    assert not (tmp_path / "set").exists()
