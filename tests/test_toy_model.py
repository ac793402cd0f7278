"""The bundled toy models, and how networks are trained."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from mirguard.clip import Clip, load_clip
from mirguard.datasets.synthesis import LABELS, RATE, SPLITS, dataset, individual
from mirguard.defences.robustness import WORST, robustness
from mirguard.defences.watching import auc
from mirguard.detectors.kept import fitted_for
from mirguard.errors import Cancelled, UsageError
from mirguard.experiment import plan, run
from mirguard.experiment.batch import attack_batch
from mirguard.experiment.detecting import detect
from mirguard.models.bundled import HARDENED, NAME, NAMES
from mirguard.models.catalogue import find_model
from mirguard.models.front_end import LogMel
from mirguard.models.load_file import is_black_box, load_model_file
from mirguard.models.model_file import read_model_file
from mirguard.models.networks.log_mel_cnn import LogMelCnn
from mirguard.models.tracks import Track, classify
from mirguard.models.training.loop import Recipe, train, window_accuracy, window_logits
from mirguard.resources import resource

FRONT_END = {"sample_rate": 8_000, "n_fft": 256, "hop": 128, "n_mels": 24}


@pytest.fixture(scope="module")
def toy():
    return load_model_file(resource("models", NAME))


@pytest.fixture(scope="module")
def clips():
    """Test clips that took no part in training nor in the choice of anything."""
    return [(Clip(clip.samples, RATE), clip.label) for clip in dataset(80, 91, "test")]


@pytest.fixture(scope="module")
def windows(toy, clips):
    return torch.cat([Track(clip, toy).piece(0, 1) for clip, _ in clips])


# -- The bundled model ---------------------------------------------------------------------------------------------------


def test_it_says_what_it_is(toy):
    assert toy.name == NAME == "toy-instruments"
    assert toy.labels == LABELS
    assert (toy.sample_rate, toy.window, toy.task) == (16_000, 32_000, "single-label")
    assert "synthetic" in toy.note
    assert "recorded music means little" in toy.note
    assert len(toy.hash) == 64
    assert toy.hash == load_model_file(resource("models", NAME)).hash


def test_it_knows_instruments_it_has_not_heard(toy, clips):
    right = [classify(toy, clip).label == label for clip, label in clips]
    assert np.mean(right) >= 0.88


def test_its_last_layer_is_the_last_hidden_one(toy, windows):
    found, logits = toy.features(windows[:4], toy.layers)
    assert toy.layers[-1] == "hidden"
    assert found["hidden"].shape == (4, 96)
    # What follows it is one linear layer.
    assert torch.allclose(toy.network.out(found["hidden"]), logits, atol=1e-5)


def test_batch_mates_do_not_matter(toy, windows):
    together = toy.logits(windows[:6])
    alone = torch.cat([toy.logits(window[None]) for window in windows[:6]])
    assert torch.allclose(together, alone, atol=1e-4)


def test_a_gradient_fools_it_at_40_db_and_noise_does_not(toy, windows):
    """The sanity of the whole exercise: a plain loop of ten L2 steps."""
    windows = windows[:40]
    budget = windows.square().mean(1, keepdim=True).sqrt() / 100
    with torch.no_grad():
        said = toy.logits(windows).argmax(-1)

    def flipped(delta: torch.Tensor) -> float:
        with torch.no_grad():
            return float((toy.logits((windows + delta).clamp(-1, 1)).argmax(-1) != said).float().mean())

    noise = torch.randn(windows.shape, generator=torch.Generator().manual_seed(0)) * budget
    delta = torch.zeros_like(windows)
    for _ in range(10):
        delta.requires_grad_()
        loss = torch.nn.functional.cross_entropy(toy.logits(windows + delta), said, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, delta)
        with torch.no_grad():
            step = gradient / gradient.square().mean(1, keepdim=True).sqrt().clamp_min(1e-20)
            delta = delta + 0.3 * budget * step
            delta *= (budget / delta.square().mean(1, keepdim=True).sqrt()).clamp_max(1)
    assert flipped(noise) <= 0.1
    assert flipped(delta) >= 0.4


def test_the_demonstration_can_be_attacked_and_the_attack_is_caught(toy, monkeypatch, tmp_path):
    """What a newcomer without a network sees first: noise does nothing, a gradient at 40 dB does, the detector tells."""
    monkeypatch.setenv("MIRGUARD_DATA", str(tmp_path))
    demo = load_clip(resource("demo", "demo.flac"))
    clean = classify(toy, demo)
    assert clean.label == "plucked string"
    assert clean.confidence > 0.8
    assert not detect(toy, demo, detectors=("kde",), fpr=0.05)[0].flagged
    assert not run(plan(demo, toy, "noise", snr=40.0), demo, toy).success
    outcome = run(plan(demo, toy, "pgd", snr=40.0, steps=40), demo, toy)
    assert outcome.success
    assert outcome.snr_db >= 40.0
    assert detect(toy, outcome.clip, detectors=("kde",), fpr=0.05)[0].flagged


def test_fitted_detectors_come_with_it(toy, clips, monkeypatch, tmp_path):
    monkeypatch.setenv("MIRGUARD_DATA", str(tmp_path))
    kde = fitted_for(toy, "kde")
    assert kde is not None
    assert kde.about.size >= 240
    assert kde.about.model_hash == toy.hash
    assert kde.layers == ("hidden",)
    flagged = [detect(toy, clip, detectors=("kde",), fpr=0.05)[0].flagged for clip, _ in clips[:40]]
    assert np.mean(flagged) <= 0.2


# -- All bundled models --------------------------------------------------------------------------------------------------

FILES = {name: read_model_file(resource("models", name)) for name in NAMES}
NETWORKS = [name for name, file in FILES.items() if not is_black_box(file)]


@pytest.mark.parametrize("name", NAMES)
def test_each_bundled_model_says_what_it_is_and_how_good(name):
    file, info = FILES[name], find_model(name)
    assert file.name == name == info.name
    assert (info.state, info.kind, info.gradients) == ("ready", "bundled", name in NETWORKS)
    assert file.labels == LABELS
    assert "recorded music means little" in file.note
    test = file.card["test"]
    low, high = test["clip_interval"]
    assert low < test["clip_accuracy"] < high
    assert test["clip_accuracy"] == pytest.approx(test["clips_right"] / test["clips"], abs=1e-6)
    assert sum(map(sum, test["confusion"])) == test["clips"] >= 600
    assert file.card["data"]["clips"]["test"] == test["clips"]
    if name in NETWORKS:
        assert test["clip_accuracy"] >= (0.85 if name in HARDENED else 0.95)
        assert file.card["gradient"]["verdict"] == "pass"


@pytest.mark.parametrize("name", NETWORKS)
def test_each_bundled_network_hears_as_its_card_says(name, clips):
    model = load_model_file(FILES[name])
    right = [classify(model, clip).label == label for clip, label in clips[:40]]
    assert np.mean(right) >= 0.85


@pytest.mark.parametrize("name", HARDENED)
def test_each_hardened_model_tells_its_parent_and_how_robust_it_is(name):
    card, parent = FILES[name].card, load_model_file(FILES[NAME])
    assert (card["defence"]["parent"], card["defence"]["parent_hash"]) == (NAME, parent.hash)
    assert card["method"] == card["defence"]["name"] and parent.hash[:12] in card["lineage"][0]
    robust = card["robust"]
    assert robust["windows"] >= 100
    for row in robust["at_snr_db"].values():
        assert row["worst case"] <= min(row["minimal-l2"], row["pgd cross-entropy"], row["pgd margin"], robust["clean"])


def test_adversarial_training_is_worth_twenty_points(windows):
    """At the size it was trained at, on clips it never heard, against the worst of three attacks for each."""
    x, y = windows[:24], torch.arange(24) % len(LABELS)
    plain, hardened = (
        robustness(load_model_file(FILES[name]), x, y, (30.0,), steps=15) for name in (NAME, HARDENED[0])
    )
    assert hardened.right[30.0][WORST] >= plain.right[30.0][WORST] + 0.2 * len(x)
    assert hardened.smallest_db < plain.smallest_db - 3.0


@pytest.mark.parametrize("name", ["toy-outlier", "toy-subnetwork"])
def test_a_model_that_watches_itself_tells_attacked_sounds_from_clean_and_noisy_ones(name, windows):
    model, x, y = load_model_file(FILES[name]), windows[:24], torch.arange(24) % len(LABELS)
    more = {"labels": y, "snr": 30.0}
    attacked = attack_batch(model, x, "pgd", steps=10, loss="margin", stop_early=False, **more).adversarial
    noisy = attack_batch(model, x, "noise", **more).adversarial
    assert auc(model, x, attacked) > 0.7 > 0.6 > auc(model, x, noisy)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_reach_every_sound_even_silence(name, windows):
    model = load_model_file(FILES[name])
    heard = torch.cat([windows[:3], torch.zeros(1, model.window)]).requires_grad_()
    model.logits(heard).logsumexp(-1).sum().backward()
    assert torch.isfinite(heard.grad).all()
    assert (heard.grad[:3] != 0).double().mean() > 0.99


def test_the_two_halves_have_nothing_in_common():
    """Neither players nor sounds, so that what is made on one knows nothing of the other."""
    players = [{individual(label, split, n) for label in LABELS for n in range(SPLITS[split])} for split in SPLITS]
    assert sum(map(len, players)) == len(set().union(*players))
    sounds = [np.stack([clip.samples for clip in dataset(10, 0, split)]) for split in ("train", "train-b")]
    assert not np.isclose(sounds[0], sounds[1]).all(axis=1).any()
    halves = {name: FILES[name].card["lineage"] for name in (NAME, "toy-instruments-b")}
    assert not set(halves[NAME]) & set(halves["toy-instruments-b"])


def test_weights_hold_no_denormals_and_are_small():
    for name in NETWORKS:
        for key, value in load_file(FILES[name].weights_path).items():
            assert value.dtype == np.float32, (name, key)
            assert np.isfinite(value).all(), (name, key)
            assert not np.any((value != 0) & (np.abs(value) < np.finfo(np.float32).tiny)), (name, key)
    assert sum(FILES[name].weights_path.stat().st_size for name in NETWORKS if name not in HARDENED) < 4_000_000
    assert all(FILES[name].weights_path.stat().st_size < 450_000 for name in HARDENED)
    shipped = [resource("demo", "demo.flac"), *resource("detectors", NAME).iterdir()]
    assert sum(file.stat().st_size for file in shipped) < 3_000_000


# -- Training ------------------------------------------------------------------------------------------------------------


def _network() -> LogMelCnn:
    torch.manual_seed(0)
    return LogMelCnn(2, (4, 8, 8), 12)


def _tones(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Low and high tones at random levels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    pitch = np.where(labels == 0, rng.uniform(200, 500, count), rng.uniform(1_500, 3_000, count))
    t = np.arange(6_000) / 8_000
    sounds = np.sin(2 * np.pi * pitch[:, None] * t) * 10 ** rng.uniform(-1.5, -0.3, (count, 1))
    return sounds.astype(np.float32), labels


def _trained(**more):
    network, front_end = _network(), LogMel(**FRONT_END)
    recipe = Recipe(epochs=4, batch=8, learning_rate=1e-2, seed=5)
    history = train(front_end, network, *_tones(64, 0), window=4_000, recipe=recipe, **more)
    return front_end, network, history


def test_training_learns_what_can_be_learned():
    heard = []
    front_end, network, history = _trained(validation=_tones(20, 1), progress=heard.append)
    assert not network.training
    assert heard == history
    assert [epoch.number for epoch in history] == [1, 2, 3, 4]
    assert history[-1].loss < 0.6 * history[0].loss
    assert window_accuracy(front_end, network, *_tones(40, 2), window=4_000) == 1.0
    assert history[-1].validation == window_accuracy(front_end, network, *_tones(20, 1), window=4_000)
    assert window_logits(front_end, network, _tones(7, 2)[0], window=2_000).shape == (7, 3, 2)


def test_the_same_seed_trains_the_same_network():
    first, second = _trained()[1].state_dict(), _trained()[1].state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_tagger_is_trained_on_rows_of_tags():
    front_end, network = LogMel(**FRONT_END), _network()
    sounds, labels = _tones(64, 0)
    tags = np.eye(2)[labels]
    history = train(
        front_end, network, sounds, tags, window=4_000, task="tagging",
        recipe=Recipe(epochs=4, batch=8, learning_rate=1e-2),
    )  # fmt: skip
    assert history[-1].accuracy > 0.95
    assert window_accuracy(front_end, network, sounds, tags, window=4_000, task="tagging") > 0.95


def test_training_can_be_cancelled():
    cancel, epochs = threading.Event(), []

    def after_the_first(epoch):
        epochs.append(epoch)
        cancel.set()

    with pytest.raises(Cancelled):
        _trained(progress=after_the_first, cancel=cancel)
    assert len(epochs) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sounds": np.zeros((4, 10), np.float32)}, "at least 4000 samples"),
        ({"labels": np.zeros(3, int)}, "one label"),
        ({"task": "regression"}, "regression"),
        ({"task": "tagging"}, "one row of tags"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, says):
    sounds, labels = _tones(4, 0)
    arguments = {"sounds": sounds, "labels": labels, "window": 4_000, **change}
    with pytest.raises(UsageError, match=says):
        train(LogMel(**FRONT_END), _network(), **arguments)
