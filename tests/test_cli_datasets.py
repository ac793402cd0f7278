"""`mirguard datasets` as a person at a terminal meets it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mirguard.cli import main
from mirguard.datasets import mirdata_jobs
from mirguard.datasets.labelled import Item, LabelledSet
from mirguard.datasets.mirdata_jobs import Validated


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two classes of ten sounds of noise, each its own."""
    rng = np.random.default_rng(0)
    root = tmp_path / "mine"
    for n in range(20):
        path = root / ("rock", "jazz")[n % 2] / f"{n:02}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal(2 * 8000), 8000)
    return root


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    status = main(["datasets", *map(str, arguments)])
    return status, *capsys.readouterr()


def document(capsys, *arguments: object) -> dict:
    status, out, err = run(capsys, *arguments, "--json")
    assert (status, err) == (0, "")
    return json.loads(out)


# -- list and show -----------------------------------------------------------------------------------------------------


def test_list_names_all_and_how_to_get_them(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    (tmp_path / "mir_datasets" / "tinysol").mkdir(parents=True)
    status, out, err = run(capsys, "list")
    assert (status, err) == (0, "")
    for words in ("make toy DIR", "443 / 197 / 290", "datasets download irmas", f"In {tmp_path}/mir_datasets/tinysol"):
        assert words in out
    found = {entry["name"]: entry for entry in document(capsys, "list")["datasets"]}
    assert found["tinysol"]["there"] and not found["gtzan"]["there"]
    assert all(entry["licence"] and entry["citation"] for entry in found.values())


def test_show_counts_what_is_there_and_names_what_is_left_out(capsys, folder):
    (folder / "rock" / "empty.wav").touch()
    (folder / "blues").mkdir()
    status, out, err = run(capsys, "show", folder)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "mine: 20 sounds in 2 classes, 20 tracks"
    assert "unassigned" in out and "Left out: rock/empty.wav is empty" in out and "Note: The sub-folder blues" in out
    found = document(capsys, "show", folder)
    assert found["labels"] == ["jazz", "rock"] and len(found["items"]) == 20
    assert found["counts"]["rock"] == {"unassigned": 10, "train": 0, "validation": 0, "test": 0}
    assert found["items"][0] == {
        "file": str(folder / "jazz" / "01.wav"), "label": "jazz", "group": "jazz/01.wav", "split": None, "start": None,
        "seconds": None, "artist": None,
    }  # fmt: skip


def test_show_takes_a_table_its_columns_and_a_grouping(capsys, folder):
    rows = "".join(
        f"{'rock' if n % 2 == 0 else 'jazz'}/{n:02}.wav,x,{'slow' if n < 5 else 'fast'}\n" for n in range(20)
    )
    (folder / "labels.csv").write_text("file,label,tempo\n" + rows)
    found = document(capsys, "show", folder / "labels.csv", "--label", "tempo", "--group-by", r"^(\d)")
    assert found["labels"] == ["fast", "slow"] and (found["groups"], found["grouped_by"]) == (2, "given")
    status, _, err = run(capsys, "show", folder, "--group-by", "(")
    assert status == 2 and "makes no sense" in err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["show", "nowhere"], 1, "There is no folder or table nowhere, and the collections are gtzan"),
        (["show"], 2, "required: SOURCE"),
        ([], 2, "required: ACTION"),
        (["dance"], 2, "invalid choice"),
        (["download", "fma"], 2, "There is no collection 'fma'"),
        (["make", "gold", "x"], 2, "invalid choice"),
        (["make", "toy", "x", "--workers", "-1"], 2, "--workers"),
        (["make", "toy", "x", "--clips", "3"], 2, "10 to 1,000,000"),
    ],
)
def test_errors_are_one_line(capsys, tmp_path, monkeypatch, arguments, status, words):
    monkeypatch.chdir(tmp_path)
    got, out, err = run(capsys, *arguments)
    assert (got, out) == (status, "") and err.count("\n") == 1 and words in err


def test_a_collection_that_is_not_there(capsys, tmp_path):
    status, out, err = run(capsys, "show", "gtzan", "--home", tmp_path)
    assert (status, out) == (1, "") and str(tmp_path) in err and "datasets download gtzan" in err


# -- check -------------------------------------------------------------------------------------------------------------


def test_check_of_a_clean_folder(capsys, folder):
    status, out, err = run(capsys, "check", folder, "--strict")
    assert (status, err) == (0, "")
    assert "split by track with seed 0" in out and "No recording comes twice among 20 clips" in out
    found = document(capsys, "check", folder, "--test", "0.3", "--validation", "0", "--seed", "4")
    assert not found["leaks"] and found["split"] == "by track"
    assert found["counts"]["rock"] == {"unassigned": 0, "train": 7, "validation": 0, "test": 3}


