"""Published collections, read by their layouts from tiny trees of the same names; mirdata's part on stand-ins of its servers."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mirguard.datasets import gtzan, mirdata_jobs, mirdata_worker
from mirguard.datasets.labelled import load_item
from mirguard.datasets.mirdata_jobs import download, validate
from mirguard.datasets.mirdata_sets import find_known, known_set, list_known, load_set
from mirguard.datasets.splits import split, straddling_groups
from mirguard.errors import Cancelled, FileError, MirguardError, UsageError

NAMES = ("gtzan", "irmas", "medley-solos-db", "tinysol")


def sound(path: Path, format: str = "WAV") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(4000, 0.1), 8000, format=format)
    return path


# -- GTZAN -------------------------------------------------------------------------------------------------------------


def test_the_fault_filtered_split_has_the_published_sizes():
    parts = gtzan.fault_filtered()
    assert Counter(parts.values()) == {"train": 443, "validation": 197, "test": 290}
    assert len(parts) == 930  # the parts are disjoint: a number in two of them would be one key
    assert len(gtzan.GENRES) == 10 and {genre for genre, _ in parts} == set(gtzan.GENRES)
    assert {number for _, number in parts} <= set(range(100))
    written = sum(len(gtzan._written_out(ranges)) for found in gtzan._NUMBERS.values() for ranges in found)
    assert written == len(parts)


def test_some_excerpts_of_the_published_lists():
    """Single entries from either end of the three lists, read off the lists themselves."""
    parts = gtzan.fault_filtered()
    for genre, number, part in [
        ("blues", 29, "train"), ("blues", 0, "validation"), ("blues", 12, "test"), ("blues", 99, "test"),
        ("classical", 49, "test"), ("country", 27, "validation"), ("disco", 5, "train"), ("disco", 1, "test"),
        ("hiphop", 81, "validation"), ("jazz", 54, "train"), ("metal", 58, None), ("pop", 10, "validation"),
        ("reggae", 3, None), ("reggae", 69, "train"), ("rock", 99, "train"), ("rock", 90, "test"), ("rock", 38, "validation"),
    ]:  # fmt: skip
        assert parts.get((genre, number)) == part


GTZAN = ("blues.00029", "blues.00000", "blues.00012", "rock.00099", "rock.00038", "rock.00010", "metal.00058")


@pytest.mark.parametrize("below", ["", "genres", "gtzan_genre/genres", "genres_original", "Data/genres_original"])
@pytest.mark.parametrize("suffix", ["wav", "au"])
def test_gtzan_with_its_split_wherever_it_lies(tmp_path, below, suffix):
    for name in GTZAN:
        sound(tmp_path / below / name.partition(".")[0] / f"{name}.{suffix}", "AU" if suffix == "au" else "WAV")
    sound(tmp_path / below / "blues" / "something else.wav")
    found = known_set("GTZAN", tmp_path)
    assert {item.path.stem: (item.label, item.split) for item in found.items} == {
        "blues.00029": ("blues", "train"),
        "blues.00000": ("blues", "validation"),
        "blues.00012": ("blues", "test"),
        "rock.00099": ("rock", "train"),
        "rock.00038": ("rock", "validation"),
        "rock.00010": ("rock", "test"),
    }
    assert found.skipped == ("1 excerpts are left out by the fault-filtered split: repeated, distorted or misnamed.",)
    assert "924 of 930 excerpts are not there." in found.warnings
    assert any("no sounds of classical, country" in word for word in found.warnings)
    assert (found.name, found.labels, found.grouped_by) == ("gtzan", ("blues", "rock"), "given")
    assert "Tzanetakis" in found.citation and found.licence
    assert load_item(found.items[0]).frames == 4000


def test_gtzan_without_its_split_is_whole_and_warns(tmp_path):
    for name in GTZAN:
        sound(tmp_path / "genres" / name.partition(".")[0] / f"{name}.wav")
    found = known_set("gtzan", tmp_path, published_split=False)
    assert len(found.items) == 7 and {item.split for item in found.items} == {""}
    assert found.grouped_by == "track" and not found.skipped
    assert any("one artist may be in training and test" in word for word in found.warnings)


# -- IRMAS -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def irmas(tmp_path) -> Path:
    training = tmp_path / "IRMAS-TrainingData"
    for name in (
        "cel/[cel][cla]0001__1", "cel/[cel][cla]0001__2", "cel/008__[cel][nod][cla]0058__1",
        "gac/[gac][cou_fol]0001__1", "voi/[voi][dru][pop_roc]2500__3",
    ):  # fmt: skip
        sound(training / f"{name}.wav")
    for part, name, labels in (
        (1, "02 - And The Body Will Die-8", "gel\t\nvoi\t\n"),
        (1, "(02) alone-1", "pia\t\n"),
        (1, "(02) alone-2", "pia\t\n"),
        (3, "duo-4", "sax\n"),
        (3, "lost-1", None),
    ):
        path = sound(tmp_path / f"IRMAS-TestingData-Part{part}" / f"Part{part}" / f"{name}.wav")
        if labels is not None:
            path.with_suffix(".txt").write_text(labels)
    return tmp_path


def test_irmas_trains_on_its_training_excerpts_and_tests_on_those_with_one_label(irmas):
    found = known_set("irmas", irmas)
    assert [(item.label, item.group, item.split) for item in found.items] == [
        ("cello", "cel/008__[cel][nod][cla]0058", ""),
        ("cello", "cel/[cel][cla]0001", ""),
        ("cello", "cel/[cel][cla]0001", ""),
        ("acoustic guitar", "gac/[gac][cou_fol]0001", ""),
        ("voice", "voi/[voi][dru][pop_roc]2500", ""),
        ("piano", "test/(02) alone", "test"),
        ("piano", "test/(02) alone", "test"),
        ("saxophone", "test/duo", "test"),
    ]
    assert found.skipped == (
        "1 testing excerpts have more than one predominant instrument and cannot have one label.",
        "1 testing excerpts have no readable annotation beside them.",
    )
    assert found.labels == ("cello", "acoustic guitar", "piano", "saxophone", "voice")
    done = split(found)
    assert done.is_split and len(done.of("test")) == 3 and not straddling_groups(done)


def test_irmas_without_its_testing_part(irmas):
    found = known_set("irmas", irmas, published_split=False)
    assert len(found.items) == 5 and not found.skipped
    (irmas / "IRMAS-TestingData-Part1").rename(irmas / "elsewhere")
    (irmas / "IRMAS-TestingData-Part3").rename(irmas / "elsewhere too")
    assert any("the test part has to come out of the training" in word for word in known_set("irmas", irmas).warnings)


# -- Medley-solos-DB ---------------------------------------------------------------------------------------------------


@pytest.fixture
def medley(tmp_path) -> Path:
    rows = [
        ("training", "clarinet", 0, 7, "aa"),
        ("training", "clarinet", 0, 7, "bb"),
        ("validation", "flute", 3, 210, "cc"),
    ]
    rows += [("test", "violin", 7, 99, "dd"), ("test", "violin", 7, 99, "ee")]
    for subset, _, number, _, uuid in rows[:-1]:
        sound(tmp_path / "audio" / f"Medley-solos-DB_{subset}-{number}_{uuid}-52c2-fef4.wav")
    text = "".join(f"{s},{i},{n},{song},{uuid}-52c2-fef4\n" for s, i, n, song, uuid in rows)
    (tmp_path / "annotation").mkdir()
    (tmp_path / "annotation" / "Medley-solos-DB_metadata.csv").write_text(
        "subset,instrument,instrument_id,song_id,uuid4\n" + text
    )
    return tmp_path


def test_medley_solos_keeps_its_subsets_and_songs(medley):
    found = known_set("medley-solos-db", medley)
    assert [(item.label, item.group, item.split) for item in found.items] == [
        ("clarinet", "song 7", "train"),
        ("clarinet", "song 7", "train"),
        ("flute", "song 210", "validation"),
        ("violin", "song 99", "test"),
    ]
    assert "1 of 5 clips are not there." in found.warnings
    assert {item.split for item in known_set("medley-solos-db", medley, published_split=False).items} == {""}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("subset,uuid4\ntest,aa\n", "lacks the columns"),
        ("", "lacks the columns"),
        (
            "subset,instrument,instrument_id,song_id,uuid4\ntest,harp,12,1,aa-52c2-fef4\n",
            "no known subset and instrument",
        ),
        (
            "subset,instrument,instrument_id,song_id,uuid4\ntest,harp,x,1,aa-52c2-fef4\n",
            "no known subset and instrument",
        ),
    ],
)
def test_a_damaged_table_is_named(medley, text, words):
    (medley / "annotation" / "Medley-solos-DB_metadata.csv").write_text(text)
    with pytest.raises(FileError, match=f"Medley-solos-DB_metadata.csv.*{words}"):
        known_set("medley-solos-db", medley)


# -- TinySOL -----------------------------------------------------------------------------------------------------------

TINYSOL = (
    "Path,Fold,Family,Instrument (abbr.),Instrument (in full),Technique (abbr.),Technique (in full),Pitch,Pitch ID,Dynamics,"
    "Dynamics ID,Instance ID,String ID (if applicable),Needed digital retuning\n"
)


@pytest.fixture
def tinysol(tmp_path) -> Path:
    text = TINYSOL
    for fold in range(5):
        for family, name, short in (("Winds", "Flute", "Fl"), ("Strings", "Violin", "Vn")):
            path = f"{family}/{name}/ordinario/{short}-ord-C{fold}-mf-N-N.wav"
            sound(tmp_path / "audio" / path)
            text += f"{path},{fold},{family},{short},{name},ord,ordinario,C{fold},60,mf,2,0,,FALSE\n"
    text += "Winds/Oboe/ordinario/Ob-ord-C4-mf-N-N.wav,0,Winds,Ob,Oboe,ord,ordinario,C4,60,mf,2,0,,TRUE\n"
    (tmp_path / "annotation").mkdir()
    (tmp_path / "annotation" / "TinySOL_metadata.csv").write_text(text)
    return tmp_path


@pytest.mark.parametrize(("fold", "next_one"), [(0, 1), (4, 0)])
def test_tinysol_tests_on_a_fold_and_validates_on_the_next(tinysol, fold, next_one):
    found = known_set("tinysol", tinysol, fold=fold)
    parts = {(item.label, int(item.name.split("-")[2][1])): item.split for item in found.items}
    assert len(parts) == 10 and found.labels == ("Flute", "Violin")
    for (_, of), part in parts.items():
        assert part == {fold: "test", next_one: "validation"}.get(of, "train")
    assert any(f"fold {fold} of 5" in word for word in found.warnings)
    assert any("not instruments at large" in word for word in found.warnings)
    assert "1 of 11 notes are not there." in found.warnings


def test_tinysol_without_its_folds_keeps_a_pitch_together(tinysol):
    found = known_set("tinysol", tinysol, published_split=False)
    assert found.grouped_by == "track" and "Flute C3" in found.groups()
    with pytest.raises(UsageError, match="folds are 0 to 4"):
        known_set("tinysol", tinysol, fold=5)


# -- All of them -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_where_nothing_is_a_sentence_says_where_and_how(tmp_path, name, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for home in (None, tmp_path):
        with pytest.raises(FileError) as caught:
            known_set(name, home)
        text = str(caught.value)
        assert str(tmp_path) in text and f"'mirguard datasets download {name}'" in text and "\n" not in text
        assert ("does not exist" in text) == (home is None)


def test_the_collections_say_what_they_are():
    assert tuple(known.name for known in list_known()) == NAMES
    for known in list_known():
        assert all((known.title, known.note, known.licence, known.citation, known.how, known.archives))
        assert known.home.parent.name == "mir_datasets"
    with pytest.raises(UsageError, match="there are gtzan, irmas, medley-solos-db, tinysol"):
        find_known("fma")


def test_a_set_is_loaded_by_whatever_names_it(tmp_path, tinysol, monkeypatch):
    assert load_set("TinySOL", tinysol).name == "tinysol"
    monkeypatch.chdir(tmp_path)
    sound(tmp_path / "gtzan" / "mine" / "x.wav")
    assert load_set("./gtzan").labels == ("mine",)
    with pytest.raises(FileError, match="no folder or table"):
        load_set("nowhere")


def test_reading_can_be_stopped(tinysol):
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        known_set("tinysol", tinysol, cancel=stop)


# -- Downloading and validating ----------------------------------------------------------------------------------------

needs_mirdata = pytest.mark.skipif(importlib.util.find_spec("mirdata") is None, reason="mirdata is not installed")

# Put into a process's path as sitecustomize.py: mirdata's GTZAN as a small one on a "server" of files.
STAND_IN = """
import importlib.abc, importlib.machinery, json, sys

