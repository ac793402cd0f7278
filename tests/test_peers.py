"""Our attacks against other people's (packaging/peers.txt), on the bundled model and on a linear one.

Of the peers those are asked that are known to be right, at step sizes that suit sound (`peers.py`)."""

from __future__ import annotations

import math

import pytest
import torch
from nets import WINDOW, curved, linear, sounds
from peers import Peer, by_adv_lib, by_foolbox, by_secml

from mirguard.datasets.synthesis import dataset
from mirguard.experiment import attack
from mirguard.models.bundled import NAME
from mirguard.models.catalogue import load_model

DEEPFOOL = {
    "l2": (by_foolbox("L2DeepFoolAttack", steps=50), by_adv_lib("df", steps=50)),
    "linf": (by_foolbox("LinfDeepFoolAttack", steps=50), by_adv_lib("df", steps=50, norm=math.inf)),
}
SMALLEST = {
    "l2": (
        by_foolbox("DDNAttack", steps=60),
        by_adv_lib("ddn", steps=60, init_norm=0.05, levels=None),
        by_adv_lib("fab", norm=2, n_iter=10),
        by_secml("fmn:FMN", "l2", num_steps=60, step_size=0.3, y_target=None),
    ),
    "linf": (
        by_adv_lib("fmn", norm=math.inf, steps=60, α_init=0.03),
        by_secml("fmn:FMN", "linf", num_steps=60, step_size=0.03, y_target=None),
    ),
}
CARLINI = by_foolbox("L2CarliniWagnerAttack", steps=40, stepsize=1e-3, binary_search_steps=5)
ORDER = {"l2": 2.0, "linf": math.inf}


@pytest.fixture(scope="module")
def instruments():
    """The bundled model and windows that it gets right, with their labels."""
    model = load_model(NAME)
    clips = list(dataset(10, 77, "test", model.sample_rate))
    x = torch.stack([torch.from_numpy(clip.samples[: model.window]) for clip in clips])
    labels = torch.tensor([model.index(clip.label) for clip in clips])
    right = model.logits(x).argmax(1) == labels
    assert right.sum() >= 5
    return model, x[right][:5], labels[right][:5]


def size(model, x: torch.Tensor, labels: torch.Tensor, delta: torch.Tensor, norm: str) -> torch.Tensor:
    """‖δ‖ of each row; inf where the model is not fooled."""
    fooled = model.logits(x + delta).argmax(1) != labels
    return torch.where(fooled, delta.norm(ORDER[norm], dim=1), torch.inf)


def best_of(peers: tuple[Peer, ...], case, norm: str) -> torch.Tensor:
    """The smallest that any of the peers finds for each row."""
    return torch.stack([size(*case, peer(*case).delta, norm) for peer in peers]).amin(0)


def ours(name: str, case, measured: str, **options) -> torch.Tensor:
    model, x, labels = case
    found = attack(model, x, name, labels=labels, confidence=0.0, **options)
    return size(*case, found.adversarial - x, measured)


@pytest.mark.parametrize("norm", ORDER)
def test_nobody_finds_smaller_ones_than_minimal(instruments, norm):
    """Row by row against the best of all."""
    best = best_of(SMALLEST[norm] + DEEPFOOL[norm], instruments, norm)
    assert best.isfinite().all()
    assert (ours(f"minimal-{norm}", instruments, norm, steps=120) / best).median() <= 1.05


@pytest.mark.parametrize("norm", ORDER)
def test_deepfool_is_theirs(instruments, norm):
    best = best_of(DEEPFOOL[norm], instruments, norm)
    assert (ours("deepfool", instruments, norm, norm=norm) / best <= 1.05).all()


def test_cw_l2_is_no_larger_than_theirs_with_fewer_gradients(instruments):
    model, x, labels = instruments
    peer = CARLINI(*instruments)
    found = attack(model, x, "cw-l2", labels=labels, confidence=0.0, searches=3, steps=40)
    assert found.gradients.float().mean() <= peer.gradients
    assert (found.l2 / size(*instruments, peer.delta, "l2")).median() <= 1.05


@pytest.mark.parametrize("norm", ORDER)
def test_pgd_fools_all_that_theirs_does(instruments, norm):
    """The same steps inside the same budget; ours keeps the best on the way."""
    model, x, _labels = instruments
    epsilon = 0.0007 if norm == "l2" else 0.0015
    radius = epsilon * math.sqrt(model.window) if norm == "l2" else epsilon
    peer = by_foolbox(
        "L2PGD" if norm == "l2" else "LinfPGD", epsilon=radius, steps=10, rel_stepsize=0.25, random_start=False
    )(*instruments)
    theirs = size(*instruments, peer.delta, norm).isfinite()
    assert 0 < theirs.sum() < len(x)
    options = {"norm": norm, "epsilon": epsilon, "steps": 10, "step_size": 0.25 * epsilon}
    assert (ours("pgd", instruments, norm, **options).isfinite() | ~theirs).all()


@pytest.mark.parametrize("norm", ORDER)
def test_pgd_takes_the_same_steps_as_theirs(norm):
    model, x = curved(), sounds(6, 1600)
    labels = model.logits(x).argmax(1)
    epsilon, last = 0.01, []
    radius = epsilon * math.sqrt(model.window) if norm == "l2" else epsilon
    kind = "L2PGD" if norm == "l2" else "LinfPGD"
    theirs = by_foolbox(kind, epsilon=radius, steps=7, rel_stepsize=0.2, random_start=False)(model, x, labels).delta
    options = {"norm": norm, "epsilon": epsilon, "steps": 7, "step_size": 0.2 * epsilon, "stop_early": False}
    attack(model, x, "pgd", progress=lambda step: last.append(step.delta.clone()), **options)
    difference = (last[-1] - theirs).norm(dim=1) / theirs.norm(dim=1)
    assert (difference < (1e-4 if norm == "l2" else 0.05)).all(), difference.tolist()  # signs of next to nothing differ


@pytest.mark.parametrize("norm", ORDER)
def test_on_a_linear_model_all_agree(norm):
    model, x = linear(5, seed=2), sounds(6, WINDOW, 3)
    case = (model, x, model.logits(x).argmax(1))
    best = best_of(SMALLEST[norm] + DEEPFOOL[norm], case, norm)
    assert (ours(f"minimal-{norm}", case, norm) / best <= 1.005).all()
    assert (ours("deepfool", case, norm, norm=norm) / best <= 1.03).all()
    assert (ours(f"cw-{norm}", case, norm) / best <= 1.05).all()
