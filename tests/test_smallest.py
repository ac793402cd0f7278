"""minimal-l2 and minimal-linf against closed forms in a box, linear programs and DDN."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from nets import curved, linear, sounds
from scipy.optimize import linprog, nnls

from mirguard.attacks.losses import margin
from mirguard.attacks.restriction import Restriction
from mirguard.experiment import attack

NORMS = {"l2": 1.02, "linf": 1.05}


def nearest(model, x: torch.Tensor, labels: torch.Tensor, norm: str) -> np.ndarray:
    """The smallest δ in the box that reaches one of the pairwise boundaries, in ε's measure: clip(tw) or clip(t·sign w)."""
    weight, z = model.network.layer.weight.double().numpy(), model.logits(x).double().numpy()
    sizes = []
    box = (-1.0 - x).double().numpy(), (1.0 - x).double().numpy()
    for row, own, lower, upper in zip(z, labels.tolist(), *box, strict=True):
        found = [math.inf]
        for k in set(range(len(row))) - {own}:
            w = weight[k] - weight[own]
            s = w if norm == "l2" else np.sign(w)
            low, high = 0.0, 1e6
            for _ in range(100):
                t = (low + high) / 2
                low, high = (low, t) if w @ np.clip(t * s, lower, upper) >= row[own] - row[k] else (t, high)
            if high < 1e6:
                delta = np.clip(high * s, lower, upper)
                found.append(math.sqrt((delta**2).mean()) if norm == "l2" else abs(delta).max())
        sizes.append(min(found))
    return np.array(sizes)


def size(found, norm: str) -> np.ndarray:
    return (found.l2 / math.sqrt(found.adversarial.shape[1]) if norm == "l2" else found.linf).numpy()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("shift", [0.0, -50.0])
@pytest.mark.parametrize(
    ("classes", "window", "level"),
    [(2, 400, 0.1), (2, 50, 2.0), (5, 100, 0.1), (10, 400, 0.1), (10, 50, 2.0), (3, 2000, 2.0)],
)
def test_linear_models_in_a_box(classes, window, level, shift, norm):
    """With 40 gradients; sounds of level 2 are clipped, so that a good part of the samples is at the edge of the box."""
    model = linear(classes, window=window, shift=shift, seed=classes)
    x = sounds(12, window, 5, level=level).clamp(-1, 1)
    labels = model.logits(x).argmax(1)
    optimum = nearest(model, x, labels, norm)
    found = attack(model, x, f"minimal-{norm}", confidence=0.0)
    assert found.success.all()
    assert (found.gradients <= 40).all()
    ratio = size(found, norm) / optimum
    assert ratio.max() <= NORMS[norm], ratio
    # float32 cannot tell margins below 1e-5 from 0 when the logits are near -50
    assert ratio.min() >= (0.999 if shift == 0 else 0.98), ratio


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("target", [1, 3])
def test_targets_that_must_beat_several_classes(norm, target):
    """The optimum lies in a corner between classes: a linear program (L∞), a least-distance problem (L2)."""
    model = linear(6, seed=3)
    x = sounds(8, model.window, 4)
    x = x[model.logits(x).argmax(1) != target]
    weight, n = model.network.layer.weight.double().numpy(), model.window
    others = [k for k in range(6) if k != target]
    slopes = weight[target] - weight[others]
    found = attack(
        model,
        x,
        f"minimal-{norm}",
        confidence=0.0,
        target=torch.full((len(x),), target),
        labels=model.logits(x).argmax(1),
    )
    assert found.success.all()
    for row, measured in zip(model.logits(x).double().numpy(), size(found, norm), strict=True):
        gaps = row[others] - row[target]
        if norm == "linf":
            cube = np.vstack([np.eye(n), -np.eye(n)])
            optimum = linprog(
                np.r_[np.zeros(n), 1.0],
                A_ub=np.vstack([np.c_[-slopes, np.zeros(5)], np.c_[cube, -np.ones(2 * n)]]),
                b_ub=np.r_[-gaps, np.zeros(2 * n)],
                bounds=[(None, None)] * n + [(0, None)],
            ).fun
        else:  # Lawson & Hanson 1974, ch. 23
            system, right = np.vstack([slopes.T, gaps]), np.r_[np.zeros(n), 1.0]
            residual = system @ nnls(system, right)[0] - right
            optimum = np.linalg.norm(residual[:-1] / residual[-1]) / math.sqrt(n)
        assert 0.999 <= measured / optimum <= NORMS[norm]


