"""The substitute attack: questions counted, answers learned, and what is found judged on the model itself."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from nets import curved, sounds

import mirguard as mg
from mirguard.attacks.ledger import Finished, Ledger
from mirguard.attacks.oracle import Oracle
from mirguard.attacks.problem import Batch
from mirguard.attacks.restriction import Restriction
from mirguard.attacks.substitute import Pupil, _examples
from mirguard.attacks.view import View
from mirguard.clip import Clip, save_clip
from mirguard.errors import FileError, UsageError
from mirguard.experiment import attack

SMALL = {"queries": 60, "rounds": 2, "epochs": 3}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def counted(model):
    """How many windows the model hears, in a list."""
    heard, whole = [], model.logits
    model.logits = lambda windows: (heard.append(len(windows)), whole(windows))[1]
    return heard


def oracle_of(model, x, epsilon=0.02, queries=None):
    labels = model.logits(x).argmax(1)
    size = torch.full((len(x),), epsilon)
    problem = Batch(x, model.sample_rate, labels, None, "l2", size, 0, torch.ones(len(x)))
    return Oracle(problem, View(model), Ledger(problem, max_queries=queries))


@pytest.mark.parametrize("queries", [10, 17, 60])
def test_every_question_is_counted_and_none_is_too_many(queries):
    """What the model hears besides the labels before and the check after."""
    model = curved()
    x = sounds(3, model.window)
    heard = counted(model)
    found = attack(
        model, x, "substitute", snr=20, queries=queries, rounds=2, epochs=1, stop_early=False, confidence=100.0
    )
    assert sum(heard) - 2 * len(x) == int(found.forwards.sum())
    assert (found.forwards <= queries).all()
    assert (found.forwards > queries - 4).all()  # what doubling leaves over
    assert found.gradients.tolist() == [0, 0, 0]


def test_the_door_for_windows_stops_at_the_budget():
    model = curved()
    x = sounds(2, model.window)
    oracle = oracle_of(model, x, queries=model.micro_batch + 3)
    torch.testing.assert_close(oracle.ask(sounds(5, model.window, 9), 1), model.logits(sounds(5, model.window, 9)))
    assert oracle.ledger.forwards.tolist() == [0, 5]
    heard = counted(model)
    with pytest.raises(Finished):
        oracle.ask(sounds(model.micro_batch, model.window), 1)
    assert heard == []
    assert oracle.ledger.forwards.tolist() == [0, 5]


@pytest.mark.parametrize("answers", ["labels", "scores"])
def test_the_substitute_says_what_the_model_says(answers):
    """On sounds around the clip that it has not learned from, well above the share of the most frequent label."""
    model = curved(3)
    several = sounds(16, model.window, 4)
    first, second = model.logits(several).topk(2).values.T
    nearest = (first - second).argmin()  # a sound with a boundary close by
    oracle = oracle_of(model, several[nearest : nearest + 1])
    pupil = Pupil(oracle, 0, _examples(oracle, 0, 60, None), answers, step=1.0, epochs=10)
    pupil.learn()
    for sign in (1.0, -1.0):
        pupil.augment(sign)
        pupil.learn()
    assert len(pupil.x) == 240
    oracle.problem.generators[0].manual_seed(99)
    unseen = _examples(oracle, 0, 200, None)[1:]
    said = model.logits(unseen).argmax(1)
    share = float((pupil.classifier.logits(unseen).argmax(1) == said).float().mean())
    chance = float(said.bincount().max() / len(said))
    assert chance < 0.85
    assert share > chance + 0.3 * (1.0 - chance)


def test_the_augmentation_is_papernots():
    """x + λ·sign(∂F_Õ(x)/∂x), once with each sign, Õ the model's own label."""
    model = curved()
    oracle = oracle_of(model, sounds(1, model.window), epsilon=0.01)
    pupil = Pupil(oracle, 0, sounds(5, model.window, 3), "labels", step=2.0, epochs=2)
    pupil.learn()
    x = pupil.x.clone().requires_grad_()
    said = model.logits(x).argmax(1)
    slope = torch.autograd.grad(pupil.classifier.logits(x)[torch.arange(5), said].sum(), x)[0]
    pupil.augment(-1.0)
    torch.testing.assert_close(pupil.x[:5], x.detach())
    torch.testing.assert_close(pupil.x[5:], (x - 0.02 * slope.sign()).clamp(-1, 1).detach())


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_budgets_hold_and_success_is_true_outside(norm):
    model = curved(3)
    x = sounds(4, model.window)
    found = attack(model, x, "substitute", epsilon=0.02, norm=norm, **SMALL)
    delta = found.adversarial - x
    size = delta.abs().amax(1) if norm == "linf" else delta.square().mean(1).sqrt()
    assert (size <= 0.02 * 1.0001).all()
    assert (size > 0).all()
    assert torch.equal(found.success, model.logits(found.adversarial).argmax(1) != model.logits(x).argmax(1))


