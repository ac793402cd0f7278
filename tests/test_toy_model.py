"""The bundled toy model, the network it is made of, and how it is trained."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from mirguard.clip import Clip, load_clip
from mirguard.datasets.synthesis import LABELS, RATE, dataset
from mirguard.detectors.detect import detect
from mirguard.detectors.reference import reference_for
from mirguard.errors import Cancelled, FileError, UsageError
from mirguard.experiment import plan, run
from mirguard.models.front_end import LogMel
from mirguard.models.networks.log_mel_cnn import LogMelCnn, load_log_mel_cnn, save_log_mel_cnn
from mirguard.models.toy import NAME, WEIGHTS, load_toy
from mirguard.models.tracks import Track, classify
from mirguard.models.training.loop import Recipe, train, window_accuracy, window_logits
from mirguard.resources import resource

FRONT_END = {"sample_rate": 8_000, "n_fft": 256, "hop": 128, "n_mels": 24}
SETTINGS = {"front_end": FRONT_END, "window": 4_000, "labels": ("low", "high"), "training": {"seed": 3}}


@pytest.fixture(scope="module")
def toy():
    return load_toy()


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
    assert toy.hash == load_toy().hash


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


def test_gradients_reach_every_sound_even_silence(toy, windows):
    heard = torch.cat([windows[:3], torch.zeros(1, toy.window)]).requires_grad_()
    toy.logits(heard).logsumexp(-1).sum().backward()
    assert torch.isfinite(heard.grad).all()
    assert (heard.grad[:3].abs().amax(1) > 0).all()


def test_weights_hold_no_denormals_and_are_small():
    path = resource(*WEIGHTS)
    for key, value in load_file(path).items():
        assert value.dtype == np.float32, key
        assert np.isfinite(value).all(), key
        assert not np.any((value != 0) & (np.abs(value) < np.finfo(np.float32).tiny)), key
    shipped = [path, resource("demo", "demo.flac"), resource("references", f"{NAME}.safetensors")]
    assert sum(file.stat().st_size for file in shipped) < 3_000_000


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


def test_a_clean_reference_comes_with_it(toy, clips, monkeypatch, tmp_path):
    monkeypatch.setenv("MIRGUARD_DATA", str(tmp_path))
    reference = reference_for(toy)
    assert reference is not None
    assert reference.size >= 240
    assert reference.model_hash == toy.hash
    assert reference.layer == "hidden"
    assert {name.rsplit(" ", 1)[0] for name in reference.names} == set(LABELS)
    flagged = [detect(toy, clip, detectors=("kde",), fpr=0.05)[0].flagged for clip, _ in clips[:40]]
    assert np.mean(flagged) <= 0.2


# -- Weights files -------------------------------------------------------------------------------------------------------


def _network() -> LogMelCnn:
    torch.manual_seed(0)
    return LogMelCnn(2, (4, 8, 8), 12)


def test_what_is_saved_is_what_is_loaded(tmp_path):
    network, path = _network(), tmp_path / "small.safetensors"
    network.norm.running_mean.fill_(0.3)
    save_log_mel_cnn(path, network, **SETTINGS)
    model = load_log_mel_cnn(path, name="small", title="Small", note="A test.")
    heard = torch.randn(3, 4_000, generator=torch.Generator().manual_seed(1)) * 0.1
    with torch.no_grad():
        wanted = network.eval()(LogMel(**FRONT_END)(heard))
    assert torch.allclose(model.logits(heard), wanted, atol=1e-5)
    assert model.labels == ("low", "high")
    assert not any(p.requires_grad for p in model.network.parameters())
    network.norm.running_mean.fill_(0.4)
    other = tmp_path / "other.safetensors"
    save_log_mel_cnn(other, network, **SETTINGS)
    assert load_log_mel_cnn(other, name="small", title="", note="").hash != model.hash


def test_denormal_weights_are_not_saved(tmp_path):
    network, path = _network(), tmp_path / "small.safetensors"
    with torch.no_grad():
        network.out.bias.copy_(torch.tensor([1e-41, -0.5]))
    save_log_mel_cnn(path, network, **SETTINGS)
    assert load_file(path)["out.bias"].tolist() == [0.0, -0.5]


def test_other_files_are_refused_with_a_sentence(tmp_path):
    text = tmp_path / "text.safetensors"
    text.write_text("not weights at all")
    with pytest.raises(FileError, match=r"text\.safetensors cannot be read"):
        load_toy(text)
    with pytest.raises(FileError, match=r"absent\.safetensors"):
        load_toy(tmp_path / "absent.safetensors")
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": np.zeros(3, np.float32)}, foreign)
    with pytest.raises(FileError, match="no log-mel CNN"):
        load_toy(foreign)
    torn = tmp_path / "torn.safetensors"
    save_log_mel_cnn(torn, LogMelCnn(3, (4, 8, 8), 12), **SETTINGS)  # three outputs for two labels
    with pytest.raises(FileError, match="does not hold the weights"):
        load_toy(torn)


# -- Training ------------------------------------------------------------------------------------------------------------


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
