"""The kernel density detector against its definition, its error rate, and an attack."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import curved, sounds
from sklearn.neighbors import KernelDensity

from mirguard.clip import Clip
from mirguard.detectors.fitted import About
from mirguard.detectors.kde import Kde
from mirguard.errors import UsageError
from mirguard.experiment import attack
from mirguard.experiment.detecting import detect, fit_detectors
from mirguard.models.decision import Decision

LABELS = ("class 0", "class 1")


def features(clips: int, windows: int = 3, d: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clips whose windows lie together, classes that lie apart; as they are kept, in float16."""
    rng = np.random.default_rng(seed)
    said = np.arange(clips) % 2
    centre = rng.standard_normal((clips, 1, d)) + 4.0 * said[:, None, None]
    found = (centre + 0.3 * rng.standard_normal((clips, windows, d))).reshape(-1, d)
    return found.astype(np.float16).astype(np.float64), np.repeat(np.arange(clips), windows), said


def made(values: np.ndarray, clip_of: np.ndarray, said: np.ndarray, task: str = "single-label") -> Kde:
    kde = Kde.of_features(values, clip_of, said, "hidden", task, LABELS)
    kde.about = About("m", "h", task, LABELS, "test", len(said), (), (), {})
    return kde


def decision(label: str) -> Decision:
    return Decision(label, 1.0, LABELS, (1.0, 0.0), (label,))


@pytest.mark.parametrize("task", ["single-label", "tagging"])
def test_scores_are_feinmans_density_of_the_predicted_class(task):
    values, clip_of, said = features(40)
    kde = made(values, clip_of, said, task)
    mean, scale = values.mean(0), values.std(0)
    points = (values - mean) / scale
    against = points if task == "tagging" else points[said[clip_of] == 1]
    oracle = KernelDensity(bandwidth=kde.bandwidth, leaf_size=10_000).fit(against)
    query = np.random.default_rng(5).standard_normal((6, 4)) * 3
    expected = -oracle.score_samples((query - mean) / scale).mean()
    assert kde.score(torch.from_numpy(query), "class 1") == pytest.approx(expected, rel=1e-9)


def test_clean_scores_leave_the_clip_itself_out():
    values, clip_of, said = features(20)
    kde = made(values, clip_of, said)
    points = (values - values.mean(0)) / values.std(0)
    for clip in (0, 7, 19):
        others = (clip_of != clip) & (said[clip_of] == said[clip])
        oracle = KernelDensity(bandwidth=kde.bandwidth, leaf_size=10_000).fit(points[others])
        assert kde.clean_scores[clip] == pytest.approx(-oracle.score_samples(points[clip_of == clip]).mean(), rel=1e-9)


def test_far_away_is_flagged_and_the_centre_is_not():
    kde = made(*features(40))
    assert kde.read(torch.full((2, 4), 60.0), decision("class 0")).flagged
    reading = kde.read(torch.zeros(2, 4), decision("class 0"))
    assert not reading.flagged
    assert reading.percentile < 50
    # Where class 1 lies is no place for class 0.
    there = torch.full((2, 4), 4.0)
    assert kde.score(there, "class 0") > kde.score(there, "class 1")


def test_new_clean_clips_are_flagged_no_more_often_than_the_rate():
    """Type-I error over 40 references: 10 % nominal, within the binomial interval."""
    flagged = total = 0
    for seed in range(40):
        values, clip_of, said = features(80, seed=seed)
        old = clip_of < 60
        kde = made(values[old], clip_of[old], said[:60])
        for clip in range(60, 80):
            windows = torch.from_numpy(values[clip_of == clip])
            flagged += kde.read(windows, decision(LABELS[said[clip]]), 0.1).flagged
            total += 1
    assert flagged / total < 0.1 + 3 * math.sqrt(0.1 * 0.9 / total)
    assert flagged > 0


@settings(max_examples=10, deadline=None)
@given(kind=st.sampled_from(["identical", "constant dimension", "class of one", "fewer clips than dimensions"]))
def test_degenerate_references_give_a_sentence_or_a_number_never_nan(kind):
    values, clip_of, said = features(3 if kind == "fewer clips than dimensions" else 20, d=12)
    if kind == "identical":
        with pytest.raises(UsageError, match="reference"):
            made(np.ones_like(values), clip_of, said)
        return
    if kind == "constant dimension":
        values[:, 3] = 2.0
    if kind == "class of one":
        said = np.array([0] * 19 + [1])
    kde = made(values, clip_of, said)
    reading = kde.read(torch.zeros(2, 12), decision("class 1"), 0.5)
    assert np.isfinite([reading.score, reading.threshold, *kde.clean_scores]).all()
    if kind == "class of one":
        assert "under" in reading.note


def test_the_gradient_of_a_score_is_that_of_finite_differences():
    kde = made(*features(30))
    point = torch.tensor([[[0.3, -0.2, 0.5, 4.0], [3.0, 4.2, 4.1, 3.9]]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: kde.window_scores(x, torch.tensor([1])), (point,))


def test_a_clip_pushed_far_from_its_class_is_read_as_more_anomalous():
    model = curved(seed=1)
    clips = [Clip(row.numpy()[None], 16_000) for row in sounds(120, 4800, 3)]
    kde = [fit_detectors(model, clips[:100], ("kde",), keeping=False).detectors["kde"]]
    higher = 0
    for clip in clips[100:]:
        adversarial = attack(model, clip, "pgd", snr=5, steps=20, stop_early=False, subtype="FLOAT").clip
        (before,), (after,) = detect(model, clip, kde), detect(model, adversarial, kde)
        higher += after.score > before.score
    assert higher >= 14
