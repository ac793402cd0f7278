"""pca-tail and pca-reduction against their definitions, attacks they should see, and attacks that evade them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from detector_trials import RATE, area, made_up, mel_model, sample, scores, trial
from nets import curved
from sklearn.decomposition import PCA

from mirguard.detectors.fitting import fit
from mirguard.detectors.kept import keep, load
from mirguard.detectors.learning import adversarial_or_not, balance, folds, learn_linear
from mirguard.detectors.pca_reduction import pool
from mirguard.detectors.spectrum import FLOOR, Spectrum
from mirguard.errors import UsageError

NAMES = ("pca-tail", "pca-reduction")
VALUES = {"pca-tail": {}, "pca-reduction": {"components": 24}}


@pytest.fixture(scope="module")
def fitted():
    return {name: fit(name, *trial(), **VALUES[name]) for name in NAMES}


# -- The spectrum --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [5, 64, 400, 1600, 32_000])
def test_spectra_are_those_of_whole_frames(window):
    spectrum = Spectrum(RATE, window)
    x = torch.randn(2, window, generator=torch.Generator().manual_seed(window)) / 10
    found, size = spectrum(x), spectrum.stft.size
    hann = np.sin(np.pi * np.arange(size) / size) ** 2
    starts = range(0, max(window - size, 0) + 1, size // 2)
    expected = [np.abs(np.fft.rfft(x[:, s : s + size].double().numpy() * hann, size)) ** 2 / size for s in starts]
    np.testing.assert_allclose(found, np.log(np.stack(expected, 1) + FLOOR), atol=1e-3)
    if window >= 64:
        assert found.shape[1] >= 6
    if window == 32_000:
        assert size == 1024


def test_pooled_spectra_are_order_statistics_spread_and_steps():
    frames = torch.randn(3, 31, 50, generator=torch.Generator().manual_seed(1))
    used = frames[:, :, :46].numpy()
    expected = [np.sort(used, 1)[:, round(q * 30)] for q in (0.0, 0.1, 0.5, 0.9)]
    expected += [np.sqrt(used.var(1) + 1e-6), np.abs(np.diff(used, axis=1)).mean(1)]
    np.testing.assert_allclose(pool(frames), np.concatenate(expected, 1), rtol=1e-4, atol=1e-6)


# -- Definitions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_the_tail_is_the_variance_of_the_last_whitened_coefficients(share):
    clean, *_rest = made_up(mel_model())
    detector = fit("pca-tail", clean, share=share)
    frames = clean.divided(0.4)[0].activations("representation")
    analysis = PCA(whiten=True).fit(frames.reshape(-1, 24).astype(np.float64))
    other = sample(clean.model, 3, 8)
    coefficients = [
        analysis.transform(window)[:, -round(24 * share) :] for window in other.activations("representation")
    ]
    bessel = np.log(1 - 1 / frames[..., 0].size)  # scikit-learn divides by one frame less
    expected = [np.log(np.square(c).mean()) - bessel for c in coefficients]
    np.testing.assert_allclose(other.digests(detector)[:, 0], expected, rtol=1e-3, atol=1e-3)


def test_models_that_take_samples_or_statistics_are_heard_by_the_spectrum_of_the_window():
    clean, *_rest = made_up(curved())
    detector = fit("pca-tail", clean)
    assert detector.layers == ("waveform",)
    part = clean.divided(0.4)[0]
    frames = Spectrum(RATE, 1600)(part.waveforms()).double().numpy()
    analysis = PCA(whiten=True).fit(frames.reshape(-1, frames.shape[2]))
    trailing = round(0.5 * frames.shape[2])
    bessel = np.log(1 - 1 / frames[..., 0].size)
    expected = [np.log(np.square(analysis.transform(window)[:, -trailing:]).mean()) - bessel for window in frames]
    np.testing.assert_allclose(part.digests(detector)[:, 0], expected, rtol=1e-3, atol=1e-3)


def test_reduction_is_a_classifier_on_leading_components(fitted):
    clean, noisy, adversarial = trial()
    every = (clean.divided(0.4)[0], noisy, adversarial)
    spectrum = Spectrum(RATE, clean.model.window)
    x = np.concatenate([pool(spectrum(one.waveforms())).numpy().astype(np.float64) for one in every])
    count = len(every[0].windows)
    mean, scale = x[:count].mean(0), x[:count].std(0)
    analysis = PCA(24, svd_solver="full").fit((x[:count] - mean) / scale)
    kind = adversarial_or_not(*every)
    judge = learn_linear(analysis.transform((x - mean) / scale), kind, folds(*every), balance(kind), clean)
    fresh = sample(clean.model, 4, 17)
    pooled = pool(spectrum(fresh.waveforms())).numpy()
    expected = analysis.transform((pooled - mean) / scale) @ judge.weight + judge.bias
    np.testing.assert_allclose(fresh.digests(fitted["pca-reduction"])[:, 0], expected, rtol=1e-3, atol=1e-3)


# -- At work -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "snr", "least"), [("pca-tail", 5, 0.6), ("pca-reduction", 10, 0.8)])
def test_attacks_on_new_sounds_are_told_from_clean_and_noisy_ones(fitted, name, snr, least):
    assert area(fitted[name], "pgd", snr, stop_early=False) > least


@pytest.mark.parametrize("name", NAMES)
def test_an_attack_that_knows_of_it_is_harder_to_tell(fitted, name):
    values = {"stop_early": False, "steps": 40}
    static, adaptive = (area(fitted[name], "pgd", 5, 30, evading, **values) for evading in (False, True))
    assert adaptive < static - 0.1


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
    assert np.array_equal(fresh.digests(again), fresh.digests(detector))
    assert again.clean_scores == detector.clean_scores and again.note("class 1") == detector.note("class 1")
    assert np.array_equal(scores(again, fresh), scores(detector, fresh))


@pytest.mark.parametrize("name", NAMES)
def test_taggers_are_no_different(name):
    detector = fit(name, *made_up(mel_model("tagging")), **VALUES[name])
    assert np.isfinite(detector.clean_scores).all()


@pytest.mark.parametrize("name", NAMES)
def test_silence_and_one_tone_are_finite_and_have_gradients(name):
    clean, noisy, adversarial = made_up(mel_model())
    detector = fit(name, clean, noisy, adversarial, **VALUES[name])
    tone = 0.5 * torch.sin(0.1 * torch.arange(3200.0))
    x = torch.stack([torch.zeros(3200), torch.ones(3200), tone]).requires_grad_()
    score = detector.window_scores(
        detector.digest(*clean.model.activations(x, detector.layers))[None], torch.tensor([0])
    )
    score.sum().backward()
    assert bool(torch.isfinite(score).all()) and bool(torch.isfinite(x.grad).all())


@pytest.mark.parametrize("name", NAMES)
def test_references_that_do_not_do_are_refused_in_one_sentence(name):
    model = mel_model()
    clean, noisy, adversarial = made_up(model)
    alike = clean.changed(torch.full((len(clean.windows), 3200), 0.25))
    part = alike.divided(0.4)[0]
    with pytest.raises(UsageError, match="the same"):
        fit(name, alike, part, part)
    few = clean.part(np.arange(4))
    learns = name == "pca-reduction"
    if learns:
        with pytest.raises(UsageError, match="attacked clips"):
            fit(name, clean, noisy.part(np.arange(2)), adversarial.part(np.arange(2)))
    else:
        assert np.isfinite(fit(name, few).clean_scores).all()
