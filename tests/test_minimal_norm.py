"""The literature's minimal-norm attacks against closed-form distances of linear models."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import WINDOW, curved, linear, sounds
from test_attacks import distances

from mirguard.attacks.catalogue import find_attack
from mirguard.experiment import attack

# How far above the closed form each may end, and in which norm. DeepFool goes 2 % past every boundary.
WITHIN = {
    ("lbfgs", "l2"): 2.0,
    ("deepfool", "l2"): 1.0201,
    ("deepfool", "linf"): 1.0201,
    ("cw-l2", "l2"): 1.05,
    ("cw-linf", "linf"): 1.05,
}


def size(found, norm: str) -> torch.Tensor:
    return found.l2 / WINDOW**0.5 if norm == "l2" else found.linf


def options(name: str, norm: str) -> dict[str, str]:
    """The norm, where the attack knows more than one."""
    return {} if find_attack(name).norm else {"norm": norm}


@pytest.mark.parametrize(("name", "norm"), WITHIN)
@pytest.mark.parametrize("classes", [2, 4, 10])
@pytest.mark.parametrize("shift", [0.0, -50.0])
def test_linear_models_are_left_by_the_shortest_way(name, norm, classes, shift):
    model, x = linear(classes, seed=classes, shift=shift), sounds(5, WINDOW, classes)
    optimum, _ = distances(model, x, norm)
    found = attack(model, x, name, confidence=0.0, **options(name, norm))
    assert found.success.all()
    ratio = size(found, norm) / optimum
    assert (ratio >= 0.999).all()
    assert (ratio <= WITHIN[name, norm]).all(), ratio.tolist()


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    classes=st.integers(2, 12),
    window=st.integers(20, 600),
    norm=st.sampled_from(["l2", "linf"]),
)
def test_deepfool_stops_two_per_cent_past_the_nearest_boundary(seed, classes, window, norm):
    """All classes looked at: one step is the closed form, and nothing is added but the overshoot."""
    model, x = linear(classes, seed, window), sounds(4, window, seed, level=0.05)
    optimum, _ = distances(model, x, norm)
    options = {"norm": norm, "candidates": classes, "confidence": 0.0}
    found = attack(model, x, "deepfool", **options)
    reached = found.l2 / window**0.5 if norm == "l2" else found.linf
    inside = found.adversarial.abs().amax(1) < 1.0
    assert found.success.all()
    assert (reached <= 1.02 * (1 + 1e-4) * optimum + 1e-7)[inside].all()


@pytest.mark.parametrize(("name", "norm"), WITHIN)
def test_a_target_is_reached(name, norm):
    model, x = curved(seed=2), sounds(6, 1600, 4)
    target = (model.logits(x).argmax(1) + 1) % 4
    found = attack(model, x, name, target=target, **options(name, norm))
    assert torch.equal(model.logits(found.adversarial).argmax(1), target)


@pytest.mark.parametrize(("name", "norm"), WITHIN)
def test_confidence_is_the_margin_that_is_left(name, norm):
    model, x = curved(seed=2), sounds(4, 1600, 4)
    found = attack(model, x, name, confidence=0.5, **options(name, norm))
    z = model.logits(found.adversarial).sort(1).values
    assert (z[:, -1] - z[:, -2] >= 0.5 - 1e-4).all()
    assert (attack(model, x, name, confidence=0.0, **options(name, norm)).l2 < found.l2).all()


@pytest.mark.parametrize(("name", "norm"), WITHIN)
def test_samples_at_full_scale_can_still_be_moved(name, norm):
    """The tanh box has no slope at its edges; half of the samples lie there."""
    x = sounds(4, WINDOW, 8, level=0.5)
    x[:, ::2] = x[:, ::2].sign()
    found = attack(linear(3, seed=1), x, name, **options(name, norm))
    assert found.success.all()
    assert found.adversarial.abs().max() <= 1.0


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_deepfool_goes_to_the_nearest_class_past_samples_that_the_box_holds(norm):
    """The shortest way where the box leaves only the upward direction: the same closed form on the samples that can move."""
    model = linear(2, seed=5)
    x = sounds(4, WINDOW, 3)
    x[:, ::2] = 1.0
    labels = model.logits(x).argmax(1)
    w = model.network.layer.weight
    way = w[1 - labels] - w[labels]
    way = way * ~((x == 1.0) & (way > 0))
    z = model.logits(x)
    gap = z.amax(1) - z.amin(1)
    optimum = gap / way.norm(dim=1) / WINDOW**0.5 if norm == "l2" else gap / way.abs().sum(1)
    found = attack(model, x, "deepfool", norm=norm, confidence=0.0)
    assert found.success.all()
    torch.testing.assert_close(size(found, norm) / optimum, torch.full((4,), 1.02), atol=2e-3, rtol=0)


@pytest.mark.parametrize("name", ["cw-l2", "cw-linf"])
@pytest.mark.parametrize("every", [1, 2])
def test_the_tanh_box_holds_nobody_at_its_edge(name, every):
    """Clipped masters: the optimum of a linear model in the box is Π(r·w) or Π(r·sign w), r found by bisection."""
    model = linear(2, seed=5)
    x = sounds(4, WINDOW, 3)
    x[:, ::every] = x[:, ::every].sign()
    z, weight = model.logits(x), model.network.layer.weight
    labels = z.argmax(1)
    way = weight[1 - labels] - weight[labels]
    room = torch.where(way > 0, 1.0 - x, 1.0 + x)
    steps = way.abs() if name == "cw-l2" else torch.ones_like(way)
    low, high = torch.zeros(4, 1), torch.full((4, 1), 10.0)
    for _ in range(50):
        r = (low + high) / 2.0
        fooled = (torch.minimum(r * steps, room) * way.abs()).sum(1) >= z.amax(1) - z.amin(1)
        low, high = torch.where(fooled[:, None], low, r), torch.where(fooled[:, None], r, high)
    optimum = torch.minimum(high * steps, room)
    optimum = optimum.norm(dim=1) / WINDOW**0.5 if name == "cw-l2" else optimum.amax(1)
    found = attack(model, x, name, confidence=0.0)
    assert found.success.all()
    ratio = size(found, find_attack(name).norm) / optimum
    assert (ratio <= 1.02).all() and (ratio >= 0.999).all(), ratio.tolist()
