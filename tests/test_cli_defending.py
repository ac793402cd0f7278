"""`mirguard defend`: what it prints, what it keeps, and what it says when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hardening import LABELS, parent
from labelled_sounds import make_tones

from mirguard.cli import main
from mirguard.defences import toy_set
from mirguard.defences.catalogue import list_defences
from mirguard.defences.toy_set import toy_clips, toy_folder
from mirguard.errors import Cancelled, UsageError
from mirguard.models.catalogue import find_model, load_model

__all__ = ["parent"]  # a fixture


@pytest.fixture(autouse=True)
def _denormals_return():
    """The terminal makes its own process flush denormal numbers; the other tests' process is this one."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("data") / "tones"
    make_tones(place, labels=LABELS, train=9, test=0)
    return place


@pytest.fixture
def model(parent, tmp_path) -> str:
    """The path to the tiny network's model.toml."""
    from hardening import kept

    kept(tmp_path, "tiny", parent.network)
    return str(tmp_path / "tiny" / "model.toml")


def test_a_model_is_hardened_and_the_figures_are_printed(model, folder, own_data, capsys):
    line = ["defend", "adversarial-training", "--model", model, "--data", str(folder), "--name", "hard", "--no-check"]
    assert main([*line, "--epochs", "2", "--batch", "8", "--method", "pgd", "--steps", "2", "--test", "0.4"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("hard: learned from ") and "held-out clips are right" in out
    info = find_model("hard")
    assert info.card["defence"]["parent"] == "tiny" and info.card["parameters"]["method"] == "pgd"
    assert load_model("hard").labels == LABELS
    assert main([*line, "--epochs", "1", "--json"]) == 2
    assert "There is a model called hard already" in capsys.readouterr().err
    assert main([*line, "--epochs", "1", "--batch", "8", "--replace", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["name"] == "hard" and document["parameters"]["epochs"] == 1
    assert document["defence"]["name"] == "adversarial-training"
    assert main(["models", "show", "hard"]) == 0
    assert "by adversarial-training" in capsys.readouterr().out


def test_what_was_stopped_goes_on_with_resume(model, folder, own_data, capsys, monkeypatch):
    from mirguard.defences import defend as room

    keep = room.keep

    def stopped(*arguments):
        raise KeyboardInterrupt

    line = ["defend", "distillation", "--model", model, "--data", str(folder), "--name", "soft", "--no-check"]
    line += ["--epochs", "2", "--batch", "8", "--json"]
    monkeypatch.setattr(room, "keep", stopped)
    assert main(line) == 1
    assert "--resume goes on from the last whole epoch" in capsys.readouterr().err
    monkeypatch.setattr(room, "keep", keep)
    assert main([*line, "--resume", "--seed", "1"]) == 2
    assert "was begun with another" in capsys.readouterr().err
    assert main([*line, "--resume"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "soft"


def test_the_list_says_what_each_defence_is(capsys):
    assert main(["defend", "list"]) == 0
    out = capsys.readouterr().out
    assert main(["defend", "list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in document["defences"]] == [defence.name for defence in list_defences()]
    for defence in list_defences():
        assert defence.name in out and defence.help in out and defence.knowledge in out
    (outlier,) = (entry for entry in document["defences"] if entry["name"] == "outlier-class")
    assert outlier["layer"] == "outlier" and not outlier["tags"] and outlier["parameters"]["snr"]["default"] == 30.0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["armour"], "There is no defence 'armour'"),
        (["distillation", "--data", "toy", "--name", "n"], "needs --model"),
        (["distillation", "--model", "toy-svm", "--data", "toy", "--name", "n"], "toy-svm cannot be hardened"),
        (["distillation", "--model", "toy-instruments", "--data", "toy:9", "--name", "n"], "from 100 to 100,000"),
        (["distillation", "--model", "m", "--data", "d", "--name", "n", "--temperature", "0"], "from 1 to 1000"),
        (["distillation", "--model", "m", "--data", "d", "--name", "n", "--snr", "3"], "no parameter 'snr'"),
        (["pca-projection", "--model", "toy-instruments", "--data", "./nowhere", "--name", "n"], "no folder or table"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(arguments, sentence, own_data, capsys):
    assert main(["defend", *arguments]) in (1, 2)
    told = capsys.readouterr()
    assert sentence in told.err and told.err.count("\n") == 1 and not told.out


# -- The toy sounds ----------------------------------------------------------------------------------------------------


def test_toy_clips_are_asked_for_by_number():
    assert (toy_clips("toy"), toy_clips("toy:250"), toy_clips("./toy"), toy_clips("gtzan")) == (1000, 250, None, None)
    for wrong in ("toy:", "toy:x", "toy:-100", "toy:99"):
        with pytest.raises(UsageError, match="toy:N"):
            toy_clips(wrong)


def test_the_toy_folder_is_made_once_and_whole(own_data, monkeypatch):
    made = []

    def make(folder, clips, *, workers, progress, cancel):
        made.append(clips)
        folder.mkdir(parents=True)
        (folder / "labels.csv").write_text("file,label\n")
        if clips == 200:
            raise Cancelled

    monkeypatch.setattr(toy_set, "make_toy", make)
    place = toy_folder(100)
    assert toy_folder(100) == place and made == [100]
    with pytest.raises(Cancelled):
        toy_folder(200)
    assert [entry.name for entry in (own_data / "datasets").iterdir()] == [place.name]
