"""lid and mahalanobis against their definitions, attacks they should see, and attacks that evade them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from detector_trials import area, made_up, mel_model, sample, scores, trial
from nets import curved
from scipy.spatial.distance import cdist
from sklearn.covariance import LedoitWolf

from mirguard.detectors.channel_means import channel_means
from mirguard.detectors.fitted import Fitted
from mirguard.detectors.fitting import fit
from mirguard.detectors.kept import keep, load
from mirguard.detectors.lid import Lid
from mirguard.detectors.sample import Sample
from mirguard.errors import UsageError

NAMES = ("lid", "mahalanobis")


@pytest.fixture(scope="module")
def fitted():
    return {name: fit(name, *trial()) for name in NAMES}


def layer_means(detector: Fitted, heard: Sample) -> list[np.ndarray]:
    """Channel means of every layer, and the logits, `(n, width)` each."""
    maps = [heard.activations(layer).astype(np.float64) for layer in detector.layers]
    return [*(one.reshape(*one.shape[:2], -1).mean(2) for one in maps), heard.logits.astype(np.float64)]


def standardised(detector: Fitted, clean: Sample, heard: Sample) -> list[np.ndarray]:
    """The same in standard deviations of the windows that the detector was fitted on; what never moves has the typical one."""
    ours = np.concatenate(layer_means(detector, clean.divided(0.4)[0]), 1)
    scale = np.where(ours.std(0) > 1e-12, ours.std(0), np.median(ours.std(0)[ours.std(0) > 1e-12]))
    rows = (np.concatenate(layer_means(detector, heard), 1) - ours.mean(0)) / scale
    return np.split(rows, np.cumsum(detector.widths)[:-1], 1)


# -- What is kept --------------------------------------------------------------------------------------------------------


def test_maps_are_averaged_and_rows_are_not():
    maps = torch.randn(3, 4, 5, 6)
    torch.testing.assert_close(channel_means(maps), maps.mean((2, 3)))
    assert torch.equal(channel_means(maps[:, :, 0, 0]), maps[:, :, 0, 0])


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_and_the_logits_are_kept_once(name):
    clean, noisy, adversarial = made_up(mel_model())
    detector = fit(name, clean, noisy, adversarial)
    assert detector.layers == clean.model.layers
    np.testing.assert_allclose(
        noisy.digests(detector), np.concatenate(layer_means(detector, noisy), 1), rtol=1e-4, atol=1e-5
    )
    clean, noisy, adversarial = made_up(curved(seed=4))
    assert fit(name, clean, noisy, adversarial).widths == (16, 4)


# -- Definitions ---------------------------------------------------------------------------------------------------------


def test_lid_is_the_maximum_likelihood_estimate_over_minibatches():
    clean, noisy, adversarial = made_up(mel_model(), clips=40)
    detector = fit("lid", clean, noisy, adversarial, neighbours=6, batch=10)
    assert detector.neighbours == 6
    part = clean.divided(0.4)[0]
    kept = np.random.default_rng(0).permutation(len(part.windows))[:40].reshape(4, 10)
    fresh = sample(clean.model, 5, 12)
    expected = []
    ours = standardised(detector, clean, part)
    for x, points in zip(standardised(detector, clean, fresh), ours, strict=True):
        of_batch = []
        for batch in kept:
            r = np.sort(cdist(x, points[batch]), 1)[:, :6]
            of_batch.append(-6 / np.log(r / r[:, -1:]).sum(1))
        expected.append(np.log(of_batch).mean(0))
    digests = torch.from_numpy(fresh.digests(detector))
    np.testing.assert_allclose(
        detector.log_lid(digests), np.stack(expected, 1), atol=0.02
    )  # points are kept in 16 bits
    score = detector.window_scores(digests[None], torch.tensor([0]))[0]
    np.testing.assert_allclose(score, detector.log_lid(digests) @ detector.weight + detector.bias)


def test_windows_of_the_same_clip_are_no_neighbours_while_fitting(monkeypatch):
    clean, noisy, adversarial = made_up(mel_model(), clips=12)
    part, seen, plain = clean.divided(0.4)[0], [], Lid.log_lid

    def recorded(self, digests, foreign=None):
        seen.append((foreign, plain(self, digests, foreign)))
        return seen[-1][1]

    monkeypatch.setattr(Lid, "log_lid", recorded)
    detector = fit("lid", clean, noisy, adversarial, neighbours=4, batch=10)
    foreign, found = seen[0]
    kept = np.random.default_rng(0).permutation(len(part.windows))[:10]
    clip_of = np.concatenate([part.clip_of] * 3)  # clean, noisy and attacked alike
    assert np.array_equal(foreign[:, 0], clip_of[:, None] != part.clip_of[kept])
    x = standardised(detector, clean, part)
    for layer, ours in enumerate(x):
        r = np.where(part.clip_of[:, None] == part.clip_of[kept], np.inf, cdist(ours, ours[kept]))
        r = np.sort(r, 1)[:, :4]
        expected = np.log(-4 / np.log(r / r[:, -1:]).sum(1))
        np.testing.assert_allclose(found[: len(ours), layer], expected, atol=0.05)
    with pytest.raises(UsageError, match="other clips"):
        Lid.fit(clean.part(np.arange(1)), noisy, adversarial, {"neighbours": 2, "batch": 2})


def test_distances_are_mahalanobis_to_the_class_with_one_shrunk_covariance():
    clean, noisy, adversarial = made_up(curved(seed=1), clips=60)
    detector = fit("mahalanobis", clean, noisy, adversarial)
    part = clean.divided(0.4)[0]
    said = part.said[part.clip_of]
    fresh = sample(clean.model, 8, 12)
    numbers = np.flatnonzero(np.bincount(part.said, minlength=4) >= 3)
    assert len(numbers) >= 2
    for layer, (x, ours) in enumerate(
        zip(standardised(detector, clean, fresh), standardised(detector, clean, part), strict=True)
    ):
        known = np.isin(said, numbers)
        means = {number: ours[said == number].mean(0) for number in numbers}
        residuals = np.stack([row - means[number] for row, number in zip(ours[known], said[known], strict=True)])
        inverse = np.linalg.inv(LedoitWolf(assume_centered=True).fit(residuals).covariance_)
        for number in numbers:
            expected = [(row - means[number]) @ inverse @ (row - means[number]) for row in x]
            found = detector.distances(torch.from_numpy(fresh.digests(detector)), torch.full((len(x),), int(number)))
            np.testing.assert_allclose(found[:, layer], expected, rtol=2e-2)


def test_what_has_no_class_of_its_own_is_held_to_the_nearest():
    detector = fit("mahalanobis", *trial())
    digests = torch.from_numpy(sample(trial()[0].model, 6, 12).digests(detector))
    every = torch.stack([detector.distances(digests, torch.full((len(digests),), k)) for k in range(4)])
    detector.group = detector.group.clone()
    detector.group[2] = -1
    known = [k for k in range(4) if k != 2]
    held = detector.distances(digests, torch.full((len(digests),), 2))
    assert bool((held <= every[known].amin(0) + 1e-9).all()) and "under 3 clips" in detector.note("class 2")


# -- At work -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_attacks_on_new_sounds_are_told_from_clean_and_noisy_ones(fitted, name):
    assert area(fitted[name], "pgd", 10, stop_early=False) > 0.85


@pytest.mark.parametrize("name", NAMES)
def test_an_attack_that_knows_of_it_is_harder_to_tell(fitted, name):
    values = {"stop_early": False, "steps": 60}
    static, adaptive = (area(fitted[name], "pgd", 10, 30, evading, **values) for evading in (False, True))
    assert adaptive < static - 0.2


@pytest.mark.parametrize("name", NAMES)
def test_new_clean_clips_are_flagged_no_more_often_than_the_rate(fitted, name):
    """10 % nominal, within three deviations: of the clips that are tried, and of those that the threshold is counted in."""
    detector, count = fitted[name], 200
    threshold = detector.threshold(0.1)
    flagged = float(np.mean(scores(detector, sample(trial()[0].model, count, 31, 1)) > threshold))
    spread = math.sqrt(0.1 * 0.9 * (1 / count + 1 / len(detector.clean_scores)))
    assert 0.0 < flagged < 0.1 + 3 * spread


@pytest.mark.parametrize("name", NAMES)
def test_they_score_the_same_after_keeping(fitted, name, tmp_path):
    model, detector = trial()[0].model, fitted[name]
    again = load(keep(detector, tmp_path / "d.safetensors"), model)
    fresh = sample(model, 5, 41)
    assert again.clean_scores == detector.clean_scores and again.layers == detector.layers
    np.testing.assert_allclose(scores(again, fresh), scores(detector, fresh), rtol=1e-9)
    assert [again.note(label) for label in model.labels] == [detector.note(label) for label in model.labels]


@pytest.mark.parametrize("name", NAMES)
def test_taggers_have_one_cloud(name):
    detector = fit(name, *made_up(mel_model("tagging")))
    assert np.isfinite(detector.clean_scores).all()
    digests = torch.randn(4, sum(detector.widths)).double()
    of_all = [detector.score(digests, label) for label in "abc"]
    assert of_all[0] == of_all[1] == of_all[2]
    assert name == "lid" or "one Gaussian" in detector.note("a")


@pytest.mark.parametrize("name", NAMES)
def test_silence_and_what_was_heard_before_are_finite_and_have_gradients(name):
    clean, noisy, adversarial = made_up(mel_model())
    detector = fit(name, clean, noisy, adversarial)
    x = torch.cat([torch.zeros(1, 3200), torch.ones(1, 3200), clean.waveforms()[:3]]).requires_grad_()
    digests = detector.digest(*clean.model.activations(x, detector.layers))
    score = detector.window_scores(digests[None], torch.tensor([0]))
    score.sum().backward()
    assert bool(torch.isfinite(score).all()) and bool(torch.isfinite(x.grad).all())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["few clips", "clips that are alike in pairs", "many windows of few clips"])
def test_poor_references_give_finite_scores(name, kind):
    model = mel_model()
    clean, noisy, adversarial = made_up(model, *((9, 20) if kind == "many windows of few clips" else (20, 2)))
    if kind == "few clips":
        clean = clean.part(np.unique(np.concatenate([np.arange(3), _numbers(clean, noisy)[:5]])))
        part = clean.divided(0.4)[0]
        noisy, adversarial = (part.changed(part.waveforms() * gain) for gain in (0.9, 0.2))
        if part.size < 5:
            with pytest.raises(UsageError, match="attacked clips"):
                fit(name, clean, noisy, adversarial)
            return
    if kind == "clips that are alike in pairs":
        x = clean.waveforms()
        clean = clean.changed(torch.where(torch.arange(len(x))[:, None] % 4 < 2, x[:1], x[1:2]))
    detector = fit(name, clean, noisy, adversarial)
    assert np.isfinite(detector.clean_scores).all()
    assert np.isfinite(scores(detector, adversarial)).all()


def _numbers(clean: Sample, part: Sample) -> np.ndarray:
    """The clips of a part in the whole."""
    return np.array([clean.hashes.index(code) for code in part.hashes])


@pytest.mark.parametrize("name", NAMES)
def test_references_that_do_not_do_are_refused_in_one_sentence(name):
    clean, noisy, adversarial = made_up(mel_model())
    alike = clean.changed(torch.full((len(clean.windows), 3200), 0.25))
    with pytest.raises(UsageError, match="the same"):
        fit(name, alike, noisy, adversarial)
    with pytest.raises(UsageError, match="attacked clips"):
        fit(name, clean, noisy.part(np.arange(2)), adversarial.part(np.arange(2)))
