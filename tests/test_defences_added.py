"""What defences add to a network: a class more, a detector of its own, a projection; their arithmetic, files and layers."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hardening import HEARD, LABELS, WINDOW, arrays, cache, files, job_of, kept, parent, same, tones

from mirguard.clip import load_clip
from mirguard.defences import watching
from mirguard.defences.catalogue import find_defence
from mirguard.defences.defend import check_parent, defend
from mirguard.defences.distillation import distillation
from mirguard.defences.examples import three_kinds, told_apart
from mirguard.defences.job import Job
from mirguard.defences.outlier_class import outlier_class, widen
from mirguard.defences.pca_projection import pca_projection, principal_components
from mirguard.defences.perturbing import class_loss, uphill
from mirguard.defences.subnetwork import attach_subnetwork
from mirguard.errors import FileError, UsageError
from mirguard.models import catalogue
from mirguard.models.architectures import find_architecture, list_architectures
from mirguard.models.backbone import BackboneClassifier, make_head
from mirguard.models.front_ends import make_front_end
from mirguard.models.load_file import load_model_file
from mirguard.models.model_file import read_model_file
from mirguard.models.networks.hardened import build
from mirguard.models.networks.projection import blocks
from mirguard.models.networks.saved import save_network
from mirguard.models.networks.subnetwork import WithSubnetwork, shape_of
from mirguard.parameters import resolve

__all__ = ["cache", "files", "parent"]  # fixtures


def windows(count: int, first: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    sounds, labels = tones(count, first)
    return torch.from_numpy(sounds[:, :WINDOW]), torch.from_numpy(labels)


def perturbed(model, x: torch.Tensor, y: torch.Tensor, snr: float = 20.0) -> torch.Tensor:
    """Every row with a step along the gradient, at that SNR."""
    sign = torch.zeros(len(x), 1, dtype=torch.bool)
    direction = uphill(class_loss(model.front_end, model.network, y), sign)
    return x + x.square().mean(1, keepdim=True).sqrt() * 10 ** (-snr / 20) * direction(x)


# -- The outlier class -------------------------------------------------------------------------------------------------


def test_the_outlier_layer_is_the_log_odds_of_the_class_more(parent, tmp_path):
    made = outlier_class(job_of(parent, "outlier-class"))
    model = kept(tmp_path, "outlier", made.network)
    assert model.labels == LABELS and model.layers[0] == "outlier" and model.layers[-1] == "hidden"
    x, _ = windows(3, 100)
    with torch.no_grad():
        found, logits = model.features(x, ("outlier",))
        z = model.network.network(model.represent(x))
    assert logits.shape == (9, 3) and z.shape == (9, 4) and torch.equal(logits, z[:, :3])
    p = z.double().softmax(1)[:, 3]
    assert torch.allclose(found["outlier"][:, 0].double(), torch.log(p / (1 - p)), atol=1e-5)


def test_a_widened_network_says_of_the_labels_what_its_parent_says(parent):
    network = build(find_architecture("log-mel-cnn"), 3, {**parent.network.settings, "outlier": True})
    widen(network.network, parent.network)
    x = parent.represent(windows(2)[0])
    with torch.no_grad():
        assert torch.allclose(network.eval()(x), parent.decide(x), atol=1e-6)


def test_the_outlier_class_tells_adversarial_sounds_from_clean_and_noisy_ones(parent, tmp_path):
    job = job_of(parent, "outlier-class", 16, snr=15.0, spread=3.0, epochs=12, learning_rate=1e-2, steps=2)
    model = kept(tmp_path, "outlier", outlier_class(job).network)
    x, y = windows(8, 100)
    draw = torch.Generator().manual_seed(0)
    values = {"snr": 15.0, "spread": 0.0, "norm": "l2", "steps": 2}
    loss = class_loss(model.front_end, model.network, y)
    sounds, adversarial = three_kinds(x, model.network, values, draw, lambda sign: uphill(loss, sign))
    with torch.no_grad():
        found, _ = model.features(sounds, ("outlier",))
        right = (model.logits(x).argmax(1) == y).float().mean()
    assert told_apart(found["outlier"][:, 0], adversarial) > 0.75
    assert right > 0.8, "and it still tells the labels apart"


def test_the_area_under_the_curve_counts_pairs_and_half_of_ties(parent, monkeypatch):
    said = {"clean": torch.tensor([0.0, 1.0]), "attacked": torch.tensor([1.0, 2.0])}
    monkeypatch.setattr(watching, "log_odds", lambda _model, x: said[x])
    assert watching.auc(parent, "clean", "attacked") == pytest.approx((3 + 0.5) / 4)
    assert watching.watching_layer(parent) == ""


def test_tags_have_no_outlier_class(parent, files, tmp_path, cache, own_data):
    tagger = kept(tmp_path, "tagger", copy.deepcopy(parent.network), task="tagging")
    with pytest.raises(UsageError, match="classes that exclude each other; tags do not"):
        defend(tagger, files, "new", "outlier-class", cache=cache)


# -- The subnetwork ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["representation", "block-1", "hidden"])
def test_the_subnetwork_leaves_the_classifier_as_it_is(layer, parent, tmp_path):
    made = attach_subnetwork(job_of(parent, "subnetwork", layer=layer))
    assert same(arrays(parent.network), arrays(made.network.network)), "weights and running statistics"
    model = kept(tmp_path, "watched", made.network)
    x, _ = windows(4, 100)
    with torch.no_grad():
        found, logits = model.features(x, ("subnetwork", layer) if layer != "representation" else ("subnetwork",))
        assert torch.equal(logits, parent.logits(x))
        assert found["subnetwork"].shape == (12, 1)
        assert torch.equal(found["subnetwork"], model.network.both(model.represent(x))[1])
    assert made.found["layer"] == layer and model.layers[-1] == "hidden"


@pytest.mark.parametrize("adversary", ["static", "dynamic"])
def test_the_subnetwork_tells_adversarial_sounds_from_others(adversary, parent, tmp_path):
    job = job_of(
        parent, "subnetwork", 16, layer="representation", adversary=adversary, snr=15.0, spread=3.0, epochs=12,
        learning_rate=1e-2, steps=2,
    )  # fmt: skip
    model = kept(tmp_path, "watched", attach_subnetwork(job).network)
    x, y = windows(8, 100)
    with torch.no_grad():
        clean, _ = model.features(x, ("subnetwork",))
        attacked, _ = model.features(perturbed(model, x, y, 15.0), ("subnetwork",))
    auc = (attacked["subnetwork"] > clean["subnetwork"].T).float().mean()
    assert auc > 0.8


def test_the_dynamic_adversary_is_another_one(parent):
    one, other = (
        arrays(attach_subnetwork(job_of(parent, "subnetwork", adversary=adversary)).network)
        for adversary in ("static", "dynamic")
    )
    assert not same(one, other)


@pytest.mark.parametrize("architecture", [architecture.name for architecture in list_architectures()])
def test_a_subnetwork_fits_every_layer_of_every_network(architecture):
    found = find_architecture(architecture)
    network = found.build(3).eval()
    with torch.inference_mode():
        x = make_front_end(found.representation(), 16_000, 32_000)(torch.randn(2, 32_000) * 0.01)
        for layer in network.taps:
            watched = WithSubnetwork(network, layer, shape_of(network, layer, x[:1])).eval()
            logits, log_odds = watched.both(x)
            assert logits.shape == (2, 3) and log_odds.shape == (2, 1)


def test_a_layer_that_there_is_not_is_named(parent):
    with pytest.raises(UsageError, match="representation, block-1, block-2, hidden; not to 'attic'"):
        attach_subnetwork(job_of(parent, "subnetwork", layer="attic"))


# -- The projection ----------------------------------------------------------------------------------------------------


def test_the_projection_is_what_numpy_s_singular_vectors_reconstruct(parent, tmp_path):
    """Of the training sounds themselves: x̂ = μ + (x − μ)VᵀV with the first right singular vectors of the centred data."""
    job = job_of(parent, "pca-projection", 8, components=5, frames=4, retrain=False)
    exact = job.sounds[:, :WINDOW]  # windows as long as the sounds: nothing is left to chance
    job = replace(job, sounds=exact)
    model = kept(tmp_path, "projected", pca_projection(job).network)
    with torch.no_grad():
        heard = model.represent(torch.from_numpy(exact))
        found, logits = model.features(torch.from_numpy(exact), ("projection",))
    x = blocks(heard, 4).flatten(0, 1).double().numpy()
    _, _, v = np.linalg.svd(x - x.mean(0), full_matrices=False)
    wanted = x.mean(0) + (x - x.mean(0)) @ v[:5].T @ v[:5]
    frames = heard.shape[1]
    wanted = wanted.reshape(len(exact), -1, heard.shape[2])[:, :frames]
    assert np.allclose(found["projection"].numpy().reshape(wanted.shape), wanted, atol=1e-3)
    with torch.no_grad():
        assert torch.allclose(logits, parent.decide(torch.from_numpy(wanted).float()), atol=1e-2), "reconstruct"


def test_all_components_change_nothing(parent, tmp_path):
    job = job_of(parent, "pca-projection", components=16, frames=1, retrain=False)
    model = kept(tmp_path, "projected", pca_projection(job).network)
    x, _ = windows(3, 100)
    with torch.no_grad():
        assert torch.allclose(model.logits(x), parent.logits(x), atol=1e-3)


def test_components_are_orthonormal_and_hold_the_most_variance():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 6)) * [5, 4, 3, 2, 1, 0.5] + 7
    mean, components, explained = principal_components(x, 2)
    assert np.allclose(components @ components.T, np.eye(2), atol=1e-6)
    assert np.allclose(mean, x.mean(0), atol=1e-4)
    assert explained == pytest.approx(np.sum(np.linalg.svd(x - x.mean(0))[1][:2] ** 2) / ((x - x.mean(0)) ** 2).sum())


def test_retraining_changes_the_network_and_not_the_projection(parent):
    still, retrained = (
        pca_projection(job_of(parent, "pca-projection", components=8, retrain=retrain)).network
        for retrain in (False, True)
    )
    assert same(arrays(still.projection), arrays(retrained.projection))
    assert same(arrays(still.network), arrays(parent.network)) and not same(
        arrays(retrained.network), arrays(still.network)
    )


def test_gradients_go_through_the_projection(parent, tmp_path):
    job = job_of(parent, "pca-projection", components=4, frames=2, retrain=False)
    model = kept(tmp_path, "projected", pca_projection(job).network)
    x = windows(1)[0].requires_grad_()
    (g,) = torch.autograd.grad(model.logits(x).sum(), x)
    assert g.isfinite().all() and g.any()


def test_what_cannot_be_projected_is_answered_with_a_sentence(parent, tmp_path):
    with pytest.raises(UsageError, match="16 bands have 32 components at most; got 33"):
        pca_projection(job_of(parent, "pca-projection", components=33, frames=2))
    made = pca_projection(job_of(parent, "pca-projection", components=4, retrain=False))
    projected = kept(tmp_path, "projected", made.network)
    with pytest.raises(UsageError, match="hears through a projection already"):
        pca_projection(job_of(projected, "pca-projection"))
    raw = find_architecture("raw-cnn").build(3, {"channels": [4, 4], "kernel": 64, "hidden": 4})
    model = kept(tmp_path, "raw", raw, architecture="raw-cnn", representation="waveform")
    with pytest.raises(UsageError, match="hears the samples themselves"):
        pca_projection(job_of(model, "pca-projection"))


def test_a_classifier_on_a_backbone_has_its_features_projected(parent, files, cache, own_data, monkeypatch):
    monkeypatch.setattr(catalogue, "load_model", lambda name, progress=None: {parent.name: parent}[name])
    head = make_head(np.random.default_rng(0).standard_normal((3, 8)), np.array([0.1, 0.2, 0.3]))
    on_it = BackboneClassifier("on-it", parent, ("hidden",), head, LABELS)
    with pytest.raises(UsageError, match=r"on-it is built on tiny, which stays as it is.*can have pca-projection"):
        defend(on_it, files, "new", "distillation", cache=cache)
    with pytest.raises(UsageError, match="8 features"):
        defend(on_it, files, "new", "pca-projection", cache=cache, components=9)
    made = defend(on_it, files, "new", "pca-projection", cache=cache, components=3)
    assert made.classifier.backbone is parent and made.file.network["backbone_hash"] == parent.hash
    x = torch.from_numpy(np.concatenate([load_clip(i.path).samples[:, :WINDOW] for i in files.items]))
    job = Job(
        on_it,
        x.numpy(),
        np.zeros(len(x)),
        None,
        resolve(find_defence("pca-projection").parameters, {"components": 3}),
        0,
    )
    network = pca_projection(job).network
    with torch.no_grad():
        h = on_it.network.heard(on_it.represent(x)).double().numpy()
        logits = network(on_it.represent(x))
    _, _, v = np.linalg.svd(h - h.mean(0), full_matrices=False)
    projected = h.mean(0) + (h - h.mean(0)) @ v[:3].T @ v[:3]
    wanted = projected @ head.weight.detach().double().numpy().T + head.bias.detach().double().numpy()
    assert np.allclose(logits.numpy(), wanted, atol=1e-3)


# -- One on the other, and their files ---------------------------------------------------------------------------------


def test_a_projected_model_can_be_hardened_further_and_one_that_watches_itself_cannot(parent, tmp_path):
    projected = kept(
        tmp_path, "projected", pca_projection(job_of(parent, "pca-projection", components=8, retrain=False)).network
    )
    both = kept(tmp_path, "both", outlier_class(job_of(projected, "outlier-class")).network)
    assert both.layers[:2] == ("outlier", "projection")
    x, _ = windows(2)
    with torch.no_grad():
        assert both.features(x, both.layers)[0]["outlier"].shape == (6, 1)
    anew = job_of(projected, "outlier-class", start="nothing"), job_of(projected, "distillation", start="nothing")
    for network in (outlier_class(anew[0]).network.network, distillation(anew[1]).network):
        assert same(arrays(network.projection), arrays(projected.network.projection)), "learned from nothing behind it"
    with pytest.raises(UsageError, match=r"both watches itself already \(outlier\)"):
        check_parent(both, find_defence("distillation"))


@pytest.mark.parametrize(
    ("added", "sentence"),
    [
        ({"outlier": "yes"}, "outlier is true or false"),
        ({"outlier": True, "subnetwork": {"layer": "hidden", "shape": [8]}}, "not both"),
        ({"subnetwork": {"layer": "attic", "shape": [8]}}, "not to 'attic'"),
        ({"subnetwork": {"layer": "hidden"}}, "is a table with layer, shape, channels"),
        ({"subnetwork": {"layer": 3, "shape": [8]}}, "names the layer"),
        ({"subnetwork": {"layer": "hidden", "shape": [1, 2, 3, 4]}}, "one to three dimensions"),
        ({"subnetwork": {"layer": "hidden", "shape": [10**9]}}, "whole number from 1"),
        ({"subnetwork": {"layer": "representation", "shape": [4000]}}, "cannot read samples"),
        ({"projection": {"components": 4}}, "is a table with components, frames, bands"),
        ({"projection": {"components": 40, "frames": 2, "bands": 16}}, "at most 32 components; got 40"),
        ({"projection": 4}, "is a table with"),
    ],
)
def test_a_stranger_s_table_is_refused_with_a_sentence(added, sentence, parent, tmp_path):
    network = copy.deepcopy(parent.network)
    network.settings = {**network.settings, **added}
    file = save_network(
        tmp_path / "strange", "strange", architecture="log-mel-cnn", network=network, representation=HEARD,
        sample_rate=16_000, window=WINDOW, labels=LABELS,
    )  # fmt: skip
    with pytest.raises(FileError, match=sentence):
        load_model_file(file)


def test_a_projection_of_other_bands_than_the_front_end_s_is_refused(parent, tmp_path):
    network = build(find_architecture("log-mel-cnn"), 3, {"projection": {"components": 2, "frames": 2, "bands": 20}})
    with pytest.raises(FileError, match="does not take what its representation gives"):
        kept(tmp_path, "strange", network)


def test_the_file_says_what_was_added(parent, tmp_path):
    kept(tmp_path, "watched", attach_subnetwork(job_of(parent, "subnetwork", layer="hidden")).network)
    table = read_model_file(tmp_path / "watched").network
    assert table["subnetwork"] == {"layer": "hidden", "shape": [8], "channels": [16, 24, 24]}
