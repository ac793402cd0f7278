"""Users' models: the same network in every form it can be handed on in, what is refused, and adding and removing."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign_models import (
    FRONT_END,
    LABELS,
    RATE,
    WINDOW,
    Function,
    describe,
    network,
    one_thread,
    onnx_of,
    program,
    torchscript,
    windows,
)

import mirguard as mg
from mirguard.errors import FileError, UsageError
from mirguard.models import catalogue
from mirguard.models.add import add_model, remove_model
from mirguard.models.load_file import load_model_file
from mirguard.models.published.fetch import models_folder

pytestmark = pytest.mark.usefixtures(one_thread.__name__)
WAYS = (
    "program of any batch",
    "program of a fixed batch",
    "program of one window",
    "traced",
    "onnx",
    "onnx of a fixed batch",
)


def load(folder: Path, weights: str, **keys):
    return load_model_file(describe(folder, weights, **keys))


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> dict[str, Path]:
    """A folder with a model.toml for each way."""
    net, found = network(), {}
    for way in WAYS:
        folder = found[way] = tmp_path_factory.mktemp("way")
        batch = {"program of a fixed batch": 2, "program of one window": 1, "onnx of a fixed batch": 3}.get(
            way, "dynamic"
        )
        if way == "traced":
            torchscript(net, folder / "w.pt")
            describe(folder, "w.pt")
        elif "onnx" in way:
            onnx_of(net, folder / "w.onnx", batch=batch if batch != "dynamic" else "batch")
            describe(folder, "w.onnx", batch=batch)
        else:
            program(net, folder / "w.pt2", rows=batch if batch != "dynamic" else 2, dynamic=batch == "dynamic")
            describe(folder, "w.pt2", batch=batch)
    return found


def gradient(model, waveform: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    heard = waveform.clone().requires_grad_()
    return torch.autograd.grad((model.logits(heard) * weights).sum(), heard)[0]


@pytest.mark.parametrize("way", WAYS)
def test_one_network_is_the_same_however_it_is_handed_on(kept, way):
    plain = mg.wrap_model(network(), RATE, WINDOW, LABELS)
    model = mg.load_model(str(kept[way] / "model.toml"))
    assert mg.load_model(str(kept[way])) is model
    weights = torch.randn(5, len(LABELS), generator=torch.Generator().manual_seed(1))
    for rows in (1, 2, 5):  # less than, as many as and more than a fixed batch
        heard = windows(rows)
        with torch.no_grad():
            expected, found = plain.logits(heard), model.logits(heard)
        assert (found - expected).abs().max() < 1e-5 * expected.abs().max().clamp_min(1)
        if "onnx" not in way:
            there, here = (gradient(each, heard, weights[:rows]) for each in (plain, model))
            assert there.abs().max() > 1e-3
            assert (here - there).abs().max() < 1e-5 * there.abs().max().clamp_min(1)
    assert model.differentiable is ("onnx" not in way)
    assert model.labels == LABELS


def test_an_imported_model_is_attacked_like_any_other(kept):
    heard = windows(3)
    outcomes = []
    for way in ("program of a fixed batch", "traced"):
        model = mg.load_model(str(kept[way]))
        labels = model.logits(heard).argmax(1)
        outcomes.append(mg.attack(model, heard, "pgd", labels=labels, epsilon=0.01, steps=5, seed=0))
    assert torch.equal(outcomes[0].success, outcomes[1].success)
    assert outcomes[0].success.any()


@pytest.mark.parametrize("ending", ["pt2", "pt"])
def test_our_front_end_stands_before_the_weights(tmp_path, ending):
    net = network()
    make = program if ending == "pt2" else torchscript
    make(net.back, tmp_path / f"w.{ending}", shape=(13, 20))
    model = load(tmp_path, f"w.{ending}", representation=FRONT_END)
    heard = windows(3)
    with torch.no_grad():
        assert model.represent(heard).shape == (3, 13, 20)
        assert torch.allclose(model.logits(heard), net(heard), atol=1e-6)


@pytest.mark.parametrize("ending", ["pt2", "pt", "onnx"])
def test_further_outputs_are_features(tmp_path, ending):
    net = network(pooled=True)
    {"pt2": program, "pt": torchscript, "onnx": onnx_of}[ending](net, tmp_path / f"w.{ending}")
    model = load(tmp_path, f"w.{ending}", features=["pooled"])
    heard = windows(3)
    with torch.no_grad():
        found, logits = model.features(heard, ("pooled", "logits"))
        expected, pooled = net(heard)
    assert model.layers == ("pooled",)
    assert torch.allclose(found["pooled"], pooled, atol=1e-5)
    assert torch.allclose(logits, expected, atol=1e-5) and torch.equal(found["logits"], logits)
    with pytest.raises(UsageError, match="no layer 'other'"):
        model.features(heard, ("other",))
    with pytest.raises(FileError, match="gives 2 outputs where"):
        load(tmp_path, f"w.{ending}")


@pytest.mark.parametrize(("task", "end"), [("single-label", torch.nn.Softmax(-1)), ("tagging", torch.nn.Sigmoid())])
def test_probabilities_are_turned_back_into_logits(tmp_path, task, end):
    torchscript(network(end=end), tmp_path / "w.pt")
    model = load(tmp_path, "w.pt", task=task, output="probabilities")
    heard = windows(3)
    with torch.no_grad():
        logits = model.logits(heard)
        assert torch.allclose(end(logits), network(end=end)(heard), atol=1e-5)
    assert logits.min() < 0
    assert gradient(model, heard, torch.ones(3, 3).triu()).abs().max() > 1e-3


def test_a_softmax_that_is_not_declared_is_noticed(tmp_path):
    onnx_of(network(), tmp_path / "w.onnx", softmax=True)
    assert load(tmp_path, "w.onnx", output="probabilities").logits(windows(2)).min() < 0
    with pytest.raises(FileError, match="seems to end in a softmax"):
        load(tmp_path, "w.onnx")


def test_the_hash_is_of_what_decides_the_output(tmp_path):
    torchscript(network(), tmp_path / "w.pt")
    first = load(tmp_path, "w.pt").hash
    assert load(tmp_path, "w.pt", name="another", title="A title", note="A note", card={"made": "added"}).hash == first
    assert load(tmp_path, "w.pt", labels=["a", "b", "c"]).hash != first
    assert load(tmp_path, "w.pt", output="probabilities", task="tagging").hash != first
    torchscript(network(1), tmp_path / "w.pt")
    assert load(tmp_path, "w.pt").hash != first


def counted(layer, x):
    return layer(x)[:, :2]


class Crowd(torch.nn.BatchNorm1d):
    """Normalises over the batch, as when exported in training mode."""

    def __init__(self) -> None:
        super().__init__(WINDOW, track_running_stats=False)


WRONG = {
    "two outputs for three labels": (counted, {}, r"gives \(2, 2\) .* 3 labels need \(2, 3\)"),
    "whole numbers": (lambda layer, x: layer(x).round().long(), {}, "floating-point numbers; it gives torch.int64"),
    "no rows": (lambda layer, x: layer(x).sum(), {}, "must give tensors of"),
    "one row for all": (lambda layer, x: layer(x).mean(0, keepdim=True), {}, r"gives \(1, 3\) for a batch of 2"),
    "NaN": (lambda layer, x: layer(x) + float("nan"), {}, "NaN or infinite logits"),
    "NaN for a tone": (
        lambda layer, x: layer(x) / (x.abs().amax(1, keepdim=True) > 0.301).float(),
        {},
        "NaN or infinite",
    ),
    "deaf": (lambda layer, x: layer(torch.ones_like(x)), {}, "the same logits whatever it hears"),
    "chance": (lambda layer, x: layer(torch.nn.functional.dropout(x, 0.5, True)), {}, r"each time.*model\.eval\(\)"),
    "the crowd": (lambda layer, x: layer(x - x.mean(0, keepdim=True)), {}, "other windows are in the batch"),
    "another window": (lambda layer, x: layer(x), {"window": WINDOW + 1}, "does not take waveforms of shape"),
    "fewer features": (lambda layer, x: layer(x), {"features": ["hidden"]}, "gives 1 outputs where .* its 1 features"),
    "another representation": (lambda layer, x: layer(x), {"representation": FRONT_END}, "does not take waveforms"),
    "no such front end": (lambda layer, x: layer(x), {"representation": {"kind": "cqt"}}, "kind is one of log-mel"),
    "a window too short for it": (lambda layer, x: layer(x), {"representation": FRONT_END, "window": 100}, "too short"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_classifier_is_told_in_a_sentence(tmp_path, case):
    function, keys, words = WRONG[case]
    torchscript(Function(function).eval(), tmp_path / "w.pt")
    with pytest.raises(FileError, match=words) as told:
        load(tmp_path, "w.pt", **keys)
    assert str(told.value).startswith("foreign") and str(told.value).endswith(".") and "\n" not in str(told.value)


def test_weights_that_are_no_numbers_are_named(tmp_path):
    net = network()
    with torch.no_grad():
        net.back.conv.bias[3] = float("nan")
    for weights in (torchscript(net, tmp_path / "w.pt"), program(net, tmp_path / "w.pt2")):
        with pytest.raises(FileError, match=r"weights back\.conv\.bias in .* hold NaN"):
            load(tmp_path, weights.name)


def test_infinite_buffers_are_masks_and_fine(tmp_path):
    class Masked(Function):
        def __init__(self) -> None:
            super().__init__(lambda layer, x: layer(x))
            self.register_buffer("mask", torch.tensor([0.0, float("-inf")]))

        def forward(self, waveform):
            return self.layer(waveform) + torch.softmax(self.mask, 0)[1]

    torchscript(Masked().eval(), tmp_path / "w.pt")
    assert load(tmp_path, "w.pt").differentiable


def test_a_program_exported_while_training_is_told_so(tmp_path):
    net = torch.nn.Sequential(torch.nn.Dropout(0.3), torch.nn.Linear(WINDOW, 3)).train()
    program(net, tmp_path / "w.pt2", dynamic=False)
    with pytest.raises(FileError, match=r"each time it hears the same sound.*model\.eval\(\)"):
        load(tmp_path, "w.pt2", batch=2)


def test_a_fixed_batch_that_is_not_declared_is_told_so(kept, tmp_path):
    for way, words in (("program of a fixed batch", "batch = 2"), ("program of one window", "say so as batch")):
        shutil.copy(kept[way] / "w.pt2", tmp_path)
        with pytest.raises(FileError, match=words):
            load(tmp_path, "w.pt2")


def test_no_gradient_is_no_error(tmp_path):
    torchscript(Function(lambda layer, x: layer(x.detach().sign())).eval(), tmp_path / "w.pt")
    model = load(tmp_path, "w.pt")
    assert not model.differentiable
    assert "No gradient reaches the waveform" in model.note


def test_wrong_names_do_not_matter(tmp_path):
    """What a file is shows in it: a program called .pt and TorchScript called .pt2 load as well."""
    program(network(), tmp_path / "p.pt2").rename(tmp_path / "w.pt")
    assert load(tmp_path, "w.pt").differentiable
    torchscript(network(), tmp_path / "t.pt").rename(tmp_path / "w.pt2")
    assert load(tmp_path, "w.pt2").differentiable


class Twice(torch.nn.Module):
    """One layer called two times, and names that are no names in Python."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = torch.nn.ModuleDict({"conv-1": torch.nn.Conv1d(1, 8, 9, 4), "norm": torch.nn.BatchNorm1d(8)})
        self.mix, self.out = torch.nn.Linear(8, 8), torch.nn.Linear(8, 3)

    def forward(self, x):
        hidden = self.parts["norm"](self.parts["conv-1"](x[:, None])).square().mean(-1)
        return self.out(self.mix(self.mix(hidden).relu()))