class AfterImport(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "mirdata.datasets.gtzan_genre":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            stand_in = json.loads({settings!r})
            from mirdata import core, download_utils
            index = module.INDEXES["1.0"]
            index.indexes_dir = index.remote.destination_dir = stand_in["indexes"]
            index.remote.url, index.remote.checksum = stand_in["index"]
            index.partial_download = ["all"]
            module.REMOTES["all"].url, module.REMOTES["all"].checksum = stand_in["audio"]

        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, AfterImport())
"""


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A stand-in for the servers of GTZAN and of mirdata's index: `server(damaged=...)` sets it up, mirdata stays the real one."""
    files = tmp_path / "server"
    files.mkdir()
    memory = io.BytesIO()
    tracks = {}
    with tarfile.open(fileobj=memory, mode="w:gz") as archive:
        for name in GTZAN:
            wav = io.BytesIO()
            soundfile.write(wav, np.random.default_rng(len(tracks)).standard_normal(800) * 0.1, 8000, format="WAV")
            inside = f"genres/{name.partition('.')[0]}/{name}.wav"
            entry = tarfile.TarInfo(inside)
            entry.size = wav.tell()
            archive.addfile(entry, io.BytesIO(wav.getvalue()))
            checksum = hashlib.md5(wav.getvalue()).hexdigest()
            tracks[name] = {"audio": [f"gtzan_genre/{inside}", checksum], "beats": [None, None], "tempo": [None, None]}
    index = json.dumps({"version": "1.0", "tracks": tracks}).encode()

    def set_up(damaged: bool = False, gone: bool = False) -> Path:
        if not gone:
            (files / "genres.tar.gz").write_bytes(memory.getvalue()[:-5] if damaged else memory.getvalue())
        (files / "index.json").write_bytes(index)
        settings = {
            "indexes": str(tmp_path / "indexes"),
            "index": [(files / "index.json").as_uri(), hashlib.md5(index).hexdigest()],
            "audio": [(files / "genres.tar.gz").as_uri(), hashlib.md5(memory.getvalue()).hexdigest()],
        }
        site = tmp_path / "site"
        site.mkdir(exist_ok=True)
        (site / "sitecustomize.py").write_text(STAND_IN.replace("{settings!r}", repr(json.dumps(settings))))
        monkeypatch.setenv("PYTHONPATH", str(site))
        return tmp_path / "home"

    return set_up


