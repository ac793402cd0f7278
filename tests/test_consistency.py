"""The detector that shakes the sound: its distances by their definition, attacks it sees, evasion, and what it says without MP3."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from nets import curved, linear, sounds
from scipy.stats import betabinom
from sklearn.metrics import roc_auc_score

from mirguard.channel.mp3 import Mp3
from mirguard.channel.noise import Noise
from mirguard.clip import Clip
from mirguard.datasets.synthesis import LABELS, synthesise
from mirguard.detectors.consistency import CHANGES, changes
from mirguard.detectors.fitting import fit
from mirguard.detectors.kept import keep, load
from mirguard.detectors.sample import Sample
from mirguard.errors import UsageError
from mirguard.experiment import attack_batch
from mirguard.experiment.detecting import detect
from mirguard.models.bundled import NAME
from mirguard.models.catalogue import load_model

VALUES = {
    "mp3": True,
    "noise": True,
    "resample": True,
    "band_pass": True,
    "bitrate": 64.0,
    "snr": 25.0,
    "combine": "mean",
}
FAST = {"mp3": False, "resample": True}


def clips(count: int, samples: int = 1600, seed: int = 0) -> list[Clip]:
    return [Clip(row.numpy()[None], 16_000) for row in sounds(count, samples, seed)]


@cache
def toy() -> tuple[torch.Tensor, list[Clip]]:
    """Windows of toy music to attack, and clips to fit on."""
    made = [
        synthesise(LABELS[number % 10], 4000 + number, 16_000, 2.0, split="test" if number < 30 else "reference")
        for number in range(40)
    ]
    return torch.from_numpy(np.stack(made[:30])), [Clip(one[None], 16_000) for one in made[30:]]


@pytest.mark.parametrize("task", ["single-label", "tagging"])
def test_scores_are_distances_between_probabilities_in_units_of_clean_ones(task):
    model = curved(task=task)
    clean = Sample.of(model, clips(12), "test")
    x = sounds(5, 1600, 9)
    noisy = x + x.square().mean(1, keepdim=True).sqrt() * 10 ** (-17.5 / 20) * Noise(1.0, 0)(torch.zeros(1600), 0)
    coded = torch.from_numpy(np.stack([Mp3(32.0, 16_000).heard(row.numpy(), 0) for row in x]))

    def distance(to: torch.Tensor, of: torch.Tensor) -> np.ndarray:
        p = [model.probabilities(model.logits(sound)) for sound in (to, of)]
        return (p[0] - p[1]).abs().sum(1).numpy()

    raw = np.stack([distance(coded, x), distance(noisy, x)], 1)
    for combine, reduce in (("mean", np.mean), ("largest", np.max)):
        detector = fit("consistency", clean, combine=combine)
        found = detector.digest({"waveform": x}, model.logits(x))
        np.testing.assert_allclose(found, raw, rtol=1e-4, atol=1e-6)
        part, _aside = clean.divided(0.4)
        typical = part.digests(detector).mean(0)
        expected = reduce(raw / typical, axis=1)
        scores = detector.window_scores(found[None], torch.zeros(1, dtype=torch.long))
        np.testing.assert_allclose(scores[0], expected, rtol=1e-3)


def test_every_change_leaves_sound_as_long_and_nearly_as_it_was():
    x = sounds(3, 4000, 2).requires_grad_()
    found = changes(VALUES, 16_000)
    assert tuple(found) == tuple(CHANGES)
    for change in found.values():
        y = change(x)
        assert y.shape == x.shape
        assert torch.equal(change(x), y)  # nothing is drawn anew
        (slope,) = torch.autograd.grad(y.square().sum(), x)
        assert bool(torch.isfinite(slope).all()) and bool(slope.any())
        assert bool(torch.isfinite(change(torch.zeros(1, 4000))).all())
    x = x.detach()
    noisy = found["noise"](x) - x
    assert 10 * torch.log10(x.square().mean(1) / noisy.square().mean(1)) == pytest.approx(25.0, abs=0.5)
    with pytest.raises(UsageError, match="at least one change"):
        changes(dict.fromkeys(VALUES, False), 16_000)


def test_without_mp3_the_others_are_left_and_it_is_said():
    model = curved(sample_rate=10_000)
    some = [Clip(row.numpy()[None], 10_000) for row in sounds(12, 1600)]
    detector = fit("consistency", Sample.of(model, some, "test"))
    (reading,) = detect(model, some[0], [detector], fpr=0.5)
    assert "under noise," in reading.note and "10000 Hz" in reading.note
    with pytest.raises(UsageError, match="no sample rate of 10000 Hz"):
        fit("consistency", Sample.of(model, some, "test"), noise=False)


def test_attacks_on_toy_music_are_seen():
    """Held out: neither the sounds nor the attacks were fitted on. Negatives are clean sounds and noise at the same SNR."""
    model, (x, some) = load_model(NAME), toy()
    detector = fit("consistency", Sample.of(model, some, "test"))

    def scores(sound: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            parts = [detector.digest({"waveform": part}, model.logits(part)) for part in sound.split(16)]
        return detector.window_scores(torch.cat(parts)[None], torch.zeros(1, dtype=torch.long))[0].numpy()

    attacked = attack_batch(model, x, "bim", snr=30, steps=10)
    noisy = attack_batch(model, x, "noise", snr=30).adversarial
    fooled = attacked.adversarial[attacked.success]
    assert len(fooled) >= 10
    clean = np.concatenate([scores(x), scores(noisy)])
    found = scores(fooled)
    labels = np.r_[np.zeros(len(clean)), np.ones(len(found))]
    assert roc_auc_score(labels, np.r_[clean, found]) > 0.85


def test_clean_clips_are_flagged_no_more_often_than_the_rate_says():
    model = curved(seed=5)
    detector = fit("consistency", Sample.of(model, clips(100, seed=1), "test"), **FAST)
    new = Sample.of(model, clips(200, seed=2), "test")
    digests = torch.from_numpy(new.digests(detector))
    threshold, clean = detector.threshold(0.2), len(detector.clean_scores)
    flagged = sum(detector.score(digests[[number]], model.labels[0]) > threshold for number in range(200))
    rank = int(np.ceil((clean + 1) * 0.8))
    low, high = betabinom(200, clean + 1 - rank, rank).ppf([0.001, 0.999])
    assert low <= flagged <= high


def test_it_can_be_evaded():
    model = curved(seed=1)
    detector = fit("consistency", Sample.of(model, clips(20, seed=3), "test"), **FAST, snr=25.0)
    x = sounds(8, 1600, 77)

    def mean_score(evade) -> float:
        found = attack_batch(model, x, "pgd", snr=20, steps=20, evade=evade, stop_early=not evade)
        assert bool(found.success.any())
        sound = found.adversarial[found.success]
        with torch.no_grad():
            digests = detector.digest({"waveform": sound}, model.logits(sound))
        return float(detector.window_scores(digests[None], torch.zeros(1, dtype=torch.long)).mean())

    assert mean_score((detector.evadable(),)) < 0.5 * mean_score(())


def test_it_is_the_same_after_keeping(tmp_path):
    model = curved()
    clean = Sample.of(model, clips(10), "test")
    detector = fit("consistency", clean, **FAST, combine="largest", snr=20.0)
    again = load(keep(detector, tmp_path / "consistency.safetensors"), model)
    digests = [torch.from_numpy(clean.digests(one)) for one in (detector, again)]
    assert torch.equal(*digests)
    assert detector.score(digests[0], model.labels[0]) == again.score(digests[1], model.labels[0])
    assert (again.clean_scores, again.note("")) == (detector.clean_scores, detector.note(""))


def test_a_model_that_nothing_moves_gives_a_sentence():
    model = linear(window=1600)
    for parameter in model.network.parameters():
        parameter.zero_()
    with pytest.raises(UsageError, match="does not change with the sound"):
        fit("consistency", Sample.of(model, clips(4), "test"), **FAST)
