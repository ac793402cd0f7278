"""Attacks that only ask: against closed forms, true gradients and noise; exact budgets of queries; models without gradients."""

from __future__ import annotations

import math

import pytest
import torch
from foreign_models import describe, network, onnx_of
from nets import curved, linear, sounds

import mirguard as mg
from mirguard.attacks.catalogue import find_attack
from mirguard.attacks.directions import FULL, SUBSPACES, directions
from mirguard.attacks.ledger import Ledger
from mirguard.attacks.oracle import Oracle
from mirguard.attacks.problem import Batch
from mirguard.attacks.restriction import FREE, Restriction
from mirguard.attacks.score import estimate
from mirguard.attacks.view import View
from mirguard.clip import Clip, save_clip
from mirguard.datasets.synthesis import dataset
from mirguard.errors import FileError, UsageError
from mirguard.experiment import attack
from mirguard.models.tracks import Track

SCORE, DECISION = ("square", "nes"), ("boundary", "hopskipjump")
ALL = (*SCORE, *DECISION)


def optimum(model, x):
    """Each row's L2 (RMS) distance to the nearest boundary of a linear model."""
    w, z = model.network.layer.weight, model.logits(x)
    own = z.argmax(1)
    gap = z.gather(1, own[:, None]) - z
    size = (w[own][:, None] - w[None]).norm(dim=2) * math.sqrt(x.shape[1])
    return (gap / size.clamp_min(1e-12)).masked_fill(gap <= 0, torch.inf).amin(1)


def counted(model):
    """How many windows the model hears, in a list."""
    heard, whole = [], model.logits
    model.logits = lambda windows: (heard.append(len(windows)), whole(windows))[1]
    return heard


def problem_of(x, norm="l2", epsilon=0.01, restriction=FREE, seed=0):
    rows = torch.zeros(len(x), dtype=torch.long)
    size = torch.full((len(x),), epsilon)
    return Batch(x, 16_000, rows, None, norm, size, seed, torch.ones(len(x)), restriction)


@pytest.mark.long
@pytest.mark.parametrize(("name", "factor"), [("hopskipjump", 1.2), ("boundary", 1.25)])
def test_decisions_alone_lead_near_the_nearest_boundary(name, factor):
    """K = 2, 100 dimensions, 1,000 questions: the median within the factor of the closed form, none below it."""
    model = linear(2, window=100)
    x = sounds(6, 100)
    best = optimum(model, x)
    found = attack(model, x, name, queries=1000, subspace=FULL)
    ratio = found.l2 / math.sqrt(100) / best
    assert found.success.all()
    assert (ratio > 0.999).all()
    assert ratio.median() < factor


@pytest.mark.long
def test_hopskipjump_under_the_largest_sample():
    model = linear(2, window=100)
    x = sounds(6, 100)
    w, z = model.network.layer.weight, model.logits(x)
    best = (z[:, 0] - z[:, 1]).abs() / (w[0] - w[1]).abs().sum()
    found = attack(model, x, "hopskipjump", queries=1000, subspace=FULL, norm="linf")
    ratio = found.linf / best
    assert found.success.all() and (ratio > 0.999).all()
    assert ratio.median() < 1.6


@pytest.mark.parametrize("loss", ["cross-entropy", "margin"])
def test_nes_estimates_the_gradient(loss):
    """cos(ĝ, g) of N Gaussian directions in d dimensions is √(N/(N + d)) for a linear function."""
    model = linear(2, window=100)
    x = sounds(4, 100)
    problem = problem_of(x)
    problem.labels = model.logits(x).argmax(1)
    oracle = Oracle(problem, View(model), Ledger(problem, stop_early=False))
    true = oracle.gradient(problem.zeros(), loss)
    for samples, least in ((60, 0.35), (400, 0.7)):
        found = estimate(oracle, problem.zeros(), samples, 0.1, loss, FULL)
        cosine = torch.nn.functional.cosine_similarity(found, true)
        expected = math.sqrt(samples / 2 / (samples / 2 + 100))
        assert (cosine > least).all()
        assert float(cosine.mean()) == pytest.approx(expected, abs=0.08)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("queries", [1, 2, 45])
