"""`mirguard models train`: what it prints, what it keeps, and what it says when something is wrong."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from labelled_sounds import make_tones

from mirguard.cli import main
from mirguard.cli.terminal import Line, Parser
from mirguard.cli.training import add_train
from mirguard.errors import MirguardError, UsageError
from mirguard.models.catalogue import load_model
from mirguard.models.training.methods import list_methods


@pytest.fixture(autouse=True)
def _denormals_return():
    """The terminal makes its own process flush denormal numbers; the other tests' process is this one."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("data") / "tones"
    make_tones(place, labels=("low", "high"), train=9, test=0)
    return place


@pytest.fixture
def run(own_data) -> Callable[..., int]:
    """Runs `models train` with these arguments, in an empty data folder."""

    def call(*arguments: object) -> int:
        parser = Parser(prog="mirguard models")
        parser.add_argument("--json", action="store_true")
        add_train(parser.add_subparsers(required=True))
        options = parser.parse_args(["train", *map(str, arguments)])
        return options.run(options)

    return call


def test_a_folder_is_trained_on_and_the_figures_are_printed(run, folder, own_data, capsys):
    assert run(folder, "--name", "mine", "--method", "nearest-neighbours", "--neighbours", 3, "--test", 0.4) == 0
    out = capsys.readouterr().out
    assert out.startswith("mine: learned from ")
    assert "held-out clips are right (95 % interval" in out and "held-out windows are right" in out
    assert "(1)  high" in out and "(2)  low" in out
    assert "It has no gradient" in out and str(own_data / "models" / "mine") in out
    assert "each file counts as a track of its own" in out
    assert load_model("mine").labels == ("high", "low")


def test_json_is_one_document_with_everything(run, folder, capsys):
    assert run(folder, "--name", "mine", "--method", "decision-tree", "--depth", 3, "--json", "--seed", 5) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert captured.err == ""
    assert document["name"] == "mine" and document["labels"] == ["high", "low"] and document["seed"] == 5
    assert document["parameters"]["depth"] == 3 and document["method"] == "decision-tree"
    test = document["test"]
    assert test["clips"] == sum(map(sum, test["confusion"])) == sum(e["clips"] for e in document["by_label"].values())
    assert document["differentiable"] is False and document["hash"] == load_model("mine").hash
    assert sum(document["data"]["clips"].values()) == 18


