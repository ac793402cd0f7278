"""The terminal: what each command prints, what it says when something is wrong, and what it leaves behind."""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from mirguard import __version__, cli
from mirguard.attacks.catalogue import list_attacks
from mirguard.clip import Clip, load_clip, save_clip
from mirguard.detectors.kept import names_fitted_for
from mirguard.errors import MirguardError
from mirguard.models import catalogue
from mirguard.resources import demo_clip, resource

TOY = "toy-instruments"
MODEL = ["--model", TOY]
CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _denormals_return() -> Iterator[None]:
    """The terminal makes its own process flush denormal numbers; the other tests' process is this one."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="module")
def demo() -> Path:
    return demo_clip()


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`say("classify", file)`: exit status, standard output and standard error of that command."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


def document(text: str) -> dict:
    """The one JSON document that `text` is, by the strict rules."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    assert text.isascii()
    found = json.loads(text, parse_constant=refuse)
    assert isinstance(found, dict)
    return found


def assert_refused(result: tuple[int, str, str], status: int, *words: str) -> None:
    """The exit status, nothing on standard output, one sentence on standard error that holds the words."""
    found, out, err = result
    assert err.startswith("mirguard: ")
    assert err.endswith((".\n", "?\n"))
    assert err.count("\n") == 1
    assert "Traceback" not in err
    for word in words:
        assert word in err
    assert out == ""
    assert found == status


# -- classify ----------------------------------------------------------------------------------------------------------


def test_classify_prints_the_best_labels(say, demo):
    status, out, err = say("classify", demo, *MODEL, "--top", 3)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == str(demo)
    assert len(lines) == 4
    shares = [float(line.split("%")[0]) for line in lines[1:]]
    assert shares == sorted(shares, reverse=True)


def test_classify_as_json(say, demo):
    status, out, err = say("classify", demo, demo, *MODEL, "--json")
    assert (status, err) == (0, "")
    found = document(out)
    model, clip = catalogue.load_model(TOY), load_clip(demo)
    assert (found["model"], found["model_hash"]) == (TOY, model.hash)
    first, second = found["files"]
    assert first == second
    assert first["file"] == str(demo)
    assert first["clip_hash"] == clip.hash
    assert first["seconds"] == pytest.approx(clip.duration)
    assert first["label"] == first["top"][0]["label"]
    assert first["confidence"] == first["top"][0]["confidence"]
    assert first["label"] in model.labels
    assert len(first["top"]) == 5


def test_a_tenth_of_a_second_is_enough(say, tmp_path):
    short = save_clip(Clip(0.3 * np.sin(np.arange(1600) / 5), 16000), tmp_path / "short.wav")
    status, out, _ = say("classify", short, *MODEL, "--json")
    assert status == 0
    assert document(out)["files"][0]["windows"] == 1


def test_the_files_that_can_be_done_are_done(say, demo, tmp_path):
    """The others are named, each in a line, and the worst status is left."""
    (tmp_path / "empty.wav").touch()
    status, out, err = say("classify", tmp_path / "empty.wav", demo, tmp_path / "none.wav", *MODEL, "--json")
    assert status == 1
    assert [found["file"] for found in document(out)["files"]] == [str(demo)]
    assert err.splitlines() == [
        "mirguard: empty.wav is empty (0 bytes).",
        f"mirguard: There is no file {tmp_path / 'none.wav'}.",
    ]


def test_without_a_model_named_the_default_is_used_and_its_failure_told(say, demo, monkeypatch):
    real = catalogue.load_model

    def without_network(name, progress=None):
        if name == TOY:
            return real(TOY)
        for share in (0.0, 0.5, 1.0):
            progress("Downloading", share)
        raise MirguardError("There is no network.")

    monkeypatch.setattr(catalogue, "default_model", lambda: "musicnn-mtt")
    monkeypatch.setattr(catalogue, "load_model", without_network)
    status, out, err = say("classify", demo, "--json")
    assert status == 0
    assert document(out)["model"] == TOY
    assert err.splitlines() == [
        "mirguard: Downloading ...",
        f"mirguard: There is no network. Going on with {TOY}.",
    ]
    # Who asked for a model gets that one or none.
    status, out, err = say("classify", demo, "--model", "musicnn-mtt", "--json")
    assert (status, out) == (1, "")
    assert err.splitlines()[-1] == "mirguard: There is no network."