def test_check_finds_copies_that_straddle(capsys, folder):
    """A given split with a training clip in the test part, under another label: status 0, or 1 where that is asked for."""
    shutil.copy(folder / "rock" / "00.wav", folder / "jazz" / "copy.wav")
    rows = "".join(f"{path.relative_to(folder)},{path.parent.name},train\n" for path in folder.rglob("[0-9]*.wav"))
    (folder / "labels.csv").write_text(f"file,label,split\n{rows}jazz/copy.wav,jazz,test\n")
    status, out, _ = run(capsys, "check", folder)
    assert status == 0 and "split as given" in out
    assert "the same recording in different parts" in out and "the same recording with different labels" in out
    found = document(capsys, "check", folder)
    assert found["leaks"] and found["split"] == "given"
    (pair,) = found["duplicates"]
    assert pair["exact"] and pair["straddles"] and pair["relabelled"]
    assert {pair["first"]["split"], pair["second"]["split"]} == {"train", "test"}
    assert run(capsys, "check", folder, "--strict")[0] == 1


def test_check_writes_a_table_that_keeps_copies_together(capsys, folder):
    for n in range(0, 20, 4):
        shutil.copy(folder / "rock" / f"{n:02}.wav", folder / "rock" / f"copy {n:02}.wav")
    _, out, _ = run(capsys, "check", folder, "--test", 0.4)
    assert "the same recording in different parts" in out and "With --table FILE.csv" in out
    found = document(capsys, "check", folder, "--test", 0.4, "--table", folder / "kept.csv")
    assert found["leaks"] and found["table"] == str(folder / "kept.csv")
    found = document(capsys, "check", folder / "kept.csv")
    assert not found["leaks"] and found["split"] == "given" and len(found["duplicates"]) == 5
    assert {split: sum(of[split] for of in found["counts"].values()) for split in ("train", "test")} == {
        "train": 13,
        "test": 10,
    }


def test_a_given_split_that_leaks_can_be_made_anew(capsys, folder):
    shutil.copy(folder / "rock" / "00.wav", folder / "rock" / "copy.wav")
    rows = "".join(f"rock/{n:02}.wav,rock,train\njazz/{n + 1:02}.wav,jazz,train\n" for n in range(0, 20, 2))
    (folder / "labels.csv").write_text(f"file,label,split\n{rows}rock/copy.wav,rock,test\n")
    _, out, _ = run(capsys, "check", folder)
    assert "With --resplit and --table FILE.csv" in out
    found = document(capsys, "check", folder, "--resplit", "--table", folder / "anew.csv")
    assert found["split"] == "by track"
    found = document(capsys, "check", folder / "anew.csv")
    assert not found["leaks"] and found["counts"]["jazz"]["test"] == 2
    status, _, err = run(capsys, "check", folder, "--table", folder / "rock" / "inside.csv")
    assert status == 2 and "above all its sounds" in err


# -- make --------------------------------------------------------------------------------------------------------------


def test_make_toy_and_look_at_it(capsys, tmp_path):
    made = document(
        capsys, "make", "toy", tmp_path / "toy", "--clips", 20, "--seed", 5, "--workers", 1, "--format", "wav"
    )
    assert made["seed"] == 5 and sum(made["clips"].values()) == 20 and len(made["checksum"]) == 64
    found = document(capsys, "show", tmp_path / "toy")
    assert len(found["items"]) == 20 and len(found["labels"]) == 10 and all(item["split"] for item in found["items"])
    status, out, err = run(capsys, "make", "toy", tmp_path / "toy", "--clips", 20)
    assert (status, out) == (2, "") and "not empty" in err


# -- download and validate ---------------------------------------------------------------------------------------------


def test_download_shows_the_licence_first_and_says_where_it_is(capsys, tmp_path, monkeypatch):
    asked = []

    def download(name, home, progress):
        asked.append((name, home))
        progress("Downloading TinySOL.tar.gz", 0.5)
        return LabelledSet(name, "/there", ("Flute",), (Item(Path("a.wav"), "Flute", "a"),), warnings=("A word.",))

    monkeypatch.setattr(mirdata_jobs, "download", download)
    status, out, err = run(capsys, "download", "TinySOL", "--home", tmp_path)
    assert (status, err) == (0, "") and asked == [("tinysol", str(tmp_path))]
    assert out.splitlines() == [
        "TinySOL: 2,913 single notes of 14 instruments. CC BY 4.0.",
        "1 sound in /there",
        "Note: A word.",
    ]
    assert document(capsys, "download", "tinysol")["source"] == "/there"


@pytest.mark.parametrize("complete", [True, False])
def test_validate_tells_by_its_status(capsys, monkeypatch, complete):
    found = Validated(3, () if complete else ("/x/a.wav",), (), "What was found.")
    monkeypatch.setattr(mirdata_jobs, "validate", lambda name, home, progress: found)
    status, out, err = run(capsys, "validate", "gtzan")
    assert status == (0 if complete else 1)
    assert (out if complete else err).strip().endswith("What was found.")
    status, out, _ = run(capsys, "validate", "gtzan", "--json")
    assert json.loads(out)["complete"] == complete and status == (0 if complete else 1)
