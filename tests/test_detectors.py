"""What all detectors have in common: samples, thresholds, files, how they are fitted, read, watched and evaded."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nets import curved, sounds

from mirguard.attacks.losses import margin
from mirguard.clip import Clip, save_clip
from mirguard.detectors.catalogue import find_detector, list_detectors
from mirguard.detectors.fitted import clip_threshold
from mirguard.detectors.fitting import divide, fit
from mirguard.detectors.kept import fitted_for, keep, load, names_fitted_for
from mirguard.detectors.sample import Sample, hear
from mirguard.errors import Cancelled, FileError, UsageError
from mirguard.experiment import attack, attack_batch
from mirguard.experiment.detecting import detect, disturbed, fit_detectors, fitted_detectors, hear_reference
from mirguard.models.evadable import fold, wanted
from mirguard.models.tracks import window_logits


def clips(count: int, samples: int = 4000, seed: int = 0) -> list[Clip]:
    rows = sounds(count, samples, seed)
    return [Clip(row.numpy()[None], 16_000, provenance={"name": f"{number}"}) for number, row in enumerate(rows)]


# -- Thresholds ----------------------------------------------------------------------------------------------------------


@given(count=st.integers(1, 200), fpr=st.floats(0.002, 0.6))
def test_thresholds_count_clips_and_rates_too_fine_are_refused(count, fpr):
    scores = np.random.default_rng(count).permutation(count).astype(float)
    if math.ceil((count + 1) * (1 - fpr) - 1e-9) > count:
        with pytest.raises(UsageError, match=f"this reference has {count}"):
            clip_threshold(scores, fpr)
    else:
        threshold = clip_threshold(scores, fpr)
        assert (scores > threshold).sum() <= fpr * (count + 1)


def test_the_sentence_names_the_clips_that_are_needed():
    with pytest.raises(UsageError, match="at least 99 clean clips"):
        clip_threshold(np.arange(40.0), 0.01)
    clip_threshold(np.arange(99.0), 0.01)


# -- Samples -------------------------------------------------------------------------------------------------------------


def test_a_sample_is_what_the_model_hears():
    model = curved()
    some = [*clips(5), Clip(np.zeros((1, 4000), np.float32), 16_000, provenance={"name": "nothing"})]
    sample = Sample.of(model, some, "test")
    assert sample.size == 5 and sample.skipped == ("nothing: silent",)
    for number, clip in enumerate(some[:5]):
        expected = window_logits(model, clip).numpy()
        np.testing.assert_allclose(sample.logits[sample.clip_of == number], expected, atol=2e-3)  # 16 bits
    said = [int(np.argmax(np.log(np.exp(z - z.max()) / np.exp(z - z.max()).sum()))) for z in [sample.logits[0]]]
    assert sample.activations("hidden").shape == (len(sample.windows), 16)
    assert 0 <= said[0] < len(model.labels)
    assert sample.activations("waveform").shape == sample.windows.shape
    with pytest.raises(UsageError, match="no clip"):
        Sample.of(model, some[5:], "test")


def test_parts_of_a_sample_share_no_clip_and_lose_none():
    sample = Sample.of(curved(), clips(11), "test")
    one, other = sample.divided(0.4)
    assert other.size == 4 and set(one.names) | set(other.names) == set(sample.names)
    assert not set(one.names) & set(other.names)
    number = sample.names.index(one.names[2])
    assert np.array_equal(one.windows[one.clip_of == 2], sample.windows[sample.clip_of == number])
    assert np.array_equal(one.said, sample.said[[sample.names.index(name) for name in one.names]])


def test_a_long_clip_does_not_outweigh_the_others():
    model = curved()
    sample = Sample.of(model, clips(1, 100 * model.window), "test", most=7)
    assert len(sample.windows) == 7


def test_noise_and_attacks_are_made_of_the_same_windows():
    clean = Sample.of(curved(seed=1), clips(30, 4800), "test")
    noisy, adversarial = disturbed(clean)
    assert noisy.names == adversarial.names and set(noisy.names) <= set(clean.names)
    assert np.array_equal(noisy.clip_of, adversarial.clip_of)
    changed = adversarial.logits.argmax(1)
    own = {name: clean.logits[clean.clip_of == number] for number, name in enumerate(clean.names)}
    originals = {name: clean.windows[clean.clip_of == number] for number, name in enumerate(clean.names)}
    for window, noise, clip, label in zip(
        adversarial.windows, noisy.windows, adversarial.clip_of, changed, strict=True
    ):
        name = adversarial.names[clip]
        distances = [np.abs(window.astype(int) - one).sum() for one in originals[name]]
        nearest = int(np.argmin(distances))
        assert label != own[name][nearest].argmax()
        signal = originals[name][nearest].astype(float)
        snr = [10 * np.log10((signal**2).sum() / ((other - signal) ** 2).sum()) for other in (window, noise)]
        assert 19.5 < snr[1] < 35.5
        assert snr[0] > 19.5


# -- Fitting and keeping -------------------------------------------------------------------------------------------------


def test_what_detectors_learn_from_is_not_what_thresholds_are_counted_in():
    clean = Sample.of(curved(), clips(20), "test")
    needy = next((d for d in list_detectors() if d.needs), None)
    if needy is not None:
        part, aside = divide(clean, needy.name)
        assert aside is not None and not set(part.hashes) & set(aside.hashes)
        noisy, adversarial = aside, aside
        with pytest.raises(UsageError, match="not of those put aside"):
            fit(needy.name, clean, noisy, adversarial)
        with pytest.raises(UsageError, match="there are none"):
            fit(needy.name, clean)
    assert divide(clean, "kde")[1] is None
    with pytest.raises(UsageError, match="1 clip is too small"):
        fit("kde", clean.part(np.array([3])))


def test_a_detector_is_the_same_after_keeping(tmp_path):
    model = curved()
    clean = Sample.of(model, clips(12), "test")
    kde = fit("kde", clean)
    again = load(keep(kde, tmp_path / "kde.safetensors"), model)
    assert (again.about, again.clean_scores, again.name) == (kde.about, kde.clean_scores, "kde")
    other = fit("kde", clean.part(np.arange(11)))
    assert again.about.reference_hash == kde.about.reference_hash != other.about.reference_hash
    digests = torch.from_numpy(clean.digests(kde))[:3]
    for label in model.labels:
        assert again.score(digests, label) == pytest.approx(kde.score(digests, label), rel=1e-12)
    with pytest.raises(UsageError, match="fit it anew"):
        load(tmp_path / "kde.safetensors", curved(seed=7))
    (tmp_path / "broken.safetensors").write_bytes(b"nonsense")
    with pytest.raises(FileError, match="fit it again"):
        load(tmp_path / "broken.safetensors", model)


def test_detectors_are_fitted_on_a_folder_and_kept_for_that_model(tmp_path, own_data):
    model = curved(seed=6)
    folder = tmp_path / "clean"
    folder.mkdir()
    for number, row in enumerate(sounds(25, 8000)):
        save_clip(Clip(row.numpy()[None], 16_000), folder / f"{number}.wav")
    (folder / "broken.wav").write_text("not a sound")
    (folder / "notes.txt").write_text("nothing to hear")
    assert fitted_for(model, "kde") is None and names_fitted_for(model) == ()
    with pytest.raises(UsageError, match="--reference"):
        fitted_detectors(model)
    told = []
    made = fit_detectors(model, folder, ("kde",), progress=lambda *what: told.append(what))
    assert made.detectors["kde"].about.size == 25
    assert "broken.wav" in made.skipped[0]
    assert told[0] == ("Hearing 0.wav", 0.0)
    assert fitted_for(model, "kde").about.source == str(folder)
    assert names_fitted_for(model) == ("kde",)
    assert fitted_for(curved(seed=7), "kde") is None
    with pytest.raises(FileError, match="no folder"):
        hear_reference(model, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="holds no"):
        hear_reference(model, tmp_path / "empty")


def test_hearing_a_reference_can_be_cancelled():
    import threading

    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        hear_reference(curved(), clips(3), cancel=cancel)


def test_unknown_detectors_are_named_with_the_known_ones():
    with pytest.raises(UsageError, match="kde"):
        find_detector("crystal ball")


# -- Reading -------------------------------------------------------------------------------------------------------------


def test_hearing_gives_what_probes_make_and_the_decision_of_one_pass():
    model = curved(micro_batch=2)
    kde = fit("kde", Sample.of(model, clips(12), "test"))
    (digest,), said = hear(model, clips(1, 8000)[0], (kde,))
    assert digest.shape == (5, 16)
    assert said.label in model.labels


def test_a_clip_of_the_reference_is_told():
    model, some = curved(), clips(12)
    kde = fit("kde", Sample.of(model, some, "test"))
    (reading,) = detect(model, some[3], [kde], fpr=0.2)
    assert "in the reference" in reading.note
    (reading,) = detect(model, clips(1, seed=9)[0], [kde], fpr=0.2)
    assert "in the reference" not in reading.note


# -- Evasion -------------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 1000), targeted=st.booleans())
def test_a_folded_margin_is_the_smaller_of_margin_and_innocence(seed, targeted):
    generator = torch.Generator().manual_seed(seed)
    z, suspicion = torch.randn(5, 4, generator=generator), 2 * torch.randn(5, generator=generator)
    labels = torch.randint(4, (5,), generator=generator)
    targets = (labels + 1) % 4 if targeted else None
    classes = wanted(z, labels, targets)
    exact = margin(fold(z, suspicion, labels, classes, math.inf), labels, targets)
    torch.testing.assert_close(exact, torch.minimum(margin(z, labels, targets), -suspicion))
    rounded = margin(fold(z, suspicion, labels, classes, 4.0), labels, targets)
    assert bool((rounded <= exact + 1e-6).all()) and bool((rounded >= exact - math.log(2) / 4 - 1e-6).all())


@pytest.mark.parametrize("name", ["pgd", "minimal-l2", "cw-l2", "deepfool", "square"])
def test_an_attack_that_evades_is_scored_as_clean(name):
    """At the same budget, an attack that knows of the detector is less conspicuous than one that does not, and fools as well."""
    model = curved(seed=1)
    kde = fit("kde", Sample.of(model, clips(100, 4800, 3), "test"))
    x = sounds(12, model.window, 77)
    values = {"pgd": {"snr": 10, "steps": 60, "stop_early": False}, "square": {"snr": 10, "queries": 500}}.get(name, {})
    static = attack_batch(model, x, name, **values)
    adaptive = attack_batch(model, x, name, evade=(kde.evadable(),), **values)

    def scores(sound: torch.Tensor) -> np.ndarray:
        sample = Sample.of(model, [Clip(row.numpy()[None], 16_000) for row in sound], "test")
        digests, said = torch.from_numpy(sample.digests(kde)), sample.said
        return np.array([kde.score(digests[[n]], model.labels[said[n]]) for n in range(len(sound))])

    before, after = scores(static.adversarial), scores(adaptive.adversarial)
    both = static.success.numpy() & adaptive.success.numpy()
    assert adaptive.success.float().mean() >= 0.5
    aim = kde.threshold(0.5)
    assert np.mean(after[both] <= aim + 1e-3) > np.mean(before[both] <= aim + 1e-3) or np.all(before[both] <= aim)
    assert after[both].mean() < before[both].mean() + 1e-6


def test_evading_nothing_changes_nothing():
    model, x = curved(), sounds(4, 1600)
    assert torch.equal(
        attack_batch(model, x, "pgd", snr=20, seed=3).adversarial,
        attack_batch(model, x, "pgd", snr=20, seed=3, evade=()).adversarial,
    )


def test_a_clip_can_be_attacked_past_a_detector():
    model = curved(seed=1)
    kde = fit("kde", Sample.of(model, clips(60, 4800, 3), "test"))
    clip = clips(1, 4800, 55)[0]
    outcome = attack(model, clip, "pgd", snr=5, steps=100, evade=(kde,))
    assert outcome.experiment.evade == ("kde",)
    assert outcome.clip.provenance["evade"] == ["kde"]
    assert outcome.clean.label != outcome.exported.decision.label or not outcome.reached
    for name in ("noise", "universal"):
        with pytest.raises(UsageError, match="cannot evade"):
            attack(model, clip, name, snr=20, evade=(kde,))
    with pytest.raises(UsageError, match="surrogates"):
        attack(model, clip, "pgd", snr=20, evade=(kde,), surrogates=(curved(seed=2),))