# -- attack ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def attacked(demo, tmp_path_factory) -> tuple[dict, Path]:
    """The document of an attack that succeeds, and where it exported to."""
    path = tmp_path_factory.mktemp("attacked") / "adversarial.wav"
    command = ["attack", demo, *MODEL, "--snr", 30, "--steps", 20, "--seed", 7, "-o", path, "--json"]
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        assert cli.main([str(word) for word in command]) == 0
    return document(out.getvalue()), path


PROMISED = {"file", "model", "attack", "parameters", "seed", "clean", "adversarial", "success", "windows_flipped"}
PROMISED |= {"exported", "snr_db", "l2", "linf", "gradients", "seconds"}


def test_attack_tells_all_that_scripts_rely_on(attacked, demo):
    found, path = attacked
    assert set(found) >= PROMISED
    for decision in (found["clean"], found["adversarial"], found["exported"]):
        assert decision["label"] in catalogue.load_model(TOY).labels
        assert 0.0 < decision["confidence"] <= 1.0
    assert (found["file"], found["model"], found["attack"], found["seed"]) == (str(demo), TOY, "pgd", 7)
    assert found["parameters"]["steps"] == 20
    assert found["exported"]["path"] == str(path)
    assert found["success"] is found["exported"]["success"] is True
    assert found["clean"]["label"] != found["exported"]["label"]
    assert 1 <= found["windows_flipped"] <= found["windows"]
    assert 1 <= found["gradients"] <= 20
    assert found["seconds"] > 0


def test_the_exported_file_is_what_the_document_says(attacked, say, demo):
    """Heard again by a command of its own, and measured by another."""
    found, path = attacked
    heard = document(say("classify", path, *MODEL, "--json")[1])["files"][0]
    assert heard["label"] == found["exported"]["label"]
    assert heard["confidence"] == pytest.approx(found["exported"]["confidence"], abs=1e-5)
    figures = document(say("compare", demo, path, "--json")[1])
    assert figures["snr_db"] == pytest.approx(found["snr_db"], abs=1e-4)
    assert figures["snr_db"] >= 30.0
    assert figures["l2"] == pytest.approx(found["l2"], rel=1e-5)
    assert figures["linf"] == pytest.approx(found["linf"], rel=1e-5)
    assert soundfile.info(path).subtype == found["exported"]["subtype"] == "PCM_16"


def test_what_made_the_file_is_in_it(attacked):
    found, path = attacked
    made_by = load_clip(path).provenance["made_by"]
    assert made_by["version"] == __version__
    assert made_by["input_hash"] == found["clip_hash"]
    for key in ("attack", "model", "model_hash", "parameters", "seed", "threads"):
        assert made_by[key] == found[key]


def test_the_same_command_gives_the_same_file(attacked, say, demo, tmp_path):
    _, path = attacked
    again = tmp_path / "again.wav"
    say("attack", demo, *MODEL, "--snr", 30, "--steps", 20, "--seed", 7, "-o", again)
    assert again.read_bytes() == path.read_bytes()


def test_attack_for_people(say, demo, tmp_path):
    path = tmp_path / "out.flac"
    status, out, err = say("attack", demo, *MODEL, "--attack", "noise", "--snr", 40, "--subtype", "PCM_24", "-o", path)
    assert (status, err) == (0, "")
    first, second, *rest = out.splitlines()
    assert first.startswith(("Fooled: ", "Not fooled: "))
    assert first.endswith("in the exported file")
    assert "SNR 40.0 dB" in second
    assert rest[-1].strip() == str(path)
    assert soundfile.info(path).subtype == "PCM_24"


def test_an_attack_that_fails_is_no_error(say, demo, tmp_path):
    path = tmp_path / "out.wav"
    status, out, _ = say("attack", demo, *MODEL, "--attack", "noise", "--snr", 60, "-o", path, "--json")
    assert status == 0
    found = document(out)
    assert (found["success"], found["status"]) == (False, "failed")
    assert path.exists()


