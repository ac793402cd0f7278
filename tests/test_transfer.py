"""Transfer between models: exact SNR, what is counted, and attacks from surrogates on all kinds of victims."""

from __future__ import annotations

import json
import math
import threading

import pytest
import torch
from nets import WINDOW, Linear, curved, linear, sounds
from torch import nn

from mirguard.clip import Clip
from mirguard.errors import Cancelled, UsageError
from mirguard.experiment import attack
from mirguard.experiment.transfer import TARGETED, UNTARGETED, Cell, TransferMatrix, transfer_matrix
from mirguard.models.contract import TorchClassifier


def named(model, name):
    model.name = name
    return model


def said(model, x):
    return [model.labels[k] for k in model.logits(x).argmax(1).tolist()]


def reordered(model, order):
    """The same model with its labels in another order."""
    net = Linear(len(order), model.window, 0)
    net.layer.weight.data = model.network.layer.weight.data[order]
    net.layer.bias.data = model.network.layer.bias.data[order]
    return TorchClassifier(
        "reordered",
        nn.Identity(),
        net,
        sample_rate=model.sample_rate,
        window=model.window,
        labels=[model.labels[k] for k in order],
        taps={"logits": "layer"},
    )


def test_every_source_is_heard_at_exactly_the_snr():
    """What reaches the targets: x + δ with |δ| as it was asked for, also where the box cuts and where noise is the source."""
    model = named(linear(), "one")
    x = sounds(6, WINDOW, level=0.7).clamp(-1, 1)
    heard = []
    whole = model.logits
    truth = said(model, x)
    model.logits = lambda windows: (heard.append(windows.detach().clone()), whole(windows))[1]
    transfer_matrix([model], [model], x, truth, "fgsm", snr=12.0)
    last = torch.cat(heard[-1:])
    snr = 10 * torch.log10(x.square().sum(1) / (last - x).square().sum(1))
    torch.testing.assert_close(snr, torch.full((6,), 12.0), atol=0.01, rtol=0)
    assert last.abs().max() <= 1.0


@pytest.mark.parametrize("goal", [UNTARGETED, TARGETED])
def test_cells_count_what_the_target_got_right(goal):
    one, other = named(curved(seed=1), "one"), named(curved(seed=2), "other")
    x = sounds(12, one.window, 3)
    truth = said(one, x)
    right = sum(a == b for a, b in zip(said(other, x), truth, strict=True))
    found = transfer_matrix([one, [one, other]], [one, other], x, truth, snr=8.0, goal=goal, steps=10)
    assert found.sources == ((), ("one",), ("one", "other"))
    assert {cell.clips for cell in found.cells if cell.target == "one"} == {12}
    assert {cell.clips for cell in found.cells if cell.target == "other"} == {right}
    assert found.cell(("one",), "one").known and not found.cell(("one",), "other").known
    assert found.cell(("one",), "one").hits > found.cell((), "one").hits
    low, high = found.cell(("one",), "one").interval
    assert low <= found.cell(("one",), "one").rate <= high
    assert TransferMatrix.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_targets_with_their_labels_in_another_order_are_told_apart():
    """The same network under reordered labels is fooled exactly as the source is, whichever comes first."""
    source = named(linear(), "source")
    again = reordered(source, [2, 0, 3, 1])
    x = sounds(20, WINDOW, 5)
    truth = said(source, x)
    for goal in (UNTARGETED, TARGETED):
        found = transfer_matrix([source, again], [source, again], x, truth, snr=15.0, goal=goal)
        hits = {cell.hits for cell in found.cells if cell.sources}
        assert len(hits) == 1 and hits.pop() > 0


def test_what_cannot_be_counted_is_refused_and_cancelling_ends_it():
    model = curved()
    x = sounds(3, model.window)
    truth = said(model, x)
    with pytest.raises(UsageError, match="silent"):
        transfer_matrix([model], [model], torch.zeros_like(x), truth)
    with pytest.raises(UsageError, match="true label"):
        transfer_matrix([model], [model], x, truth[:2])
    with pytest.raises(UsageError, match="untargeted or targeted"):
        transfer_matrix([model], [model], x, truth, goal="random")
    with pytest.raises(UsageError, match="no label"):
        transfer_matrix([model], [model], x, ["jazz"] * 3)
    cancel, steps = threading.Event(), []
    with pytest.raises(Cancelled):
        transfer_matrix(
            [model], [model], x, truth, cancel=cancel, progress=lambda *at: (steps.append(at), at[0] and cancel.set())
        )
    assert steps == [(0, 2), (1, 2)]
    assert math.isnan(Cell((), "one", 0, 0).rate)


# -- Attacks from surrogates -------------------------------------------------------------------------------------------


def test_a_surrogate_may_have_its_labels_in_another_order():
    """On the same network in other words, what is made on the surrogate fools the victim as what is made on itself."""
    victim = linear()
    surrogate = reordered(victim, [3, 1, 0, 2])
    x = sounds(6, WINDOW)
    direct = attack(victim, x, "pgd", snr=15)
    carried = attack(victim, x, "pgd", snr=15, surrogates=(surrogate,))
    assert direct.success.any()
    assert torch.equal(direct.success, carried.success)
    target = victim.labels[1]
    rows = victim.logits(x).argmax(1) != 1
    direct, carried = (
        attack(victim, x[rows], "pgd", snr=10, target=target, surrogates=models) for models in ((), (surrogate,))
    )
    assert direct.success.any() and torch.equal(direct.success, carried.success)


def test_surrogates_with_other_labels_get_a_sentence():
    victim, surrogate = linear(4), linear(5)
    with pytest.raises(UsageError, match="labels"):
        attack(victim, sounds(2, WINDOW), "pgd", surrogates=(surrogate,))


@pytest.mark.parametrize("together", [1, 2])
def test_a_victim_without_gradients_is_attacked_through_surrogates(together):
    victim = linear(seed=4)
    victim.differentiable = False
    near = [linear(seed=4) for _ in range(together)]
    for number, model in enumerate(near):
        model.network.layer.weight.data += (
            0.02 * torch.randn(4, WINDOW, generator=torch.Generator().manual_seed(number)) / WINDOW**0.5
        )
    x = sounds(6, WINDOW)
    with pytest.raises(UsageError, match="no gradient"):
        attack(victim, x, "pgd", snr=10)
    found = attack(victim, x, "pgd", snr=10, surrogates=near, stop_early=False)
    noise = attack(victim, x, "noise", snr=10)
    assert found.success.sum() > noise.success.sum()
    assert torch.equal(victim.logits(found.adversarial).argmax(1) != victim.logits(x).argmax(1), found.success)


def test_shipped_models_stand_in_for_each_other_on_a_clip():
    import mirguard as mg

    seconds = torch.arange(32_000) / 16_000
    clip = Clip((0.2 * torch.sin(2 * math.pi * 330 * seconds) * torch.exp(-2 * seconds)).numpy()[None], 16_000)
    victim = mg.load_model("toy-logistic")
    found = mg.attack(victim, clip, "fgsm", snr=20, surrogates=("toy-crnn",))
    assert found.experiment.knowledge == "zero knowledge"
    assert found.forwards == 2
    assert found.success == (found.exported.decision.label != found.clean.label)