class Magnitudes(torch.nn.Module):
    """|STFT|, whose derivative TorchScript's own formulas do not know."""

    def __init__(self) -> None:
        super().__init__()
        self.out = torch.nn.Linear(129, 3)
        self.register_buffer("hann", torch.hann_window(256))

    def forward(self, x):
        return self.out(torch.stft(x, 256, 128, window=self.hann, return_complex=True).abs().mean(-1))


class Recurrent(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.out = torch.nn.GRU(40, 8, batch_first=True), torch.nn.Linear(8, 3)

    def forward(self, x):
        return self.out(self.rnn(x.unflatten(1, (40, 40)))[0].mean(1))


@pytest.mark.parametrize("how", ["program", "traced", "scripted"])
@pytest.mark.parametrize("kind", [Twice, Magnitudes, Recurrent])
def test_networks_as_people_have_them(tmp_path, kind, how):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = kind().eval()
    if how == "program":
        model = load(tmp_path, program(net, tmp_path / "w.pt2").name)
    else:
        model = load(tmp_path, torchscript(net, tmp_path / "w.pt", script=how == "scripted").name)
    heard, weights = windows(3), torch.randn(3, 3, generator=torch.Generator().manual_seed(1))
    plain = mg.wrap_model(net, RATE, WINDOW, LABELS)
    with torch.no_grad():
        assert torch.allclose(model.logits(heard), plain.logits(heard), atol=1e-5)
    there, here = gradient(plain, heard, weights), gradient(model, heard, weights)
    assert there.any() and (here - there).abs().max() < 1e-5 * there.abs().max().clamp_min(1)


# -- adding and removing -----------------------------------------------------------------------------------------------


@pytest.fixture
def brought(kept, tmp_path, own_data) -> Path:
    """A folder as somebody brings it."""
    folder = tmp_path / "brought"
    folder.mkdir()
    shutil.copy(kept["traced"] / "w.pt", folder)
    describe(folder, "w.pt", card={"data": {"name": "theirs"}, "lineage": ["something"]})
    return folder


def zipped(folder: Path, path: Path, below: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"{below}{file.name}")
    return path


def listed() -> set[str]:
    return {path.name for path in models_folder().iterdir()} if models_folder().exists() else set()


@pytest.mark.parametrize("how", ["folder", "file", "zip", "zip with a folder", "toml of another name"])
def test_a_model_is_added(brought, tmp_path, how):
    source = {
        "folder": lambda: brought,
        "file": lambda: brought / "model.toml",
        "zip": lambda: zipped(brought, tmp_path / "m.zip"),
        "zip with a folder": lambda: zipped(brought, tmp_path / "m.zip", "my model/"),
        "toml of another name": lambda: (brought / "model.toml").rename(brought / "mine.toml"),
    }[how]()
    told = []
    file = mg.add_model(str(source), progress=lambda text, done: told.append(done))
    assert listed() == {"foreign"}
    assert {path.name for path in file.folder.iterdir()} == {"model.toml", "w.pt"}
    assert file.folder == models_folder() / "foreign"
    assert told == sorted(told) and told[-1] == 1.0
    info = catalogue.find_model("foreign")
    assert (info.kind, info.state, info.gradients) == ("yours", "ready", True)
    assert file.card["made"] == "added" and file.card["data"] == {"name": "theirs"}
    assert file.card["gradient"]["reaches"] and file.card["gradient"]["verdict"] == "pass"
    assert file.card["lineage"][0] == "something" and "SHA-256" in file.card["lineage"][1]
    with torch.no_grad():
        assert torch.allclose(mg.load_model("foreign").logits(windows(2)), network()(windows(2)), atol=1e-5)


def test_a_folder_may_be_called_like_weights(brought):
    assert add_model(brought.rename(brought.with_name("brought.pt"))).name == "foreign"


def test_a_name_is_taken_once(brought):
    add_model(brought)
    with pytest.raises(UsageError, match="You have a model called foreign already"):
        add_model(brought)
    with pytest.raises(UsageError, match="You have a model called foreign already"):
        add_model(brought, "FOREIGN")
    with pytest.raises(UsageError, match="bundled model called toy-instruments"):
        add_model(brought, "toy-instruments", replace=True)
    with pytest.raises(UsageError, match="published model called musicnn-mtt"):
        add_model(brought, "Musicnn-MTT")
    for name in ("../out", "", ".hidden", "a/b", "x" * 100):
        with pytest.raises(FileError, match=r"name must be a text|cannot be a model.s name"):
            add_model(brought, name)
    assert listed() == {"foreign"}


def test_a_model_takes_the_place_of_another(brought, kept):
    add_model(brought)
    before = mg.load_model("foreign")
    torchscript(network(1), brought / "w.pt")
    add_model(brought, replace=True)
    after = mg.load_model("foreign")
    assert after is not before and after.hash != before.hash
    assert listed() == {"foreign"}


def test_what_cannot_be_added_leaves_nothing(brought, tmp_path):
    torchscript(Function(counted).eval(), brought / "w.pt")
    with pytest.raises(FileError, match="labels need"):
        add_model(brought)
    (brought / "w.pt").unlink()
    with pytest.raises(FileError, match=r"w\.pt is not in"):
        add_model(brought)
    with pytest.raises(FileError, match=r"w\.pt is not beside model\.toml in m\.zip"):
        add_model(zipped(brought, tmp_path / "m.zip"))
    (tmp_path / "empty.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    with pytest.raises(FileError, match=r"There is no model\.toml in empty\.zip"):
        add_model(tmp_path / "empty.zip")
    (tmp_path / "w.pt2").write_bytes(b"")
    with pytest.raises(FileError, match=r"needs a model\.toml beside it"):
        add_model(tmp_path / "w.pt2")
    with pytest.raises(FileError, match=r"There is no .*nowhere"):
        add_model(tmp_path / "nowhere")
    (tmp_path / "text.txt").write_text("words")
    with pytest.raises(FileError, match=r"text\.txt is no zip archive"):
        add_model(tmp_path / "text.txt")
    assert listed() == set()


@pytest.mark.parametrize("when", ["Loading", "Checking", "Keeping"])
def test_stopping_leaves_nothing(brought, when):
    class Stop(Exception):
        pass

    told = []

    def progress(text: str, done: float | None) -> None:
        told.append(text)
        if text.startswith(when) and told.count(text) == (3 if when == "Checking" else 1):
            raise Stop

    with pytest.raises(Stop):
        add_model(brought, progress=progress)
    assert listed() == set()


def test_a_place_where_nothing_can_be_kept(brought, own_data):
    (own_data / "models").write_text("a file where the folder should be")
    with pytest.raises(FileError, match="name a folder that you may write to in MIRGUARD_DATA"):
        add_model(brought)


def test_a_model_is_removed(brought):
    add_model(brought)
    mg.load_model("foreign")
    remove_model("foreign")
    assert listed() == set()
    with pytest.raises(UsageError, match="There is no model 'foreign'"):
        remove_model("foreign")
    with pytest.raises(UsageError, match="not one of your models"):
        remove_model("toy-instruments")
    with pytest.raises(UsageError, match="not one of your models"):
        remove_model(str(brought))  # lies elsewhere: it is not ours to remove
    assert (brought / "model.toml").exists()


def test_a_damaged_model_can_be_removed(brought):
    folder = add_model(brought).folder
    (folder / "model.toml").write_text("name =")
    assert catalogue.find_model("foreign").state == catalogue.UNUSABLE
    remove_model("foreign")
    assert listed() == set()


def test_safetensors_of_a_known_network_come_the_same_way(tmp_path, own_data):
    from mirguard.resources import resource

    theirs = tmp_path / "theirs"
    shutil.copytree(resource("models", "toy-instruments"), theirs)
    file = add_model(theirs, "my-instruments")
    assert file.card["made"] == "added" and file.card["gradient"]["verdict"] == "pass"
    heard = windows(2, window=file.window)
    with torch.no_grad():
        assert torch.equal(
            mg.load_model("my-instruments").logits(heard), mg.load_model("toy-instruments").logits(heard)
        )


def test_a_reference_that_comes_along_is_compared_and_kept(brought):
    heard = windows(3)
    with torch.no_grad():
        logits = network()(heard).numpy()
    (brought / "checks").mkdir()
    np.savez(brought / "checks" / "reference.npz", waveform=heard.numpy(), logits=logits)
    describe(brought, "w.pt", parity="checks/reference.npz")
    file = add_model(brought)
    assert file.parity == "reference.npz" and (file.folder / "reference.npz").is_file()
    assert file.card["gradient"]["parity_verdict"] == "pass"
    np.savez(brought / "checks" / "reference.npz", waveform=heard.numpy(), logits=logits + 0.01)
    assert add_model(brought, replace=True).card["gradient"]["parity_verdict"] == "fail"