def test_a_target_is_reached_and_told(say, demo, tmp_path):
    path = tmp_path / "out.wav"
    status, out, _ = say("attack", demo, *MODEL, "--target", "organ", "--snr", 15, "-o", path, "--json")
    assert status == 0
    found = document(out)
    assert (found["target"], found["exported"]["label"], found["success"]) == ("organ", "organ", True)
    assert found["snr_db"] >= 15.0


def test_a_tenth_of_a_second_can_be_attacked(say, tmp_path):
    short = save_clip(Clip(0.3 * np.sin(np.arange(1600) / 5), 16000), tmp_path / "short.wav")
    status, out, _ = say("attack", short, *MODEL, "--snr", 20, "--steps", 5, "-o", tmp_path / "out.wav", "--json")
    assert status == 0
    assert document(out)["windows"] == 1
    assert load_clip(tmp_path / "out.wav").frames == 1600


def test_silence_can_be_attacked_by_amplitude(say, tmp_path):
    silent = save_clip(Clip(np.zeros(16000), 16000), tmp_path / "silent.wav")
    status, out, _ = say("attack", silent, *MODEL, "--epsilon", 0.01, "--steps", 3, "-o", tmp_path / "o.wav", "--json")
    assert status == 0
    assert document(out)["snr_db"] is None


def test_the_options_of_what_is_attacked_are_in_the_document(say, demo, tmp_path):
    """A surrogate, a channel, a band, a time and noise as a baseline, all at once."""
    path = tmp_path / "out.wav"
    status, out, _ = say(
        *("attack", demo, *MODEL, "--snr", 20, "--steps", 3, "-o", path, "--json", "--baseline", 3),
        *("--surrogate", "toy-crnn", "toy-magnitude-cnn", "--channel", "gain:low=-2,high=2", "--draws", 2),
        *("--band", "300-3000", "--time", "1-2.5"),
    )
    assert status == 0
    found = document(out)
    assert found["knowledge"] == "zero knowledge"
    assert found["surrogates"] == ["toy-crnn", "toy-magnitude-cnn"]
    assert found["channel"] == [{"effect": "gain", "low": -2.0, "high": 2.0}]
    assert (found["draws"], found["restriction"]) == (2, {"time": [1.0, 2.5], "band": [300.0, 3000.0]})
    assert found["noise_baseline"]["draws"] == 3
    difference = load_clip(path).samples - load_clip(demo).samples
    rate = load_clip(path).sample_rate
    assert np.abs(difference[:, : rate - 1]).max() == np.abs(difference[:, round(2.5 * rate) :]).max() == 0.0
    assert np.abs(difference).max() > 0
    assert load_clip(path).provenance["made_by"]["surrogates"] == found["surrogates"]


def test_a_result_that_does_not_carry_over_says_so(say, demo, tmp_path):
    status, out, _ = say(
        "attack", demo, *MODEL, "--snr", 45, "--surrogate", "toy-magnitude-mlp", "-o", tmp_path / "o.wav", "--json"
    )
    assert status == 0
    found = document(out)
    assert (found["success"], found["warnings"]) == (
        False,
        [f"The perturbation fools toy-magnitude-mlp but does not carry over to {TOY}."],
    )


def test_the_attacks_are_listed(say):
    out = say("attacks")[1]
    listed = document(say("attacks", "--json")[1])["attacks"]
    assert [entry["name"] for entry in listed] == [attack.name for attack in list_attacks()]
    for attack, entry in zip(list_attacks(), listed, strict=True):
        assert f"{attack.name} " in out
        assert attack.knowledge in out
        assert [parameter["name"] for parameter in entry["parameters"]] == [p.name for p in attack.parameters]


@pytest.mark.parametrize("attack", list_attacks(), ids=lambda attack: attack.name)
def test_every_declared_parameter_is_an_option(say, demo, tmp_path, attack):
    """Every default, given as an option, comes back in the document."""
    options: list[object] = []
    for parameter in attack.parameters:
        few = {"steps": 2, "epsilon": 0.001, "step_size": 0.0005, "queries": 40, "rounds": 1, "epochs": 1}
        value = few.get(parameter.name, parameter.default)
        if parameter.name in few:
            value = max(value, parameter.minimum)
        if value is None and parameter.optional:
            continue
        options += [parameter.option, {True: "yes", False: "no"}.get(value, value) if parameter.kind is bool else value]
    status, out, err = say(
        "attack", demo, *MODEL, "--attack", attack.name, *options, "-o", tmp_path / "o.wav", "--json"
    )
    assert (status, err) == (0, "")
    given = dict(zip(options[::2], options[1::2], strict=True))
    found = document(out)["parameters"]
    for parameter in attack.parameters:
        assert found[parameter.name] == parameter.check(given.get(parameter.option))