@needs_mirdata
def test_a_collection_is_downloaded_unpacked_read_and_validated(server):
    home = server()
    told = []
    found = download("gtzan", home, lambda sentence, fraction: told.append(sentence))
    assert len(found.items) == 6 and found.source == str(home.resolve())
    assert {"Loading mirdata", "Downloading genres.tar.gz", "Unpacking genres.tar.gz"} <= set(told)
    assert not list(home.rglob("*.tar.gz"))
    checked = validate("gtzan", home)
    assert checked.complete and checked.files == 7
    assert checked.sentence == f"GTZAN in {home} is complete: 7 files are as published."

    sound(home / "gtzan_genre" / "genres" / "rock" / "rock.00010.wav")
    (home / "gtzan_genre" / "genres" / "rock" / "rock.00038.wav").unlink()
    checked = validate("gtzan", home)
    assert not checked.complete
    assert checked.sentence == (
        f"Of GTZAN's 7 files in {home} 1 are missing (rock.00038.wav) and 1 are not as published (rock.00010.wav)."
    )


@needs_mirdata
def test_half_an_archive_of_an_earlier_start_is_fetched_anew(server):
    home = server()
    (home / "gtzan_genre").mkdir(parents=True)
    (home / "gtzan_genre" / "genres.tar.gz").write_bytes(b"half")
    assert len(download("gtzan", home).items) == 6