def test_it_fools_a_curved_model_more_often_than_noise():
    model = curved(3, seed=1)
    x = sounds(8, model.window, 7)
    learned = attack(model, x, "substitute", snr=10, queries=200, rounds=2)
    noise = attack(model, x, "noise", snr=10, restarts=6)  # as many tries on the model itself
    assert learned.success.sum() > noise.success.sum()


@pytest.mark.parametrize("task", ["single-label", "tagging"])
def test_clips_targets_tags_and_restrictions(task):
    """A clip at a rate of its own, in two channels, heard through more than one window."""
    model = curved(3, task=task)
    model.differentiable = False
    clip = Clip(sounds(2, 9000, 2).numpy(), 22_050)
    said = mg.classify(model, clip).label
    target = next(label for label in model.labels if label != said)
    heard = counted(model)
    found = mg.attack(
        model,
        clip,
        "substitute",
        snr=10,
        target=target,
        subtype="FLOAT",
        restriction=Restriction(time=(0.1, 0.3)),
        **SMALL,
    )
    assert 0 < found.forwards <= 60 and sum(heard) > found.forwards
    assert (found.exported.decision.label == target) == found.exported.success
    changed = np.abs(found.perturbation.samples).max(0).nonzero()[0]
    assert changed.min() >= 2205 - 1 and changed.max() <= 6615 + 1
    assert found.snr_db >= 10 - 0.01


def test_the_same_seed_gives_the_same_and_others_are_not_disturbed():
    model = curved()
    x = sounds(2, model.window)
    state = torch.random.get_rng_state()
    first, again, other = (
        attack(model, x, "substitute", snr=20, seed=seed, confidence=100.0, **SMALL).adversarial for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.random.get_rng_state())


def test_training_can_be_cancelled():
    """Set while the first substitute learns: not one candidate is judged."""
    model, cancel = curved(), threading.Event()
    x = sounds(2, model.window)
    rested = []

    def rest():
        rested.append(1)
        if len(rested) == 30:
            cancel.set()

    found = attack(
        model, x, "substitute", snr=20, cancel=cancel, rest=rest, **{**SMALL, "queries": 400, "epochs": 1000}
    )
    assert len(rested) == 30
    assert len(found.trace["margin"]) == 0
    assert set(found.status) == {"cancelled"}
    assert torch.equal(found.adversarial, x)


def test_a_folder_of_sounds_is_asked_about_first(tmp_path):
    model = curved()
    for number, sound in enumerate(sounds(4, 5000, 5)):
        save_clip(Clip(sound[None].numpy(), model.sample_rate), tmp_path / f"{number}.wav", "FLOAT")
    oracle = oracle_of(model, sounds(1, model.window))
    found = _examples(oracle, 0, 5, str(tmp_path))
    pieces = torch.cat([sound.unfold(0, model.window, model.window) for sound in sounds(4, 5000, 5)])
    distance = torch.cdist(found, torch.cat([oracle.problem.x, pieces]))
    assert (distance.amin(1) < 1e-3).all()
    assert len(distance.argmin(1).unique()) == 5
    with pytest.raises(FileError, match="no folder"):
        attack(model, oracle.problem.x, "substitute", seeds=str(tmp_path / "none"), **SMALL)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="no WAV"):
        attack(model, oracle.problem.x, "substitute", seeds=str(tmp_path / "empty"), **SMALL)


def test_what_cannot_be_is_said():
    model = curved()
    x = sounds(1, model.window)
    with pytest.raises(UsageError, match="at least 26 queries"):
        attack(model, x, "substitute", queries=25, rounds=4)
    with pytest.raises(UsageError, match="one model"):
        attack(model, x, "substitute", surrogates=[curved(seed=1), curved(seed=2)])