# -- detect ------------------------------------------------------------------------------------------------------------


def test_detect_for_people(say, demo):
    status, out, err = say("detect", demo, *MODEL)
    assert (status, err) == (0, "")
    first, *rest = out.splitlines()
    assert first == str(demo)
    fitted = list(names_fitted_for(catalogue.load_model(TOY)))
    assert "kde" in fitted
    together = ["Together"] if len(fitted) > 1 else []
    assert [line.split(":")[0].strip() for line in rest] == [*fitted, *together]
    assert any("flagged; score" in line.lower() for line in rest)


def test_detect_as_json(say, demo, attacked):
    _, adversarial = attacked
    status, out, err = say("detect", demo, adversarial, *MODEL, "--detector", "kde", "--fpr", 0.1, "--json")
    assert (status, err) == (0, "")
    found = document(out)
    assert found["reference"]["clips"] >= 100
    assert [entry["file"] for entry in found["files"]] == [str(demo), str(adversarial)]
    clean, moved = (entry["detectors"]["kde"] for entry in found["files"])
    for reading in (clean, moved):
        assert set(reading) >= {"score", "threshold", "percentile", "flagged", "set_level", "fpr"}
        assert reading["fpr"] == 0.1
        assert reading["flagged"] is (reading["score"] > reading["threshold"])
        assert 0.0 <= reading["percentile"] <= 100.0
    assert moved["score"] > clean["score"]


def test_a_reference_of_ones_own(say, demo, own_data, tmp_path):
    """Built from a folder, with what cannot be read named and left out, and kept for the next call."""
    folder = tmp_path / "clean"
    folder.mkdir()
    samples, rate = load_clip(demo).samples, load_clip(demo).sample_rate
    for i in range(9):
        save_clip(Clip(samples[:, i * 8000 : i * 8000 + 2 * rate], rate), folder / f"{i}.wav")
    (folder / "broken.wav").write_text("no sound")
    one = ("--detector", "kde")
    status, out, err = say("detect", demo, *MODEL, *one, "--reference", folder, "--fpr", 0.2, "--json")
    assert status == 0
    assert document(out)["reference"]["clips"] == 9
    assert err.startswith("mirguard: left out of the reference: broken.wav")
    assert err.count("\n") == 1
    status, out, err = say("detect", demo, *MODEL, *one, "--fpr", 0.2, "--json")
    assert (status, err) == (0, "")
    assert document(out)["reference"]["clips"] == 9
    assert_refused(say("detect", demo, *MODEL, *one, "--fpr", 0.05), 2, "at least 19 clean clips", "has 9")


# -- compare, models, doctor -------------------------------------------------------------------------------------------


def test_compare_prints_every_measure(say, demo, attacked):
    _, adversarial = attacked
    status, out, err = say("compare", demo, adversarial)
    assert (status, err) == (0, "")
    figures = document(say("compare", demo, adversarial, "--json")[1])
    assert figures["original"] == str(demo)
    assert figures["processed"] == str(adversarial)
    shown = dict(line.split() for line in out.splitlines())
    assert set(shown) == set(figures) - {"original", "processed"}
    assert float(shown["snr_db"]) == pytest.approx(figures["snr_db"], abs=0.01)


def test_numbers_that_json_has_no_word_for_are_null(say, demo):
    """A sound compared with itself has an infinite SNR."""
    status, out, _ = say("compare", demo, demo, "--json")
    assert status == 0
    assert document(out)["snr_db"] is None
    assert "inf" in say("compare", demo, demo)[1]


def test_models_list(say):
    status, out, err = say("models", "list")
    assert (status, err) == (0, "")
    found = document(say("models", "list", "--json")[1])["models"]
    names = [info["name"] for info in found]
    assert {"musicnn-mtt", "musicnn-msd", TOY} <= set(names)
    assert [line.split()[0] for line in out.splitlines() if not line.startswith(" ")] == names
    for info in found:
        assert set(info) >= {"name", "title", "task", "sample_rate", "window", "labels", "note", "state", "how"}


