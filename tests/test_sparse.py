"""jsma against a plain copy of its greedy rule; cw-l0 against the fewest samples that can do."""

from __future__ import annotations

import itertools

import pytest
import torch
from nets import curved, linear, sounds

from mirguard.attacks.jsma import PATCH, Blocks, Patches
from mirguard.attacks.restriction import Restriction
from mirguard.errors import UsageError
from mirguard.experiment import attack

BLOCK = 100


def components(x: torch.Tensor, features: str) -> torch.Tensor:
    """The parts c_i `(M, n)` of one sound."""
    if features == "waveform-blocks":
        parts = [torch.zeros_like(x) for _ in range(0, len(x), BLOCK)]
        for i, part in enumerate(parts):
            part[i * BLOCK : (i + 1) * BLOCK] = x[i * BLOCK : (i + 1) * BLOCK]
        return torch.stack(parts)
    own = Patches(x[None])
    frames, bins = own.spectra.shape[1:]
    parts = []
    for t, b in itertools.product(range(0, frames, PATCH[0]), range(0, bins, PATCH[1])):
        mask = torch.zeros(1, frames, bins)
        mask[:, t : t + PATCH[0], b : b + PATCH[1]] = 1.0
        parts.append(own.stft.inverse(mask * own.spectra, len(x))[0])
    return torch.stack(parts)


@pytest.mark.parametrize("features", ["waveform-blocks", "spectrogram-patches"])
def test_parts_make_up_the_sound_and_have_their_slopes(features):
    x = sounds(2, 1600)
    parts = Blocks(x, BLOCK) if features == "waveform-blocks" else Patches(x)
    g = torch.randn(2, 1600, generator=torch.Generator().manual_seed(1))
    slopes = parts.slopes(g)
    for row in range(2):
        c = components(x[row], features)
        assert len(c) == parts.count
        torch.testing.assert_close(c.sum(0), x[row], atol=1e-5, rtol=0)
        torch.testing.assert_close(slopes[row], c @ g[row], atol=1e-4, rtol=1e-3)
        gains = torch.linspace(-1, 1, parts.count)
        torch.testing.assert_close(parts.sum(gains.expand(2, -1))[row], gains @ c, atol=1e-5, rtol=1e-4)


def greedy(model, x, target, features, theta, gamma, saliency, direction, outputs) -> torch.Tensor:
    """The rule in loops over features and pairs, for one sound; stops when the target comes out."""
    c = components(x, features)
    gains = torch.zeros(len(c))
    for _ in range(int(gamma * len(c) / (1 if saliency == "single" else 2))):
        at = (x + gains @ c).requires_grad_()
        z = model.logits(at[None])[0]
        if z.argmax() == target:
            break
        of = z if outputs == "logits" else z.softmax(0)
        alpha = c @ torch.autograd.grad(of[target], at, retain_graph=True)[0]
        beta = c @ torch.autograd.grad(of.sum() - of[target], at)[0]
        sign = [-1.0 if direction == "both" and a < 0 else 1.0 for a in alpha.tolist()]
        moves = [
            (s * a, s * b, abs(gain + theta * s) <= 1 + 1e-6)
            for s, a, b, gain in zip(sign, alpha.tolist(), beta.tolist(), gains.tolist(), strict=True)
        ]
        best, chosen = 0.0, ()
        if saliency == "single":
            for i, (a, b, free) in enumerate(moves):
                if free and a > 0 and b < 0 and a * -b > best:
                    best, chosen = a * -b, (i,)
        else:
            for i, j in itertools.combinations(range(len(moves)), 2):
                a, b = moves[i][0] + moves[j][0], moves[i][1] + moves[j][1]
                if moves[i][2] and moves[j][2] and a > 0 and b < 0 and a * -b > best:
                    best, chosen = a * -b, (i, j)
        if not chosen:
            break
        for i in chosen:
            gains[i] += theta * sign[i]
    return gains @ c


@pytest.mark.parametrize("outputs", ["logits", "softmax"])
@pytest.mark.parametrize("direction", ["both", "up"])
@pytest.mark.parametrize(
    ("features", "saliency", "theta"),
    [
        ("waveform-blocks", "single", 0.5),
        ("waveform-blocks", "pairs", 1.0),  # 16 features: the shortlist holds all of them
        ("spectrogram-patches", "single", 1.0),
    ],
)
def test_it_does_what_the_greedy_rule_does(features, saliency, theta, direction, outputs):
    model = curved(4, seed=3)
    x = sounds(3, 1600, 2)
    targets = (model.logits(x).argmax(1) + 1) % 4
    own = {"features": features, "saliency": saliency, "theta": theta, "direction": direction, "outputs": outputs}
    changed = []
    for row in range(3):
        expected = greedy(model, x[row], int(targets[row]), gamma=0.5, **own)
        # No look ends it early: the steps themselves are compared.
        last = []
        attack(
            model,
            x[row : row + 1],
            "jsma",
            target=targets[row : row + 1],
            gamma=0.5,
            rounds=10_000,
            block=BLOCK,
            confidence=0.0,
            progress=lambda step, last=last: last.append(step.delta[0].clone()),
            **own,
        )
        box = (x[row] + expected).clamp(-1, 1) - x[row]
        torch.testing.assert_close(last[-1], box, atol=2e-5, rtol=1e-3)
        changed.append(bool(expected.any()))
    assert any(changed) or direction == "up"