@needs_mirdata
@pytest.mark.parametrize(
    ("how", "why"), [({"damaged": True}, "its checksum differs"), ({"gone": True}, "no connection")]
)
def test_a_download_that_fails_says_why_and_leaves_no_archive(server, how, why):
    home = server(**how)
    with pytest.raises(MirguardError, match=f"GTZAN could not be downloaded: .*{why}.*put a copy") as caught:
        download("gtzan", home)
    assert "\n" not in str(caught.value)
    assert not [path for path in home.rglob("*") if path.is_file()]


@needs_mirdata
def test_mirdata_has_what_the_worker_takes_hold_of():
    """The names that mirdata_worker replaces and the four loaders, in the mirdata that is installed."""
    code = """
import json, os, mirdata, mirdata.validate
from mirdata import download_utils
assert all(callable(getattr(download_utils, n)) for n in ("DownloadProgressBar", "download_from_remote", "untar", "unzip"))
assert callable(mirdata.validate.tqdm.tqdm)
archives = {}
for name in ("gtzan_genre", "irmas", "medley_solos_db", "tinysol"):
    dataset = mirdata.initialize(name, data_home="home")
    keys = dataset._index_data.partial_download or list(dataset.remotes)
    remotes = [dataset.remotes[key] for key in keys]
    archives[name] = [os.path.join(r.destination_dir or "", r.filename) for r in remotes if r.filename.endswith((".gz", ".zip"))]
print(json.dumps(archives))
"""
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    archives = json.loads(result.stdout)
    for known in list_known():
        assert set(known.archives) <= set(archives[known.mirdata_name])


