"""Classifiers on a backbone: the gradient goes through, the file brings back the same, and another backbone is refused."""

from __future__ import annotations

from dataclasses import replace

import nets
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mirguard.errors import FileError, UsageError
from mirguard.models import catalogue
from mirguard.models.backbone import (
    BackboneClassifier,
    Headed,
    check_backbone,
    last_stage,
    places_of,
    save_backbone,
    unfreeze,
)
from mirguard.models.contract import Classifier, TorchClassifier
from mirguard.models.load_file import load_model_file
from mirguard.models.model_file import read_model_file

LABELS = ("red", "green", "blue")


@pytest.fixture
def backbone(monkeypatch) -> TorchClassifier:
    """A small model that the catalogue knows as "base"."""
    model = nets.curved(classes=4, seed=1)
    model.name = "base"
    load = catalogue.load_model
    monkeypatch.setattr(catalogue, "load_model", lambda name, progress=None: model if name == "base" else load(name))
    return model


def head_for(size: int, seed: int = 0) -> nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Linear(size, len(LABELS))


@pytest.fixture
def kept(backbone, tmp_path):
    head = head_for(16 + 4)
    file = save_backbone(
        tmp_path / "m", "m", backbone=backbone, layers=("hidden", "logits"), head=head, labels=LABELS, title="Title"
    )
    return file, BackboneClassifier("m", backbone, ("hidden", "logits"), head, LABELS)


def test_the_head_reads_the_layers_side_by_side(backbone, kept):
    _, model = kept
    x = nets.sounds(5, backbone.window)
    layers, logits = backbone.features(x, ("hidden", "logits"))
    expected = model.network.head(torch.cat([layers["hidden"], logits], 1))
    torch.testing.assert_close(model.logits(x), expected)
    own, again = model.features(x, ("hidden", "features"))
    torch.testing.assert_close(own["hidden"], layers["hidden"])
    torch.testing.assert_close(own["features"], torch.cat([layers["hidden"], logits], 1))
    torch.testing.assert_close(again, expected)
    assert model.layers == ("hidden", "features") and model.task == "single-label"
    assert not backbone.network.hidden._forward_hooks


def test_the_gradient_is_that_of_a_plain_composition(backbone, kept):
    _, model = kept
    x = nets.sounds(2, backbone.window).requires_grad_()
    (gradient,) = torch.autograd.grad(model.logits(x)[:, 1].sum(), x)
    y = x.detach().clone().requires_grad_()
    layers, logits = backbone.features(y, ("hidden",))
    out = model.network.head(torch.cat([layers["hidden"], logits], 1))
    (expected,) = torch.autograd.grad(out[:, 1].sum(), y)
    torch.testing.assert_close(gradient, expected)
    assert gradient.abs().sum() > 0


def test_the_file_brings_back_the_same(backbone, kept):
    file, model = kept
    found = load_model_file(read_model_file(file.folder))
    x = nets.sounds(4, backbone.window)
    assert torch.equal(found.logits(x), model.logits(x))
    assert (found.name, found.title, found.labels) == ("m", "Title", LABELS)
    assert found.hash == load_model_file(file).hash != model.backbone.hash
    assert found.network.backbone is backbone.network, "an untuned backbone is shared, not copied"


def test_the_hash_is_of_weights_and_backbone(backbone, kept, tmp_path):
    file, _ = kept
    other = save_backbone(
        tmp_path / "n", "m", backbone=backbone, layers=("hidden", "logits"), head=head_for(20, 1), labels=LABELS
    )
    assert load_model_file(other).hash != load_model_file(file).hash


def test_another_backbone_of_that_name_is_refused(backbone, kept):
    file, _ = kept
    backbone.hash = "0" * 64
    with pytest.raises(FileError, match="another base than the one here"):
        load_model_file(file)


def test_a_missing_backbone_is_named(kept):
    file, _ = kept
    gone = replace(file, network=dict(file.network) | {"backbone": "gone-model"})
    with pytest.raises(FileError, match="m is built on gone-model, which cannot be had"):
        load_model_file(gone)


def test_a_model_built_on_itself_ends_in_a_sentence(own_data, backbone, kept):
    file, _ = kept
    about = dict(file.network) | {"backbone": "m"}
    with pytest.raises(FileError, match="built upon itself"):
        load_model_file(replace(file, network=about))


def test_two_models_built_on_each_other_end_in_a_sentence(own_data, backbone, kept):
    """Each names the other; the catalogue holds its lock while the first is loaded."""
    file, _ = kept
    for name, other in (("one", "two"), ("two", "one")):
        folder = own_data / "models" / name
        folder.mkdir(parents=True)
        (folder / file.weights).write_bytes(file.weights_path.read_bytes())
        about = dict(file.network) | {"backbone": other}
        replace(file, folder=folder, name=name, network=about).write()
    with pytest.raises(FileError, match="built upon itself"):
        catalogue.load_model("one")