def test_query_budgets_hold_to_the_question(name, queries):
    """What the model hears, start included, besides the labels before and the check after."""
    model = curved()
    x = sounds(3, model.window)
    options = {"stop_early": False} if name in SCORE else {}
    heard = counted(model)
    found = attack(model, x, name, queries=queries, **options)
    assert sum(heard) - 2 * len(x) == int(found.forwards.sum())
    assert found.forwards.tolist() == [queries] * 3


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_square_keeps_every_candidate_at_full_size(norm):
    model = curved()
    x = sounds(3, model.window)
    sizes = []

    def watch(step):
        sizes.append(step.delta.abs().amax(1) if norm == "linf" else step.delta.square().mean(1).sqrt())

    attack(model, x, "square", norm=norm, epsilon=0.01, queries=20, stop_early=False, progress=watch)
    torch.testing.assert_close(torch.stack(sizes), torch.full((20, 3), 0.01), rtol=1e-4, atol=0)


@pytest.mark.parametrize("subspace", SUBSPACES)
def test_directions_are_each_rows_own_and_keep_to_what_is_permitted(subspace):
    x = sounds(3, 4000)
    x[2] = 0.0
    zeros = torch.zeros_like(x)
    found = directions(problem_of(x), subspace, zeros)
    torch.testing.assert_close(found.square().mean(1), torch.ones(3))
    alone = directions(problem_of(x[1:2]), subspace, zeros[:1])
    torch.testing.assert_close(alone[0], found[1], rtol=1e-4, atol=1e-4)
    again = directions(problem_of(x, restriction=Restriction(time=(0.05, 0.1))), subspace, zeros)
    assert (again[:, :800] == 0).all() and (again[:, 1600:] == 0).all()
    torch.testing.assert_close(again.square().mean(1), torch.ones(3))


def test_own_phase_directions_make_tiles_louder_or_softer():
    """What they add lies in phase or in antiphase with the sound, of white noise half does."""
    x = sounds(3, 16_000)
    spectrum = torch.stft(x, 1024, 512, window=torch.hann_window(1024), return_complex=True)
    share = {}
    for subspace in ("own-phase", FULL):
        found = directions(problem_of(x), subspace, torch.zeros_like(x))
        added = torch.stft(found, 1024, 512, window=torch.hann_window(1024), return_complex=True)
        along = (added * spectrum.conj()).real / spectrum.abs()
        share[subspace] = float(along.square().sum() / added.abs().square().sum())
    assert share[FULL] == pytest.approx(0.5, abs=0.03)
    assert share["own-phase"] > 0.85


@pytest.mark.parametrize("name", ALL)
def test_restrictions_hold(name):
    model = curved()
    x = sounds(3, model.window)
    found = attack(model, x, name, queries=40, restriction=Restriction(time=(0.02, 0.05)))
    delta = found.adversarial - x
    assert delta.abs().max() > 0
    assert (delta[:, :320] == 0).all() and (delta[:, 800:] == 0).all()


@pytest.mark.parametrize("name", DECISION)
def test_only_what_lies_inside_the_budget_counts(name):
    """The walk begins outside ε; with a budget below the optimum nothing may come back as a success."""
    model = linear(2, window=100)
    x = sounds(4, 100)
    best = optimum(model, x)
    for row in range(4):
        near, far = (
            attack(model, x[row : row + 1], name, epsilon=f * float(best[row]), queries=500, subspace=FULL)
            for f in (0.95, 4.0)
        )
        assert not near.success[0] and float(near.l2[0]) <= 0.95 * float(best[row]) * 10 * 1.0001
        assert far.success[0] and float(far.l2[0]) <= 4.0 * float(best[row]) * 10 * 1.0001


# -- Targets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCORE)
def test_scores_lead_to_a_target(name):
    model = linear(4, window=200)
    x = sounds(6, 200)
    target = (model.logits(x).argmax(1) + 1) % 4
    found = attack(model, x, name, target=target, snr=0.0, queries=500, subspace=FULL)
    noise = attack(model, x, "noise", target=target, snr=0.0)
    assert found.success.sum() > noise.success.sum()


@pytest.mark.long
@pytest.mark.parametrize("name", DECISION)
def test_decisions_lead_to_a_target_from_another_sound(name, tmp_path):
    model = curved(3, seed=1)
    x = sounds(12, model.window)
    said = model.logits(x).argmax(1)
    (target,) = said.mode()[0][None].tolist()
    path = save_clip(Clip(x[said == target][:1].numpy(), 16_000), tmp_path / "start.wav", "FLOAT")
    rows = x[said != target][:3]
    found = attack(model, rows, name, target=f"class {target}", start=str(path), queries=400)
    assert found.success.all()
    first = (x[said == target][:1] - rows).norm(dim=1)
    assert (found.l2 < 0.9 * first).all() and (found.l2 < 0.5 * first).sum() >= 2


