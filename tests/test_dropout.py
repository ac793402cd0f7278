"""Dropout uncertainty, alone and with the kernel density: fixed copies against networks really cut, attacks, evasion, keeping."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from nets import WINDOW, curved, linear, sounds
from scipy.stats import betabinom
from sklearn.metrics import roc_auc_score
from torch import nn

from mirguard.clip import Clip
from mirguard.datasets.synthesis import LABELS, synthesise
from mirguard.detectors.copies import Copies
from mirguard.detectors.dropout import Dropout
from mirguard.detectors.fitting import PUT_ASIDE, fit
from mirguard.detectors.kept import keep, load
from mirguard.detectors.sample import Sample
from mirguard.errors import UsageError
from mirguard.experiment import attack_batch
from mirguard.experiment.detecting import detect, disturbed
from mirguard.models.bundled import NAME
from mirguard.models.catalogue import load_model
from mirguard.models.contract import REPRESENTATION, Classifier, TorchClassifier


def clips(count: int, samples: int = 1600, seed: int = 0) -> list[Clip]:
    return [Clip(row.numpy()[None], 16_000) for row in sounds(count, samples, seed)]


class Framed(nn.Module):
    """Frames are heard one by one, with dropout, and their mean decides, past a hidden layer and a way around it."""

    def __init__(self, around: bool) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.frames = nn.Sequential(nn.Linear(40, 24), nn.ReLU(), nn.Dropout(0.3))
            self.hidden = nn.Sequential(nn.Linear(24, 24), nn.Tanh())
            self.out = nn.Linear(24, 4)
        self.around = around

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = self.frames(10 * x.reshape(-1, 40)).view(len(x), -1, 24).mean(1)
        hidden = self.hidden(mean)
        return 8 * self.out(hidden + mean if self.around else hidden)


def torch_model(network: nn.Module, taps: dict[str, str], task: str = "single-label") -> TorchClassifier:
    labels = [f"class {k}" for k in range(4)]
    return TorchClassifier(
        "test", nn.Identity(), network, sample_rate=16_000, window=WINDOW, labels=labels, task=task, taps=taps
    )


def cut(rate: float, units: int, passes: int, seed: int, number: int) -> torch.Tensor:
    """The factors of every unit in every pass, as they are declared to be drawn."""
    generator = torch.Generator().manual_seed(1000 * seed + number)
    return (torch.rand(passes, units, generator=generator) < 1 - rate).float() / (1 - rate)


# -- Copies --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["a linear output", "another function", "dropout in frames", "dropout in frames, a way around"]
)
def test_each_copy_is_a_network_without_some_units(kind):
    if kind == "a linear output":
        network = nn.Sequential(nn.Linear(WINDOW, 30), nn.ReLU(), nn.Linear(30, 4))
        places, taps = {"1": (0.4, 30)}, {"hidden": "1"}
    elif kind == "another function":
        network = nn.Sequential(nn.Linear(WINDOW, 30), nn.Tanh(), nn.Linear(30, 4))
        places, taps = {"0": (0.4, 30)}, {"hidden": "0"}
    else:
        network = Framed(around=kind.endswith("around"))
        places, taps = {"frames.2": (0.3, 24), "hidden": (0.4, 24)}, {"hidden": "hidden"}
    model = torch_model(network, taps)
    copies = Copies(model, 0.4, 7, 5)
    x = sounds(3, WINDOW, 4)
    heard, _logits = model.activations(x, copies.layers)
    found = copies(heard)
    assert copies.layers == (("hidden",) if kind == "a linear output" else (REPRESENTATION,))
    masks = {place: cut(*of, 7, 5, number) for number, (place, of) in enumerate(places.items())}
    for number in range(7):
        handles = [
            network.get_submodule(place).register_forward_hook(lambda _m, _i, out, cut=mask[number]: out * cut)
            for place, mask in masks.items()
        ]
        torch.testing.assert_close(found[number], model.logits(x), rtol=1e-4, atol=1e-4)
        for handle in handles:
            handle.remove()
    assert not torch.allclose(found[0], found[1])
    torch.testing.assert_close(model.logits(x), model.decide(x))  # nothing is left hanging on the network


def test_one_window_alone_is_scored_as_among_others():
    for model in (curved(), torch_model(Framed(False), {"hidden": "hidden"}), load_model("toy-magnitude-mlp")):
        detector = Dropout(model, 0.3, 20, 1)
        x = sounds(3, model.window)
        heard, z = model.activations(x, detector.layers)
        together = detector.digest(heard, z)
        for number in range(3):
            one = {layer: values[number : number + 1] for layer, values in heard.items()}
            torch.testing.assert_close(detector.digest(one, z[number : number + 1])[0], together[number])


def test_nothing_to_drop_gives_a_sentence():
    class Box(Classifier):
        name, sample_rate, window, labels, layers = "box", 16_000, WINDOW, ("a", "b"), ("hidden",)

        def represent(self, waveform):
            return waveform

        def decide(self, representation):
            return representation[:, :2]

        def features(self, waveform, layers):
            return dict.fromkeys(layers, waveform), waveform[:, :2]

    with pytest.raises(UsageError, match="box is a black box"):
        fit("dropout", Sample.of(Box(), clips(5, WINDOW), "test"))
    with pytest.raises(UsageError, match="nothing can be dropped"):  # its only layer are the logits
        fit("dropout", Sample.of(linear(), clips(5, WINDOW), "test"))
    model = load_model("toy-tree")
    some = [
        Clip(0.1 * np.random.default_rng(n).standard_normal((1, 32_000)).astype(np.float32), 16_000) for n in range(3)
    ]
    with pytest.raises(UsageError, match="toy-tree is a black box"):
        fit("dropout", Sample.of(model, some, "test"))
    with pytest.raises(UsageError, match="has no layer 'nowhere'"):
        curved().decide_with(torch.zeros(1, 1600), {"nowhere": torch.relu})
    constant = curved()
    constant.network.out.weight.data.zero_()
    with pytest.raises(UsageError, match=r"dropped|units dropped"):
        fit("dropout", Sample.of(constant, clips(5), "test"))


# -- Uncertainty ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["single-label", "tagging"])
def test_uncertainty_is_the_variance_over_passes(task):
    model = curved(task=task)
    detector = fit("dropout", Sample.of(model, clips(10), "test"), passes=11, rate=0.3, seed=4)
    x = sounds(5, 1600, 8)
    mask = cut(0.3, 16, 11, 4, 0)
    p = torch.stack(
        [model.probabilities(model.decide_with(x, {"hidden": lambda h, m=m: h * m})) for m in mask]
    ).double()
    if task == "tagging":
        expected = (p.square().mean(0) - p.mean(0).square()).mean(1)
    else:  # mean‖p‖² − ‖mean p‖² (Carlini & Wagner 2017)
        expected = p.square().sum(-1).mean(0) - p.mean(0).square().sum(-1)
    heard, z = model.activations(x, detector.layers)
    found = detector.window_scores(detector.digest(heard, z)[None], torch.zeros(1, dtype=torch.long))[0]
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-6)
    (reading,) = detect(model, clips(1, seed=9)[0], [detector], fpr=0.5)
    assert ("tags" if task == "tagging" else "classes") in reading.note


def scores(detector, model: Classifier, x: torch.Tensor) -> np.ndarray:
    """Each window as a clip of its own."""
    found = []
    with torch.no_grad():
        for part in x.split(16):
            heard, z = model.activations(part, detector.layers)
            found.append(detector.window_scores(detector.digest(heard, z)[:, None], z.argmax(1))[:, 0])
    return torch.cat(found).double().numpy()


@cache
def toy() -> tuple[Classifier, Sample, Sample, Sample, np.ndarray, torch.Tensor]:
    """Toy music: to fit on (clean, noisy, attacked), and held out negatives and attacked sounds."""
    model = load_model(NAME)
    made = [
        synthesise(LABELS[n % 10], 4100 + n, 16_000, 2.0, split="test" if n < 30 else "reference") for n in range(80)
    ]
    clean = Sample.of(model, [Clip(one[None], 16_000) for one in made[30:]], "test")
    noisy, adversarial = disturbed(clean.divided(PUT_ASIDE)[0])
    x = torch.from_numpy(np.stack(made[:30]))
    attacked = attack_batch(model, x, "bim", snr=30, steps=10)
    negatives = torch.cat([x, attack_batch(model, x, "noise", snr=30).adversarial])
    return model, clean, noisy, adversarial, negatives, attacked.adversarial[attacked.success]


@pytest.mark.parametrize(("name", "least"), [("dropout", 0.85), ("kde-dropout", 0.75)])
def test_attacks_on_toy_music_are_seen(name, least):
    """Held out: neither the sounds nor the attacks were fitted on. Negatives are clean sounds and noise at the same SNR."""
    model, clean, noisy, adversarial, negatives, fooled = toy()
    detector = fit(name, clean, noisy, adversarial)
    assert len(fooled) >= 10
    usual, found = scores(detector, model, negatives), scores(detector, model, fooled)
    labels = np.r_[np.zeros(len(usual)), np.ones(len(found))]
    assert roc_auc_score(labels, np.r_[usual, found]) > least


@cache
def small() -> tuple[Classifier, Sample, Sample, Sample]:
    model = curved(seed=1)
    clean = Sample.of(model, clips(120, seed=3), "test")
    return model, clean, *disturbed(clean.divided(PUT_ASIDE)[0])


@pytest.mark.parametrize("name", ["dropout", "kde-dropout"])
def test_clean_clips_are_flagged_no_more_often_than_the_rate_says(name):
    model, clean, noisy, adversarial = small()
    detector = fit(name, clean, noisy, adversarial)
    threshold, count = detector.threshold(0.2), len(detector.clean_scores)
    flagged = int((scores(detector, model, sounds(300, 1600, 31)) > threshold).sum())
    rank = int(np.ceil((count + 1) * 0.8))
    low, high = betabinom(300, count + 1 - rank, rank).ppf([0.001, 0.999])
    assert low <= flagged <= high


@pytest.mark.parametrize("name", ["dropout", "kde-dropout"])
def test_it_can_be_evaded_by_attacking_all_copies(name):
    model, clean, noisy, adversarial = small()
    detector = fit(name, clean, noisy, adversarial)
    x = sounds(40, 1600, 77)
    static = attack_batch(model, x, "pgd", snr=20, steps=20)
    adaptive = attack_batch(model, x, "pgd", snr=20, steps=20, stop_early=False, evade=(detector.evadable(),))
    clean_scores = scores(detector, model, x)

    def auc(found) -> float:
        attacked = scores(detector, model, found.adversarial[found.success])
        labels = np.r_[np.zeros(len(clean_scores)), np.ones(len(attacked))]
        return roc_auc_score(labels, np.r_[clean_scores, attacked])

    assert adaptive.success.float().mean() >= 0.5
    assert auc(adaptive) < auc(static) - 0.2


@pytest.mark.parametrize("name", ["dropout", "kde-dropout"])
def test_it_is_the_same_after_keeping(name, tmp_path):
    model, clean, noisy, adversarial = small()
    detector = fit(name, clean, noisy, adversarial, passes=20)
    again = load(keep(detector, tmp_path / "d.safetensors"), model)
    assert (again.clean_scores, again.layers) == (detector.clean_scores, detector.layers)
    x = sounds(6, 1600, 5)
    np.testing.assert_allclose(scores(again, model, x), scores(detector, model, x), rtol=1e-9)


# -- Density and uncertainty together --------------------------------------------------------------------------------------


def test_weights_are_those_of_a_regression_on_both_scores():
    """Attacked windows come out above noisy ones, and both scores are those of the two detectors."""
    model, clean, noisy, adversarial, negatives, _fooled = toy()
    detector = fit("kde-dropout", clean, noisy, adversarial)
    attacked = scores(detector, model, adversarial.waveforms())
    noise = scores(detector, model, noisy.waveforms())
    assert np.median(attacked) > np.median(noise)
    (reading,) = detect(model, Clip(negatives[:1].numpy(), 16_000), [detector], fpr=0.2)
    assert "learned from attacked and noisy" in reading.note
    layer, own = model.layers[-1], fit("dropout", clean)
    heard, z = model.activations(negatives[:5], detector.layers)
    digests = detector.digest(heard, z)
    torch.testing.assert_close(digests[:, -1:], own.digest(heard, z))
    torch.testing.assert_close(digests[:, :-1], heard[layer].flatten(1))


def test_too_few_attacked_clips_give_a_sentence():
    _model, clean, noisy, adversarial = small()
    one = [sample.part(np.array([0])) for sample in (noisy, adversarial)]
    with pytest.raises(UsageError, match="in 1 clip alone"):
        fit("kde-dropout", clean, *one)


@pytest.mark.parametrize("name", ["dropout", "kde-dropout"])
def test_taggers_and_silence_are_scored(name):
    model = curved(seed=2, task="tagging")
    clean = Sample.of(model, clips(40, seed=6), "test")
    detector = fit(name, clean, *disturbed(clean.divided(PUT_ASIDE)[0]))
    assert np.isfinite(detector.clean_scores).all()
    (reading,) = detect(model, Clip(np.zeros((1, 1600), np.float32), 16_000), [detector], fpr=0.2)
    assert np.isfinite(reading.score)