def test_models_show(say):
    status, out, _ = say("models", "show", TOY)
    assert status == 0
    found = document(say("models", "show", TOY, "--json")[1])
    assert found["name"] == TOY
    assert ", ".join(found["labels"]) in " ".join(out.split())  # in lines of some width


def test_an_unusable_model_is_listed_with_the_reason(say, monkeypatch):
    broken = catalogue.ModelInfo("mine", "Mine", "tagging", 0, 0, (), "", catalogue.UNUSABLE, "It is torn.")
    monkeypatch.setattr(catalogue, "list_models", lambda: [broken])
    status, out, _ = say("models", "list")
    assert status == 0
    assert "It is torn." in out


def test_doctor_runs(say):
    status, out, _ = say("doctor", "--quick", "--json")
    found = document(out)
    assert found["healthy"] is (status == 0)
    assert {"Torch", "Sound", "Models"} <= {finding["what"] for finding in found["findings"]}


# -- What goes wrong ---------------------------------------------------------------------------------------------------


@pytest.fixture
def bad(tmp_path: Path) -> dict[str, Path]:
    """Files that are no use, by what is wrong with them."""
    rng = np.random.default_rng(0)
    paths = {name: tmp_path / f"{name}" for name in ("empty.wav", "text.wav", "torn.flac", "nan.wav", "silent.wav")}
    paths["empty.wav"].touch()
    paths["text.wav"].write_text("This is not a sound.\n" * 100)
    soundfile.write(paths["torn.flac"], 0.1 * rng.standard_normal(100_000), 16000)
    os.truncate(paths["torn.flac"], paths["torn.flac"].stat().st_size // 2)
    soundfile.write(paths["nan.wav"], np.array([0.0, np.nan, 0.0]), 16000, subtype="FLOAT")
    soundfile.write(paths["silent.wav"], np.zeros(32000), 16000)
    return paths


UNREADABLE = {"empty.wav": "empty", "text.wav": "cannot be read", "torn.flac": "ends early", "nan.wav": "NaN"}


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize("json_", [[], ["--json"]], ids=["text", "json"])
def test_files_that_cannot_be_read(say, demo, bad, tmp_path, name, json_):
    before = sorted(tmp_path.iterdir())
    for command in (
        ["classify", bad[name], *MODEL],
        ["attack", bad[name], *MODEL, "-o", tmp_path / "out.wav"],
        ["detect", bad[name], *MODEL],
        ["compare", demo, bad[name]],
        ["compare", bad[name], demo],
    ):
        assert_refused(say(*command, *json_), 1, name, UNREADABLE[name])
    assert sorted(tmp_path.iterdir()) == before


# What is wrong -> options of `attack` (after the file), and words of the sentence.
WRONG = {
    "unknown model": (["--model", "resnet"], ["no model 'resnet'", TOY]),
    "nearly a model": (["--model", "toy-instrument"], ["did you mean toy-instruments?"]),
    "unknown attack": ([*MODEL, "--attack", "hammer"], ["no attack 'hammer'", "pgd"]),
    "unknown label": ([*MODEL, "--target", "kazoo"], ["no label 'kazoo'", "organ"]),
    "epsilon 0": ([*MODEL, "--epsilon", "0"], ["--epsilon", "got 0"]),
    "epsilon negative": ([*MODEL, "--epsilon", "-0.5"], ["--epsilon", "got -0.5"]),
    "epsilon negative, with an exponent": ([*MODEL, "--epsilon=-1e-3"], ["--epsilon", "got -0.001"]),
    "epsilon nan": ([*MODEL, "--epsilon", "nan"], ["--epsilon", "number"]),
    "epsilon infinite": ([*MODEL, "--epsilon", "inf"], ["--epsilon", "number"]),
    "epsilon too large": ([*MODEL, "--epsilon", "3"], ["--epsilon", "got 3"]),
    "epsilon a word": ([*MODEL, "--epsilon", "small"], ["--epsilon", "'small'"]),
    "epsilon below a 16-bit step": ([*MODEL, "--epsilon", "1e-6"], ["16-bit", "finer format"]),
    "snr nan": ([*MODEL, "--snr", "nan"], ["--snr", "number"]),
    "snr infinite": ([*MODEL, "--snr", "inf"], ["--snr", "number"]),
    "snr a word": ([*MODEL, "--snr", "loud"], ["--snr", "'loud'"]),
    "snr absurdly high": ([*MODEL, "--snr", "1e9"], ["--snr", "400 dB"]),
    "snr absurdly low": ([*MODEL, "--snr=-1e9"], ["--snr", "-200"]),
    "snr beyond full scale": ([*MODEL, "--snr", "-100"], ["SNR of -100 dB"]),
    "snr below the smallest": ([*MODEL, "--snr", "200"], ["SNR of 200 dB"]),
    "two budgets": ([*MODEL, "--snr", "30", "--epsilon", "0.01"], ["once"]),
    "steps 0": ([*MODEL, "--steps", "0"], ["--steps", "got 0"]),
    "steps a fraction": ([*MODEL, "--steps", "2.5"], ["--steps", "whole number"]),
    "unknown norm": ([*MODEL, "--norm", "l7"], ["--norm", "l2, linf"]),
    "parameter the attack lacks": ([*MODEL, "--attack", "noise", "--steps", "3"], ["steps", "epsilon"]),
    "band upside down": ([*MODEL, "--band", "4000-500"], ["lower first", "4000 to 500"]),
    "band no range": ([*MODEL, "--band", "loud"], ["--band", "Hz", "'loud'"]),
    "time beyond the clip": ([*MODEL, "--time", "100-200"], ["within the clip's", "100 to 200"]),
    "level above the loudest": ([*MODEL, "--above", "3"], ["-120 to 0", "got 3"]),
    "unknown surrogate": ([*MODEL, "--surrogate", "resnet"], ["no model 'resnet'"]),
    "surrogate without gradients": ([*MODEL, "--surrogate", "toy-tree"], ["toy-tree gives no gradient"]),
    "unknown effect": ([*MODEL, "--channel", "wormhole"], ["no effect 'wormhole'", "gain"]),
    "effect without a value": ([*MODEL, "--channel", "gain:low"], ["name=value"]),
    "effect beyond its range": ([*MODEL, "--channel", "gain:low=-900"], ["got -900"]),
    "no draws": ([*MODEL, "--channel", "gain", "--draws", "0"], ["1 to 1000 draws"]),
    "unknown option": ([*MODEL, "--volume", "11"], ["--volume", "--help"]),
    "option without value": ([*MODEL, "--steps"], ["--steps", "--help"]),
    "seed a word": ([*MODEL, "--seed", "lucky"], ["--seed", "'lucky'"]),
    "unknown subtype": ([*MODEL, "--subtype", "PCM_8"], ["--subtype", "PCM_16"]),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("json_", [[], ["--json"]], ids=["text", "json"])
def test_an_attack_that_makes_no_sense(say, demo, tmp_path, case, json_):
    options, words = WRONG[case]
    assert_refused(say("attack", demo, "-o", tmp_path / "out.wav", *json_, *options), 2, *words)
    assert list(tmp_path.iterdir()) == []


def test_the_target_is_the_label_already(say, demo, tmp_path):
    label = document(say("classify", demo, *MODEL, "--json")[1])["files"][0]["label"]
    assert_refused(say("attack", demo, *MODEL, "--target", label, "-o", tmp_path / "o.wav"), 2, "already", label)
    assert list(tmp_path.iterdir()) == []


def test_silence_has_no_snr(say, bad, tmp_path):
    assert_refused(
        say("attack", bad["silent.wav"], *MODEL, "--snr", 40, "-o", tmp_path / "out.wav"), 2, "silent", "--epsilon"
    )
    assert not (tmp_path / "out.wav").exists()


def test_the_adversarial_sound_never_replaces_its_original(say, demo, tmp_path):
    song = Path(shutil.copy(demo, tmp_path / "song.flac"))
    before = song.read_bytes()
    link = tmp_path / "link.flac"
    link.symlink_to(song)
    for output in (song, link):
        assert_refused(say("attack", song, *MODEL, "-o", output), 2, "another name")
    assert song.read_bytes() == before


OUTPUTS = {
    "no folder": ("nowhere/out.wav", 1, "no folder"),
    "a folder": ("folder.wav", 1, "is a folder"),
    "an MP3": ("out.mp3", 2, ".wav or .flac"),
    "no suffix": ("out", 2, ".wav or .flac"),
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_where_nothing_can_be_written(say, demo, tmp_path, monkeypatch, case):
    """It is said before a model is loaded, let alone attacked."""
    monkeypatch.setattr(catalogue, "load_model", lambda *_, **__: pytest.fail("too late"))
    name, status, words = OUTPUTS[case]
    (tmp_path / "folder.wav").mkdir()
    assert_refused(say("attack", demo, *MODEL, "-o", tmp_path / name), status, words)
    assert os.listdir(tmp_path) == ["folder.wav"]


def test_a_read_only_folder(say, demo, tmp_path, monkeypatch):
    """As the system refuses it; tests that run as root are refused nothing, so that here a stand-in does."""

    def read_only(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "touch", read_only)
    assert_refused(say("attack", demo, *MODEL, "-o", tmp_path / "out.wav"), 1, "Permission denied", "another folder")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_folder_that_is_really_read_only(say, demo, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert_refused(say("attack", demo, *MODEL, "-o", folder / "out.wav"), 1, "Permission denied")


def test_a_disk_that_fills_up_while_exporting(say, demo, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    old = save_clip(Clip(np.zeros(10), 8000), tmp_path / "out.wav")
    before = old.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    result = say("attack", demo, *MODEL, "--attack", "noise", "--snr", 40, "-o", old, "--json")
    assert_refused(result, 1, "out.wav cannot be written", "No space left")
    assert old.read_bytes() == before
    assert list(tmp_path.iterdir()) == [old]


def test_detecting_what_makes_no_sense(say, demo, tmp_path, monkeypatch):
    assert_refused(say("detect", demo, *MODEL, "--detector", "nose"), 2, "no detector 'nose'", "kde")
    assert_refused(say("detect", demo, *MODEL, "--fpr", "0.001"), 2, "needs at least 999 clean clips")
    for rate in ("0", "1", "-0.1", "nan", "2"):
        assert_refused(say("detect", demo, *MODEL, f"--fpr={rate}"), 2, "--fpr")
    assert_refused(say("detect", demo, *MODEL, "--reference", tmp_path / "none"), 1, "no folder")
    assert_refused(say("detect", demo, *MODEL, "--reference", tmp_path), 1, "holds no")
    empty = tmp_path / "data"
    monkeypatch.setenv("MIRGUARD_DATA", str(empty))
    monkeypatch.setattr("mirguard.detectors.kept.resource", lambda *parts: empty.joinpath(*parts))
    assert_refused(say("detect", demo, *MODEL), 2, "no detector fitted", "--reference DIR")


def test_an_unknown_detector_is_told_before_a_reference_is_built(say, demo, tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "load_model", lambda *_, **__: pytest.fail("too late"))
    assert_refused(say("detect", demo, *MODEL, "--detector", "nose", "--reference", tmp_path), 2, "nose")


def test_comparing_what_does_not_belong_together(say, demo, bad):
    assert_refused(say("compare", demo, bad["silent.wav"], "--json"), 2, "compare")


MISUSED = {
    "no file to classify": (["classify"], "FILE"),
    "no file to attack": (["attack", "-o", "o.wav"], "FILE"),
    "no output": (["attack", "a.wav"], "-o"),
    "one file to compare": (["compare", "a.wav"], "PROCESSED"),
    "three files to compare": (["compare", "a.wav", "b.wav", "c.wav"], "c.wav"),
    "unknown option": (["classify", "a.wav", "--frobnicate"], "--frobnicate"),
    "no label to show": (["classify", "a.wav", "--top", "0"], "--top"),
    "top a word": (["classify", "a.wav", "--top", "few"], "'few'"),
    "models without action": (["models"], "action"),
    "models with another": (["models", "burn"], "'burn'"),
    "models show without name": (["models", "show"], "required: M"),
    "models list with a name": (["models", "list", TOY], "Unrecognized arguments: toy-instruments"),
    "models show unknown": (["models", "show", "resnet"], "no model 'resnet'"),
    "unknown command": (["clasify"], "'clasify' is neither a file nor a command"),
    "unknown option of the workbench": (["--frobnicate"], "--frobnicate"),
}


@pytest.mark.parametrize("case", MISUSED)
def test_misuse_is_told_in_a_line(say, case):
    arguments, word = MISUSED[case]
    assert_refused(say(*arguments), 2, word)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(28, "No space left on device", "/tmp/x"), "No space left on device: /tmp/x."),
        (MemoryError(), "not enough memory"),
        (KeyboardInterrupt(), "stopped."),
        (MirguardError("One line\nand another."), "One line and another."),
    ],
)
def test_what_the_world_does_is_told_in_a_line(say, demo, monkeypatch, error, says):
    def fails(*_):
        raise error

    monkeypatch.setattr(catalogue, "load_model", fails)
    assert_refused(say("classify", demo, *MODEL), 1, says)


def test_a_fault_of_the_program_is_not_hidden(say, demo, monkeypatch):
    monkeypatch.setattr(catalogue, "load_model", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        say("classify", demo, *MODEL)


# -- Help --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [[], *([name] for name in cli.COMMANDS)])
def test_help_is_there_for_everything(capsys, command):
    with pytest.raises(SystemExit) as left:
        cli.main([*command, "--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert "usage: mirguard" in out
    if command == ["attack"]:
        for attack in list_attacks():
            assert attack.name in out
            assert all(parameter.option in out for parameter in attack.parameters)
    if not command:
        assert all(name in out for name in cli.COMMANDS)


def test_the_version(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"mirguard {__version__}\n"


# -- As a process ------------------------------------------------------------------------------------------------------


def start(*arguments: object, **options) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), **options.pop("environment", {})}
    environment.pop("PYTHONUNBUFFERED", None)  # output is to be written at the end, where it may fail unseen
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "mirguard", *map(str, arguments)],
        env=environment,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def test_the_process_prints_a_document_and_nothing_else(demo, tmp_path):
    done = start("attack", demo, *MODEL, "--snr", 30, "--steps", 3, "-o", tmp_path / "out.wav", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert document(done.stdout.decode())["exported"]["path"] == str(tmp_path / "out.wav")
    assert os.listdir(tmp_path) == ["out.wav"]


def test_the_process_leaves_with_the_status(tmp_path):
    for arguments, status in (
        (["classify", tmp_path / "none.wav", *MODEL], 1),
        (["attack"], 2),
        (["models", "list"], 0),
    ):
        done = start(*arguments)
        assert done.returncode == status
        assert b"Traceback" not in done.stderr
        assert done.stderr.count(b"\n") == (1 if status else 0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have a screen")
def test_no_screen_is_a_sentence():
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        environment.pop(name, None)
    done = subprocess.run([sys.executable, "-m", "mirguard"], env=environment, capture_output=True, text=True)
    assert_refused((done.returncode, done.stdout, done.stderr), 1, "no screen", "terminal")


def test_a_terminal_without_greek_letters_gets_all_the_text(demo, tmp_path):
    song = Path(shutil.copy(demo, tmp_path / "día.flac"))
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = start(
        "attack", song, *MODEL, "--attack", "noise", "--snr", 40, "-o", tmp_path / "día.wav", environment=environment
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"d\\xeda.wav" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="pipes close otherwise there")
def test_a_reader_who_leaves_is_no_error():
    """`mirguard models list | head -1`: nobody is there any more for the rest."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = start("models", "list", stdout=pipe)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_output_that_cannot_be_written_is_a_sentence():
    with open("/dev/full", "wb") as full:
        done = start("models", "list", "--json", stdout=full)
    assert done.returncode == 1
    assert done.stderr == b"mirguard: No space left on device.\n"


def test_listing_and_refusing_load_no_torch(demo):
    """What takes no model takes no second: torch alone takes one to import."""
    code = "import sys; from mirguard.cli import main; main(sys.argv[1:]); assert 'torch' not in sys.modules"
    for arguments in (["models", "list"], ["compare", demo, demo], ["attack", demo, "-o", "out.mp3"]):
        done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], cwd=CHECKOUT, capture_output=True)
        assert b"AssertionError" not in done.stderr


def test_the_demo_clip_and_what_it_needs_are_shipped():
    assert math.isfinite(load_clip(demo_clip()).duration)
    assert resource("models", TOY, "model.toml").is_file()
