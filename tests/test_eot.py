"""Expectation over transformations (Athalye et al. 2018): attacks that see the model through draws of a channel."""

from __future__ import annotations

import copy

import pytest
import torch
from nets import curved, sounds

from mirguard.attacks.ledger import Ledger
from mirguard.attacks.oracle import Oracle
from mirguard.attacks.problem import Batch, WholeTrack
from mirguard.attacks.view import View
from mirguard.channel.chain import draws, parse
from mirguard.clip import Clip
from mirguard.datasets.synthesis import RATE, dataset
from mirguard.experiment import attack
from mirguard.experiment.survival import Pair, survival, through
from mirguard.models.bundled import NAME
from mirguard.models.load_file import load_model_file
from mirguard.resources import resource

CHAIN = tuple(
    parse(words)
    for words in (
        "gain",
        "shift:most=5",
        "resample:high=12000",
        "room:order=4",
        "noise:high=-50",
        "band-pass:low_most=100",
    )
)


def difference(z: torch.Tensor, _rows: torch.Tensor) -> torch.Tensor:
    """An objective that has no saturation."""
    return z[:, 0] - 0.5 * z[:, 1]


def batch_oracle(model, x: torch.Tensor, chain=CHAIN, count: int = 3, seed: int = 0) -> Oracle:
    labels = torch.zeros(len(x), dtype=torch.long)
    problem = Batch(x, 16_000, labels, None, "l2", torch.full((len(x),), 0.01), seed, torch.ones(len(x)))
    view = View(model, draws=draws(chain, 16_000, count, seed))
    return Oracle(problem, view, Ledger(problem, stop_early=False))


@pytest.mark.parametrize("chain", [CHAIN, (parse("mp3"),), (parse("playback"),)], ids=["linear", "mp3", "playback"])
def test_the_gradient_is_the_mean_over_the_sound_itself_and_the_draws(chain):
    model, x = curved(seed=1), sounds(3, 1600, 2)
    delta = 0.01 * sounds(3, 1600, 3)
    found = batch_oracle(model, x, chain).gradient(delta, difference)
    transforms = draws(chain, 16_000, 3, 0)(0)
    assert transforms[0] is None and len(transforms) == 4
    leaf = delta.clone().requires_grad_()
    heard = [x + leaf if transform is None else transform(x + leaf, 0) for transform in transforms]
    mean = torch.stack([difference(model.logits(one), torch.arange(3)) for one in heard]).mean(0)
    (expected,) = torch.autograd.grad(mean.sum(), leaf)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_the_gradient_agrees_with_finite_differences_of_frozen_draws():
    model, x = curved(seed=1), sounds(2, 1600, 2)
    found = batch_oracle(model, x).gradient(torch.zeros(2, 1600), difference).double()
    exact = copy.deepcopy(model.network).double()
    transforms = draws(CHAIN, 16_000, 3, 0)(0)

    def loss(delta: torch.Tensor) -> torch.Tensor:
        sound = x.double() + delta
        heard = [sound if transform is None else transform(sound, 0) for transform in transforms]
        return torch.stack([difference(exact(one), torch.arange(2)) for one in heard]).mean(0).sum()

    way = sounds(2, 1600, 9).double()
    with torch.no_grad():
        slope = (loss(1e-4 * way) - loss(-1e-4 * way)) / 2e-4
    assert float((found * way).sum()) == pytest.approx(float(slope), rel=0.01)


def test_each_look_draws_anew_and_the_same_seed_the_same():
    model, x, none = curved(seed=1), sounds(2, 1600, 2), torch.zeros(2, 1600)
    oracle = batch_oracle(model, x)
    first, second = oracle.logits(none).clone(), oracle.logits(none).clone()
    assert not torch.allclose(first, second)
    again = batch_oracle(model, x)
    assert again.logits(none).equal(first) and again.logits(none).equal(second)
    assert not torch.allclose(batch_oracle(model, x, seed=1).logits(none), first)


@pytest.mark.parametrize("rate", [16_000, 22_050])
def test_a_track_heard_piece_by_piece_has_the_gradient_of_the_whole(rate):
    clip = Clip(sounds(1, rate, 4).numpy(), rate)
    found = []
    for micro_batch in (1, 3, 100):
        model = curved(seed=1, micro_batch=micro_batch)
        problem = WholeTrack(clip, 0, None, "l2", 0.01, 0, "FLOAT")
        oracle = Oracle(problem, View(model, draws=draws(CHAIN, rate, 2, 0)), Ledger(problem, stop_early=False))
        found.append(oracle.gradient(problem.zeros(), difference))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-3, atol=1e-5 * float(found[0].abs().max()))


def test_neither_batch_mates_nor_chance_change_a_result():
    model, x = curved(seed=1), sounds(5, 1600, 2)
    options = {"snr": 10, "steps": 6, "channel": CHAIN, "draws": 2}
    together = attack(model, x, "pgd", **options)
    torch.testing.assert_close(attack(model, x, "pgd", **options).adversarial, together.adversarial, rtol=0, atol=0)
    for row in (1, 4):
        alone = attack(model, x[row : row + 1], "pgd", **options)
        torch.testing.assert_close(alone.adversarial[0], together.adversarial[row], rtol=0, atol=1e-4)
    assert not torch.allclose(attack(model, x, "pgd", seed=1, **options).adversarial, together.adversarial)


def test_an_outcome_says_through_what_it_was_made():
    clip = Clip(sounds(1, 4000, 4).numpy(), 16_000)
    outcome = attack(curved(seed=1), clip, "pgd", snr=10, steps=2, channel=["noise:high=-50"], draws=2)
    told = outcome.to_json()
    assert told["channel"] == [{"effect": "noise", "low": -70.0, "high": -50.0}] and told["draws"] == 2


@pytest.fixture
def one_thread():
    """Some seconds of such a small model gain nothing by two threads, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.long
def test_what_was_made_for_a_channel_survives_draws_that_it_has_not_seen(one_thread):
    model = load_model_file(resource("models", NAME))
    clips = [Clip(one.samples[:50_000], RATE) for one in dataset(6, 17, "test")]
    channel = (parse("noise:low=-40,high=-35"),)
    fooled = []
    for made_for in ((), channel):
        pairs = []
        for clip in clips:
            outcome = attack(model, clip, "pgd", snr=25, steps=16, channel=made_for, draws=3, stop_early=False)
            pairs.append(Pair.of(clip, outcome))
        (row,) = survival(model, pairs, [through(channel)], draws=4).rows
        assert row.original_right == row.draws == 24, "it is not the noise alone that fools"
        fooled.append(row.fooled)
    without, made_for_it = fooled
    assert made_for_it >= without + 4, fooled
