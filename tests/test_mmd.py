"""The detector of sets: what it says of a track against its definition, its error rate, when it cannot tell, and evasion."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from nets import curved, sounds
from scipy.spatial.distance import cdist
from scipy.stats import betabinom

from mirguard.clip import Clip
from mirguard.datasets.synthesis import LABELS, synthesise
from mirguard.detectors import mmd as room
from mirguard.detectors.fitting import fit
from mirguard.detectors.kept import keep, load
from mirguard.detectors.mmd import LEAST_TRACKS, LEAST_WINDOWS
from mirguard.detectors.sample import Sample
from mirguard.detectors.two_sample import mmd_test
from mirguard.errors import UsageError
from mirguard.experiment import attack_batch
from mirguard.experiment.detecting import detect
from mirguard.models.decision import Decision

RATE, WINDOW = 8000, 400


@cache
def model():
    return curved(seed=3, window=WINDOW, sample_rate=RATE)


def tracks(count: int, windows: int = LEAST_WINDOWS, seed: int = 0) -> list[Clip]:
    """Toy music: windows of one track resemble each other."""
    return [
        Clip(
            synthesise(LABELS[number % len(LABELS)], seed + number, RATE, windows * WINDOW / RATE)[None],
            RATE,
            provenance={"name": f"{seed + number}"},
        )
        for number in range(count)
    ]


@cache
def fitted():
    return fit("mmd", Sample.of(model(), tracks(24), "test"))


@cache
def of_short_clips():
    return fit("mmd", Sample.of(model(), tracks(40, 5, 500), "test"))


def digests(detector, clip: Clip) -> torch.Tensor:
    return torch.from_numpy(Sample.of(model(), [clip], "test").digests(detector))


def test_a_track_is_scored_by_its_mmd_against_the_reference():
    detector = fitted()
    new = digests(detector, tracks(1, seed=900)[0])
    reference = np.concatenate(detector.reference())
    expected = mmd_test(detector.points_of(new), reference, 1, sigma=detector.sigma)
    assert detector.score(new, model().labels[0]) == pytest.approx(expected.statistic, abs=1e-9)


def test_clean_scores_leave_the_track_itself_out():
    detector = fitted()
    reference = detector.reference()
    assert detector.tracks and len(detector.clean_scores) == 24

    def k(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.exp(-(cdist(a, b) ** 2) / (2 * detector.sigma**2))

    sample = Sample.of(model(), tracks(24), "test")
    features = sample.activations("hidden").astype(np.float16).astype(np.float64)
    for clip in (0, 11, 23):
        x = detector.points_of(torch.from_numpy(features[sample.clip_of == clip]))
        y = np.concatenate([points for number, points in enumerate(reference) if number != clip])
        m, n = len(x), len(y)
        expected = (k(x, x).sum() - m) / (m * (m - 1)) + (k(y, y).sum() - n) / (n * (n - 1)) - 2 * k(x, y).mean()
        assert detector.clean_scores[clip] == pytest.approx(expected, abs=1e-9)


def test_clean_tracks_are_flagged_no_more_often_than_the_rate_says():
    """20 toy tracks against a reference of others. Taken for independent, their windows would flag nearly all of them."""
    detector, fpr = fitted(), 0.2
    flagged = naive = 0
    for clip in tracks(20, seed=100):
        (reading,) = detect(model(), clip, [detector], fpr=fpr)
        flagged += reading.flagged
        points = detector.points_of(digests(detector, clip))
        naive += mmd_test(points, np.concatenate(detector.reference()), 39, sigma=detector.sigma).p_value <= 0.05
    clean = len(detector.clean_scores)
    rank = int(np.ceil((clean + 1) * (1 - fpr)))
    # How many of 20 lie above the rank-th of so many, all being drawn alike.
    assert flagged <= betabinom(20, clean + 1 - rank, rank).ppf(0.999)
    assert naive >= 15


def test_a_track_from_elsewhere_is_flagged():
    detector, said = fitted(), Decision(model().labels[0], 1.0, model().labels, (1.0, 0.0, 0.0, 0.0), ())
    far = digests(detector, tracks(1, seed=904)[0]) * 0.1 + 60.0
    reading = detector.read(far, said)
    assert reading.flagged and reading.set_level and reading.percentile == 100.0
    assert "24 clean tracks" in reading.note
    assert "in the reference" in detector.read(far, said, known=True).note


def test_it_says_where_it_cannot_tell():
    for detector, windows, why in (
        (fitted(), LEAST_WINDOWS - 1, f"has {LEAST_WINDOWS - 1} windows"),
        (fitted(), 2, "has 2 windows"),
        (of_short_clips(), LEAST_WINDOWS, f"too few tracks of {LEAST_WINDOWS} windows"),
    ):
        (reading,) = detect(model(), tracks(1, windows, 901)[0], [detector])
        assert (reading.score, reading.percentile, reading.flagged) == (None, None, None)
        assert why in reading.note
        assert np.isfinite(reading.threshold)
        assert reading.to_json()["flagged"] is None
    assert not of_short_clips().tracks
    assert LEAST_TRACKS >= 19  # a threshold at 5 % can always be counted
    with pytest.raises(UsageError, match="needs 100 clean ones and this reference has 30"):
        fit("mmd", Sample.of(model(), tracks(6, 5), "test"))


def test_identical_clips_give_a_sentence():
    clip = Clip(np.full((1, 5 * WINDOW), 0.5, np.float32), RATE)
    with pytest.raises(UsageError, match="different sounds"):
        fit("mmd", Sample.of(model(), [clip] * 25, "test"))


def test_several_clips_together_are_tested_by_permuting_clips():
    detector = of_short_clips()
    clean = [digests(detector, clip) for clip in tracks(14, 5, 700)]
    found = room.test_set(detector, clean, permutations=199)
    assert (found.windows, found.clips) == (70, 14)
    assert found.p_value > 0.01
    rng = np.random.default_rng(0)
    noise = [
        Clip((level * rng.uniform(-1, 1, (1, 5 * WINDOW))).astype(np.float32), RATE)
        for level in np.linspace(0.05, 0.5, 14)
    ]
    other = room.test_set(detector, [digests(detector, clip) for clip in noise], permutations=199)
    assert other.p_value == 1 / 200 and other.statistic > found.statistic
    assert other.to_json()["clips"] == 14
    # Clips of more windows than the reference's give as many as those.
    longer = room.test_set(detector, [digests(detector, clip) for clip in tracks(12, 20, 720)], permutations=99)
    assert longer.windows == 60
    few = room.test_set(detector, clean[:4])
    assert (few.p_value, few.statistic) == (None, None) and "give more clips" in few.note
    with pytest.raises(UsageError, match="no clips"):
        room.test_set(detector, [])


def test_it_is_the_same_after_keeping(tmp_path):
    for detector in (fitted(), of_short_clips()):
        again = load(keep(detector, tmp_path / "mmd.safetensors"), model())
        new = digests(detector, tracks(1, seed=902)[0])
        assert again.score(new, model().labels[0]) == detector.score(new, model().labels[0])
        assert (again.clean_scores, again.tracks) == (detector.clean_scores, detector.tracks)


def test_a_track_is_a_mean_over_windows_and_can_be_evaded():
    detector = fitted()
    rows = digests(detector, tracks(1, seed=903)[0])[None].requires_grad_()
    scores = detector.window_scores(rows, torch.zeros(1, dtype=torch.long))
    assert scores.shape == (1, LEAST_WINDOWS)
    (slope,) = torch.autograd.grad(scores.mean(), rows)
    assert bool(torch.isfinite(slope).all())
    with torch.no_grad():
        lower = detector.window_scores(rows - 0.1 * slope / slope.norm(), torch.zeros(1, dtype=torch.long)).mean()
    assert lower < scores.mean()
    one = detector.window_scores(rows[:, :1].detach(), torch.zeros(1, dtype=torch.long))
    assert one.shape == (1, 1) and bool(torch.isfinite(one).all())

    x = sounds(12, WINDOW, 77)

    def mean_score(evade) -> float:
        found = attack_batch(model(), x, "pgd", snr=15, steps=30, stop_early=False, evade=evade)
        heard = Sample.of(model(), [Clip(row.numpy()[None], RATE) for row in found.adversarial], "test").digests(
            detector
        )
        return float(detector.window_scores(torch.from_numpy(heard)[:, None], torch.zeros(12, dtype=torch.long)).mean())

    assert mean_score((detector.evadable(),)) < mean_score(())