@pytest.mark.parametrize("before", [True, False])
def test_json_may_stand_before_and_after_train(folder, own_data, capsys, before):
    place = ["--json", "train"] if before else ["train", "--json"]
    arguments = [str(folder), "--name", "mine", "--method", "decision-tree", "--no-check"]
    assert main(["models", *place, *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "mine"


def test_a_tables_column_is_learned_and_its_split_and_tracks_are_believed(run, folder, capsys):
    rows = [
        f"{path.relative_to(folder.parent)},x,{number % 2},t-{number},{'train' if number % 3 else 'test'}"
        for number, path in enumerate(sorted(folder.rglob("*.flac")))
    ]
    table = folder.parent / "columns.csv"
    table.write_text("\n".join(["file,label,parity,track,split", *rows]))
    assert run(table, "--name", "c", "--method", "decision-tree", "--label", "parity", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["labels"] == ["0", "1"]
    assert document["data"]["split"] == "given"
    assert not any("Nothing says which clips" in sentence for sentence in document["data"]["warnings"])


def test_a_table_with_its_own_split_is_kept_to(run, folder, capsys):
    rows = [
        f"{path.relative_to(folder.parent)},{path.parent.name},{'test' if int(path.stem.split()[1]) < 4 else 'train'}"
        for path in sorted(folder.rglob("*.flac"))
    ]
    table = folder.parent / "table.csv"
    table.write_text("\n".join(["file,label,split", *rows]))
    assert run(table, "--name", "t", "--method", "logistic-regression", "--strength", 0.1, "--json") == 0
    assert json.loads(capsys.readouterr().out)["data"]["clips"] == {"train": 10, "validation": 0, "test": 8}


def test_recordings_that_come_twice_stay_together(run, folder, tmp_path, capsys):
    import shutil

    twice = tmp_path / "twice"
    shutil.copytree(folder, twice)
    shutil.copy(twice / "low" / "low 0.flac", twice / "low" / "another name.flac")
    arguments = (twice, "--name", "t", "--method", "nearest-neighbours", "--json", "--replace")
    assert run(*arguments) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert data["groups"] == 18 and sum(data["clips"].values()) == 19
    assert any("another name.flac" in sentence for sentence in data["warnings"])
    assert run(*arguments, "--no-check") == 0
    assert json.loads(capsys.readouterr().out)["data"]["groups"] == 19


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--name", "x", "--method", "svn"], "did you mean svm"),
        (["--name", "x", "--method", "svm", "--neighbours", "3"], "no parameter 'neighbours'"),
        (["--name", "x", "--method", "svm", "--strength", "-1"], "--strength"),
        (["--name", "toy-instruments", "--method", "svm", "--no-check"], "comes with MIRGuard"),
        (["--name", "x", "--method", "svm", "--no-check", "--test", "0"], "left to test on"),
        (["--name", "x", "--method", "svm", "--test", "1.5"], "below 1"),
        (["--name", "x", "--method", "svm", "--home", "/nowhere"], "home goes with"),
        ([], "required: --name"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(run, folder, arguments, sentence):
    with pytest.raises(UsageError) as caught:
        run(folder, *arguments)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_a_place_that_is_not_there_is_named(run, tmp_path):
    with pytest.raises(MirguardError, match="nowhere"):
        run(tmp_path / "nowhere", "--name", "x", "--method", "svm")


def test_help_lists_every_method_and_parameter(capsys):
    parser = argparse.ArgumentParser()
    add_train(parser.add_subparsers())
    with pytest.raises(SystemExit):
        parser.parse_args(["train", "--help"])
    out = capsys.readouterr().out
    for method in list_methods():
        assert method.name in out
        assert all(parameter.option in out for parameter in method.parameters)


def test_a_place_that_takes_nothing_is_refused_before_anything_is_heard(run, folder, own_data, monkeypatch):
    own_data.mkdir(exist_ok=True)
    (own_data / "models").write_text("a file where the models' folder should be")
    monkeypatch.setattr("mirguard.models.training.hearing.Ear.__init__", None)
    with pytest.raises(MirguardError, match=r"x cannot be kept in .*models: .*MIRGUARD_DATA"):
        run(folder, "--name", "x", "--method", "decision-tree", "--no-check")


def test_what_cannot_be_used_is_named_and_the_rest_goes_on(run, tmp_path, capsys):
    make_tones(tmp_path / "t", labels=("low", "high"), train=6, test=0)
    (tmp_path / "t" / "low" / "broken.wav").write_bytes(b"RIFF nothing")
    (tmp_path / "t" / "high" / "empty.ogg").write_bytes(b"")
    arguments = (tmp_path / "t", "--method", "nearest-neighbours", "--neighbours", 1)
    assert run(*arguments, "--name", "a") == 0
    out = capsys.readouterr().out
    assert "1 file could not be used: broken.wav" in out
    assert "Left out: high/empty.ogg" in out and "Left out: broken.wav" in out
    assert run(*arguments, "--name", "b", "--json") == 0
    skipped = json.loads(capsys.readouterr().out)["skipped"]
    assert len(skipped) == 2 and "empty.ogg" in skipped[0] and "broken.wav" in skipped[1]


def test_a_line_tells_how_far_it_is(monkeypatch, capsys):
    with Line() as line:
        line("Hearing x.wav (3 of 12)", 0.25)
    assert capsys.readouterr().err == "", "no terminal, no line"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Line() as line:
        line("Hearing x.wav (3 of 12)", 0.25)
    assert capsys.readouterr().err == "\r\033[K 25% Hearing x.wav (3 of 12)\r\033[K"