def ddn(model, x: torch.Tensor, labels: torch.Tensor, steps: int) -> torch.Tensor:
    """Rony et al. 2019, alg. 1 (γ = 0.05, steps 1 to 0.01 by cosine, from ε = 1): the smallest L2 norm seen."""
    delta, epsilon, best = torch.zeros_like(x), torch.ones(len(x)), torch.full((len(x),), torch.inf)
    for step in range(steps):
        leaf = delta.clone().requires_grad_()
        z = model.logits(x + leaf)
        (g,) = torch.autograd.grad(torch.nn.functional.cross_entropy(z, labels, reduction="sum"), leaf)
        fooled = z.argmax(1) != labels
        best = torch.where(fooled, torch.minimum(best, delta.norm(dim=1)), best)
        epsilon = epsilon * torch.where(fooled, 0.95, 1.05)
        delta = delta + (0.505 + 0.495 * math.cos(math.pi * step / steps)) * g / g.norm(dim=1, keepdim=True)
        delta = (x + delta * (epsilon / delta.norm(dim=1))[:, None]).clamp(-1, 1) - x
    return best


def test_it_is_smaller_than_ddn_with_fewer_gradients():
    model = curved(6, seed=2)
    x = sounds(24, model.window, 3)
    labels = model.logits(x).argmax(1)
    found = attack(model, x, "minimal-l2", confidence=0.0)
    assert found.success.all()
    assert found.l2.median() <= ddn(model, x, labels, 100).median()
    longer = attack(model, x, "minimal-l2", confidence=0.0, steps=120)
    assert longer.l2.median() <= 1.01 * ddn(model, x, labels, 1000).median()
    assert (longer.gradients <= 120).all()


@pytest.mark.parametrize("norm", NORMS)
def test_results_lie_as_far_beyond_the_boundary_as_is_asked(norm):
    model = curved(4, seed=1)
    x = sounds(8, model.window, 3)
    labels = model.logits(x).argmax(1)
    near, far = (attack(model, x, f"minimal-{norm}", confidence=kappa) for kappa in (0.0, 1.0))
    beyond = margin(model.logits(far.adversarial), labels, None)
    assert (beyond >= 0.999).all()
    assert beyond.median() < 1.1
    assert (size(near, norm) < size(far, norm)).all()


@pytest.mark.parametrize("norm", NORMS)
def test_restricted_to_a_time_range(norm):
    model = linear(4, window=400, sample_rate=1000)
    x = sounds(6, 400, 1)
    found = attack(model, x, f"minimal-{norm}", confidence=0.0, restriction=Restriction(time=(0.1, 0.3)))
    delta = found.adversarial - x
    assert found.success.all()
    assert not delta[:, :100].any()
    assert not delta[:, 300:].any()
    # As if the model heard nothing else.
    weight, z, labels = model.network.layer.weight[:, 100:300], model.logits(x), model.logits(x).argmax(1)
    for row, own in enumerate(labels.tolist()):
        w = weight - weight[own]
        steep = w.norm(dim=1) * math.sqrt(400) if norm == "l2" else w.abs().sum(1)
        distances = (z[row, own] - z[row]) / steep
        optimum = min(float(distances[k]) for k in range(4) if k != own)
        assert 0.999 <= float(size(found, norm)[row]) / optimum <= NORMS[norm]


@pytest.mark.parametrize("norm", NORMS)
def test_silence_where_the_gradient_vanishes(norm):
    """Energies have no slope at 0: a little noise has to break the tie."""
    model = curved(4, seed=0)
    found = attack(model, torch.zeros(3, model.window), f"minimal-{norm}")
    assert torch.isfinite(found.adversarial).all()
    assert found.success.all()