@pytest.mark.parametrize("name", DECISION)
def test_starts_that_cannot_serve_get_a_sentence(name, tmp_path):
    model = curved(3, seed=1)
    x = sounds(12, model.window)
    said = model.logits(x).argmax(1)
    target = f"class {int(said[0])}"
    rows = x[said != said[0]][:2]
    with pytest.raises(UsageError, match="--start"):
        attack(model, rows, name, target=target)
    path = save_clip(Clip(rows[:1].numpy(), 16_000), tmp_path / "same.wav", "FLOAT")
    with pytest.raises(UsageError, match="not heard as the target"):
        attack(model, rows[:1], name, target=target, start=str(path))
    with pytest.raises(FileError, match="nowhere"):
        attack(model, rows, name, target=target, start=str(tmp_path / "nowhere.wav"))


# -- Models without gradients ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def onnx_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    onnx_of(network(), folder / "model.onnx")
    return mg.load_model(str(describe(folder, "model.onnx")))


@pytest.mark.parametrize("name", ALL)
def test_an_onnx_model_is_fooled_where_noise_is_not(name, onnx_model):
    x = sounds(8, onnx_model.window, seed=2)
    fooled, by_noise = against_noise(onnx_model, x, name, 15.0, 300)
    assert fooled > by_noise


@pytest.fixture(scope="module")
def fresh():
    """Windows of clips of the synthesiser that nothing was tuned on; the learners hear the same windows."""
    made = [Clip(one.samples[None], one.sample_rate) for one in dataset(6, 11, "test")]
    model = mg.load_model("toy-logistic")
    return torch.stack([Track(clip, model).piece(0, 1)[0] for clip in made])


LEARNERS = [("toy-logistic", 20.0), ("toy-svm", 20.0), ("toy-nearest", 20.0), ("toy-tree", 25.0)]


@pytest.mark.parametrize(("victim", "snr"), LEARNERS)
@pytest.mark.parametrize("name", ALL)
def test_learners_are_fooled_where_noise_is_not(name, victim, snr, fresh):
    """And where one is not, nothing says that it was: what is reported is what the model says, within size and questions."""
    model = mg.load_model(victim)
    assert not model.differentiable
    found = attack(model, fresh, name, snr=snr, queries=100)
    said, now = model.logits(fresh).argmax(1), model.logits(found.adversarial).argmax(1)
    assert torch.equal(found.success, said != now)
    assert found.status == tuple("success" if one else "failed" for one in found.success)
    assert (found.forwards <= 100).all() and (found.gradients == 0).all()
    assert (found.snr_db >= snr - 1e-3).all()
    assert found.success.sum() > attack(model, fresh, "noise", snr=snr).success.sum()


@pytest.mark.parametrize("name", ALL)
def test_no_success_is_reported_where_the_budget_is_hopeless(name, fresh):
    model = mg.load_model("toy-svm")
    found = attack(model, fresh, name, snr=80.0, queries=40)
    assert found.status == ("failed",) * 6
    assert torch.equal(model.logits(found.adversarial).argmax(1), model.logits(fresh).argmax(1))


def against_noise(model, x, name, snr, queries):
    """How many rows the attack fools inside the SNR, and how many noise of that SNR does."""
    found = attack(model, x, name, snr=snr, queries=queries)
    assert (found.snr_db >= snr - 1e-3).all()
    return int(found.success.sum()), int(attack(model, x, "noise", snr=snr).success.sum())


def test_what_decisions_find_on_a_track_survives_the_export(onnx_model):
    """It lies on the boundary, and yet rounding to 16 bits does not push it back."""
    x = sounds(1, 12_000, seed=4)
    for name in DECISION:
        found = mg.attack(onnx_model, Clip(x.numpy(), 11_025), name, queries=300)
        assert found.reached and found.success
        assert found.forwards == 300


def test_they_declare_that_they_need_no_gradient():
    for name in ALL:
        assert not find_attack(name).gradients and find_attack(name).knowledge == "limited knowledge"