def test_without_mirdata_a_sentence_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        MirguardError, match=r"IRMAS cannot be downloaded without mirdata: pip install 'mirguard\[data\]'"
    ):
        download("irmas", tmp_path)


def test_nothing_is_validated_where_nothing_is(tmp_path):
    with pytest.raises(FileError, match=r"TinySOL was looked for in .*none, which does not exist"):
        validate("tinysol", tmp_path / "none")


def test_a_home_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="cannot be made"):
        download("tinysol", tmp_path / "file" / "home")


WORKER = """
import json, sys, time
from pathlib import Path
home = Path(sys.argv[3])
print("a word from somebody else")
print(json.dumps({"text": "Downloading half", "done": 0.5}), flush=True)
(home / "half.tar.gz").write_bytes(b"half")
(home / "whole.zip").write_bytes(b"whole")
print(json.dumps({"fetching": str(home / "whole.zip")}), flush=True)
print(json.dumps({"fetched": str(home / "whole.zip")}), flush=True)
print(json.dumps({"fetching": str(home / "half.tar.gz")}), flush=True)
print(json.dumps({"text": "Going on", "done": None}), flush=True)
ENDING
"""


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """`worker(ending)`: a worker of our own in the place of mirdata's, with an end of our choice."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    run = subprocess.Popen

    def set_up(ending: str) -> Path:
        script = tmp_path / "worker.py"
        script.write_text(WORKER.replace("ENDING", ending))

        def popen(command, **how):
            assert command[:5] == [sys.executable, "-W", "ignore", "-m", "mirguard.datasets.mirdata_worker"]
            return run([sys.executable, str(script), *command[5:]], **how)

        monkeypatch.setattr(mirdata_jobs.subprocess, "Popen", popen)
        return tmp_path / "home"

    return set_up


def test_a_download_can_be_stopped_and_leaves_no_half_archive(worker):
    home = worker("time.sleep(60)")
    stop, told = threading.Event(), []

    def progress(sentence, fraction):
        told.append((sentence, fraction))
        if sentence == "Going on":
            stop.set()

    with pytest.raises(Cancelled):
        download("tinysol", home, progress, stop)
    assert told == [("Downloading half", 0.5), ("Going on", None)]
    assert [path.name for path in home.iterdir()] == ["whole.zip"]


def test_a_failed_download_leaves_no_empty_folders_and_touches_none_of_anybody_s(tmp_path, monkeypatch):
    def fail(_action, _known, place, *_more):
        (place / "audio").mkdir(exist_ok=True)
        raise MirguardError("no connection")

    monkeypatch.setattr(mirdata_jobs, "_run", fail)
    (tmp_path / "theirs" / "empty").mkdir(parents=True)
    for home in (tmp_path / "new", tmp_path / "theirs"):
        with pytest.raises(MirguardError, match="no connection"):
            download("tinysol", home)
    assert not (tmp_path / "new").exists() and (tmp_path / "theirs" / "empty").is_dir()


def test_a_worker_that_dies_is_an_error_and_no_waiting(worker):
    with pytest.raises(MirguardError, match="ended without a word"):
        download("tinysol", worker("raise SystemExit(3)"))


def test_what_the_worker_says_of_a_failure_reaches_the_person(worker):
    home = worker('print(json.dumps({"error": "the disk is full"}), flush=True)')
    with pytest.raises(MirguardError, match="TinySOL could not be downloaded: the disk is full; try again later"):
        download("tinysol", home)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "the disk is full"),
        (PermissionError(13, "Permission denied", "/x/index.json"), "/x/index.json may not be written"),
        (TimeoutError(), "broke off"),
        (OSError("x has an MD5 checksum (1) differing from expected (2), file may be corrupted."), "checksum differs"),
        (ModuleNotFoundError("No module named 'librosa'"), "installation is incomplete"),
        (ValueError("two\nlines."), "mirdata says 'two lines'"),
        (KeyError(), "mirdata says 'KeyError'"),
    ],
)
def test_reasons(error, words):
    assert words in mirdata_worker.reason(error)


def test_the_environment_is_left_as_it_is():
    """Neither reading a collection nor listing them loads mirdata, which sets up logging for the whole process."""
    code = "import sys, mirguard.datasets.mirdata_jobs as j; j.find_known('gtzan'); print('mirdata' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert result.stdout.strip() == "False", result.stderr