def test_untargeted_it_goes_for_the_runner_up_within_its_share_and_budget():
    model = curved(4, seed=1)
    x = sounds(6, 1600, 7)
    runner_up = model.logits(x).topk(2, 1).indices[:, 1]
    options = {"features": "waveform-blocks", "block": 16, "gamma": 0.1}
    losses = []
    free = attack(model, x, "jsma", progress=lambda step: losses.append(step.loss), **options)
    assert losses and all(torch.isnan(loss).all() for loss in losses), "slopes of logits are no loss that goes down"
    targeted = attack(model, x, "jsma", target=runner_up, **options)
    assert free.success.any()
    changed = ((free.adversarial - x).unflatten(1, (100, 16)) != 0).any(2).sum(1)
    assert (changed <= 10).all()
    assert (changed > 0).all()
    assert torch.equal(free.adversarial[targeted.success], targeted.adversarial[targeted.success])
    tight = attack(model, x, "jsma", snr=30.0, **options)
    assert (tight.snr_db >= 30.0 - 1e-4).all()
    with pytest.raises(UsageError, match="features"):
        attack(model, x, "jsma", features="pixels")


@pytest.mark.parametrize("level", [0.1, 2.0])
def test_cw_l0_changes_hardly_more_samples_than_must_be(level):
    """Of two linear classes, the fewest are those that can move the margin farthest inside the box, one after another; a
    confidence of 3 makes that some dozens."""
    model = linear(2, window=400, seed=2)
    x = sounds(10, 400, 3, level=level).clamp(-1, 1)
    z = model.logits(x)
    labels = z.argmax(1)
    found = attack(model, x, "cw-l0", confidence=3.0)
    assert found.success.all()
    for row, own in enumerate(labels.tolist()):
        w = model.network.layer.weight[1 - own] - model.network.layer.weight[own]
        reach = torch.where(w > 0, w * (1 - x[row]), w * (-1 - x[row])).sort(descending=True).values
        fewest = int((reach.cumsum(0) < 3.0 + z[row, own] - z[row, 1 - own]).sum()) + 1
        changed = int((found.adversarial[row] != x[row]).sum())
        assert fewest <= changed <= 1.2 * fewest + 1e-9, (fewest, changed)


def test_cw_l0_at_silence_and_with_targets():
    model = curved(4, seed=1)
    silent = attack(model, torch.zeros(2, model.window), "cw-l0")
    assert silent.success.all()
    assert torch.isfinite(silent.adversarial).all()
    x = sounds(4, model.window, 3)
    targets = (model.logits(x).argmax(1) + 1) % 4
    found = attack(model, x, "cw-l0", target=targets)
    quiet = attack(model, x, "minimal-l2", target=targets)
    done = found.success & quiet.success
    assert done.sum() >= 3
    few, many = (((other.adversarial - x) != 0).sum(1)[done] for other in (found, quiet))
    assert (few < 0.5 * many).all()


def test_cw_l0_says_what_single_samples_cannot_keep_to():
    model = curved()
    x = sounds(2, model.window)
    for restriction in (Restriction(band=(1000, 3000)), Restriction(masked=True)):
        with pytest.raises(UsageError, match="single samples"):
            attack(model, x, "cw-l0", epsilon=0.1, restriction=restriction)


def test_many_features_are_changed_in_few_steps():
    """With no more steps than these, each step changes several of the most salient features, and no more than γ allows."""
    model, x = curved(seed=2), sounds(3, 1600, 4)
    options = {"features": "waveform-blocks", "block": 16, "gamma": 0.5, "theta": 1.0, "confidence": 100.0}
    for saliency in ("single", "pairs"):
        found = attack(model, x, "jsma", rounds=5, saliency=saliency, **options)
        changed = ((found.adversarial - x).reshape(3, 100, 16).abs().amax(2) > 0).sum(1)
        assert (changed <= 50).all()
        assert changed.max() > 10  # five features would be as many as there are rounds
        assert (found.gradients <= 10).all()