@pytest.mark.parametrize(
    "change",
    [
        {"layers": ["attic"]},
        {"layers": []},
        {"layers": "hidden"},
        {"layers": ["hidden"]},
        {"backbone_hash": 3},
        {"backbone": None},
    ],
)
def test_a_table_that_does_not_fit_is_refused(kept, change):
    file, _ = kept
    with pytest.raises(FileError, match=r"^m\b"):
        load_model_file(replace(file, network=dict(file.network) | change))


@pytest.mark.parametrize(
    "change", [{"window": 800}, {"sample_rate": 8000}, {"task": "tagging"}, {"labels": ("a", "b")}]
)
def test_a_model_toml_that_says_something_else_is_refused(kept, change):
    with pytest.raises(FileError, match=r"^m: "):
        load_model_file(replace(kept[0], **change))


def test_damaged_weights_are_refused(kept):
    file, _ = kept
    arrays = load_file(file.weights_path)
    for damaged in (
        {"head.weight": arrays["head.weight"]},
        {**arrays, "head.bias": torch.full((3,), torch.nan)},
        {**arrays, "head.weight": arrays["head.weight"][:, :5].contiguous()},
        {**arrays, "other": torch.zeros(1)},
        {**arrays, "backbone.nothing": torch.zeros(1)},
        {**arrays, "backbone.hidden.weight": torch.zeros(2, 2)},
    ):
        save_file(damaged, file.weights_path)
        with pytest.raises(FileError, match=r"^m: "):
            load_model_file(file)
    file.weights_path.write_bytes(b"nothing of the kind")
    with pytest.raises(FileError, match="safetensors"):
        load_model_file(file)


# -- Tuned backbones -----------------------------------------------------------------------------------------------------


def test_tuned_arrays_stay_in_the_copy(backbone, kept, tmp_path):
    _, plain = kept
    tuned = {"hidden.weight": backbone.network.hidden.weight.detach() * 1.5}
    before = backbone.network.hidden.weight.detach().clone()
    file = save_backbone(
        tmp_path / "t",
        "t",
        backbone=backbone,
        layers=("hidden", "logits"),
        head=plain.network.head,
        labels=LABELS,
        tuned=tuned,
    )
    found = load_model_file(file)
    x = nets.sounds(4, backbone.window)
    assert not torch.allclose(found.logits(x), plain.logits(x))
    assert torch.equal(backbone.network.hidden.weight, before)
    assert torch.equal(found.network.backbone.hidden.weight, tuned["hidden.weight"])
    assert found.logits(x.requires_grad_()).requires_grad


class Buffered(nn.Module):
    """Keeps its arrays as buffers, as musicnn does."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(8)
        self.register_buffer("kernel", torch.randn(8, 4, generator=torch.Generator().manual_seed(0)))
        self.tap = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.tap(self.norm(x) @ self.kernel)


def test_buffers_become_parameters_and_statistics_stay():
    network = Headed(Buffered(), ("tap",), nn.Linear(4, 2))
    network.requires_grad_(False)
    names = ("kernel", "norm.weight", "norm.running_mean")
    found = unfreeze(network.backbone, names)
    assert set(found) == {"kernel", "norm.weight"}
    network.train()
    assert not network.backbone.norm.training and network.head.training
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    network(x).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in found.values())
    assert torch.equal(network.backbone.norm.running_mean, torch.zeros(8))


def test_the_last_stage_is_that_of_the_last_layers(backbone):
    assert last_stage(backbone) == ("hidden.weight", "hidden.bias")
    opaque = nets.curved()
    opaque._taps = {}
    with pytest.raises(UsageError, match="fine-tuned"):
        last_stage(opaque)


def test_musicnns_last_stage_is_trained_and_its_front_is_not():
    from reference_musicnn import random_variables

    from mirguard.models.published.musicnn import musicnn

    model = musicnn("musicnn-msd", random_variables())
    names = last_stage(model)
    assert any(name.startswith("middle.") for name in names) and "dense_kernel" in names
    network = Headed(model.network, places_of(model, ("max_pool", "penultimate")), nn.Linear(753 + 200, 3))
    network.requires_grad_(False)
    found = unfreeze(network.backbone, names)
    with torch.no_grad():
        representation = model.represent(nets.sounds(1, model.window))
    network(representation).square().sum().backward()
    assert all(found[name].grad is not None for name in ("middle.0.kernel", "dense_kernel", "dense_bias"))
    assert not any(buffer.requires_grad for buffer in network.backbone.peaks.buffers())


def test_only_networks_serve_as_backbones(backbone):
    class Blind(Classifier):
        name = "blind"

    with pytest.raises(UsageError, match="blind is no network"):
        check_backbone(Blind())
    with pytest.raises(UsageError, match="no layer 'attic'"):
        places_of(backbone, ("attic",))
