"""The kernel density detector against its definition, its error rate, and an attack."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import curved, sounds
from sklearn.neighbors import KernelDensity

from mirguard.clip import Clip, save_clip
from mirguard.detectors.catalogue import find_detector
from mirguard.detectors.detect import detect, fit, require_reference
from mirguard.detectors.kde import Kde, clip_threshold
from mirguard.detectors.reference import Reference, build_reference, hear, reference_for
from mirguard.errors import FileError, UsageError
from mirguard.experiment import attack
from mirguard.models.decision import Decision


def made(
    clips: int, windows: int = 3, d: int = 4, labels: int = 2, seed: int = 0, task: str = "single-label"
) -> Reference:
    """Clips whose windows lie together, classes that lie apart."""
    rng = np.random.default_rng(seed)
    names = [f"class {i % labels}" for i in range(clips)]
    centre = rng.standard_normal((clips, 1, d)) + 4.0 * (np.arange(clips) % labels)[:, None, None]
    features = (centre + 0.3 * rng.standard_normal((clips, windows, d))).reshape(-1, d).astype(np.float32)
    return Reference(
        features,
        np.repeat(np.arange(clips), windows),
        tuple(map(str, range(clips))),
        tuple(names),
        "hidden",
        task,
        "m",
        "h",
        "s",
    )


def decision(label: str) -> Decision:
    return Decision(label, 1.0, (label, "other"), (1.0, 0.0), (label,))


@pytest.mark.parametrize("task", ["single-label", "tagging"])
def test_scores_are_feinmans_density_of_the_predicted_class(task):
    reference = made(40, task=task)
    kde = Kde(reference)
    mean, scale = reference.features.mean(0, dtype=np.float64), reference.features.astype(np.float64).std(0)
    points = (reference.features - mean) / scale
    mine = np.repeat(reference.labels, 3) == "class 1"
    against = points if task == "tagging" else points[mine]
    oracle = KernelDensity(bandwidth=kde.bandwidth, leaf_size=10_000).fit(against)
    query = np.random.default_rng(5).standard_normal((6, 4)).astype(np.float32) * 3
    assert kde.score(query, "class 1") == pytest.approx(-oracle.score_samples((query - mean) / scale).mean(), rel=1e-9)


def test_clean_scores_leave_the_clip_itself_out():
    reference = made(20)
    kde = Kde(reference)
    points = (reference.features - reference.features.mean(0, dtype=np.float64)) / reference.features.astype(
        np.float64
    ).std(0)
    clip_of, labels = reference.clip_of_window, np.asarray(reference.labels)
    for clip in (0, 7, 19):
        others = (clip_of != clip) & (labels[clip_of] == labels[clip])
        oracle = KernelDensity(bandwidth=kde.bandwidth, leaf_size=10_000).fit(points[others])
        assert kde.clean_scores[clip] == pytest.approx(-oracle.score_samples(points[clip_of == clip]).mean(), rel=1e-9)


def test_far_away_is_flagged_and_the_centre_is_not():
    kde = Kde(made(40))
    assert kde.read(np.full((2, 4), 60.0), decision("class 0")).flagged
    reading = kde.read(np.zeros((2, 4)), decision("class 0"))
    assert not reading.flagged
    assert reading.percentile < 50
    # Where class 1 lies is no place for class 0.
    assert kde.score(np.full((2, 4), 4.0), "class 0") > kde.score(np.full((2, 4), 4.0), "class 1")


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


def test_new_clean_clips_are_flagged_no_more_often_than_the_rate():
    """Type-I error over 40 references: 10 % nominal, within the binomial interval."""
    flagged = total = 0
    for seed in range(40):
        both = made(80, labels=1, seed=seed)
        old = both.clip_of_window < 60
        kde = Kde(
            Reference(
                both.features[old],
                both.clip_of_window[old],
                both.names[:60],
                both.labels[:60],
                "l",
                "single-label",
                "m",
                "h",
                "s",
            )
        )
        for clip in range(60, 80):
            flagged += kde.read(both.features[both.clip_of_window == clip], decision("class 0"), 0.1).flagged
            total += 1
    assert flagged / total < 0.1 + 3 * math.sqrt(0.1 * 0.9 / total)
    assert flagged > 0


@settings(max_examples=10, deadline=None)
@given(
    kind=st.sampled_from(["one clip", "identical", "constant dimension", "class of one", "fewer clips than dimensions"])
)
def test_degenerate_references_give_a_sentence_or_a_number_never_nan(kind):
    reference = made({"one clip": 1, "fewer clips than dimensions": 3}.get(kind, 20), d=12)
    features, labels = reference.features.copy(), list(reference.labels)
    if kind == "identical":
        features[:] = 1.0
    if kind == "constant dimension":
        features[:, 3] = 2.0
    if kind == "class of one":
        labels = ["class 0"] * 19 + ["class 1"]
    changed = Reference(**{**reference.__dict__, "features": features, "labels": tuple(labels)})
    if kind in ("one clip", "identical"):
        with pytest.raises(UsageError, match="reference"):
            Kde(changed)
        return
    kde = Kde(changed)
    reading = kde.read(np.zeros((2, 12)), decision("class 1"), 0.5)
    assert np.isfinite([reading.score, reading.threshold, *kde.clean_scores]).all()
    if kind == "class of one":
        assert "under" in reading.note


def test_a_reference_is_the_same_after_saving(tmp_path):
    model = curved()
    clips = [Clip(row.numpy()[None], 16_000, provenance={"name": f"{i}"}) for i, row in enumerate(sounds(12, 4000))]
    clips.append(Clip(np.zeros((1, 4000), np.float32), 16_000, provenance={"name": "nothing"}))
    reference = Reference.from_clips(model, clips, "test")
    reference.save(tmp_path / "r.safetensors")
    again = Reference.load(tmp_path / "r.safetensors")
    assert reference.skipped == ("nothing: silent",)
    assert again.size == 12
    assert {k: v for k, v in again.__dict__.items() if not isinstance(v, np.ndarray)} == {
        k: v for k, v in reference.__dict__.items() if not isinstance(v, np.ndarray)
    }
    assert Kde(again).clean_scores == Kde(reference).clean_scores
    (tmp_path / "broken.safetensors").write_bytes(b"nonsense")
    with pytest.raises(FileError, match="build it again"):
        Reference.load(tmp_path / "broken.safetensors")


def test_a_reference_is_built_from_a_folder_and_kept_for_that_model(tmp_path, own_data):
    model = curved(seed=6)
    folder = tmp_path / "clean"
    folder.mkdir()
    for i, row in enumerate(sounds(25, 8000)):
        save_clip(Clip(row.numpy()[None], 16_000), folder / f"{i}.wav")
    (folder / "broken.wav").write_text("not a sound")
    (folder / "notes.txt").write_text("nothing to hear")
    assert reference_for(model) is None
    with pytest.raises(UsageError, match="--reference"):
        require_reference(model)
    seen = []
    built = build_reference(model, folder, progress=lambda done, total, name: seen.append((done, total)))
    assert built.size == 25
    assert seen[-1] == (25, 26)
    assert "broken.wav" in built.skipped[0]
    assert reference_for(model).size == 25
    assert reference_for(curved(seed=7)) is None
    with pytest.raises(UsageError, match="build one"):
        fit("kde", curved(seed=7), built)
    with pytest.raises(FileError, match="no folder"):
        build_reference(model, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="holds no"):
        build_reference(model, tmp_path / "empty")


def test_a_clip_pushed_far_from_its_class_is_read_as_more_anomalous():
    model = curved(seed=1)
    clips = [Clip(row.numpy()[None], 16_000) for row in sounds(120, 4800, 3)]
    reference = Reference.from_clips(model, clips[:100], "test")
    higher = 0
    for clip in clips[100:]:
        adversarial = attack(model, clip, "pgd", snr=5, steps=20, stop_early=False, subtype="FLOAT").clip
        (before,), (after,) = detect(model, clip, reference=reference), detect(model, adversarial, reference=reference)
        higher += after.score > before.score
    assert higher >= 14


def test_hearing_gives_the_layer_and_the_decision_of_one_pass():
    model = curved(micro_batch=2)
    clip = Clip(sounds(1, 8000).numpy(), 16_000)
    features, said = hear(model, clip)
    assert features.shape == (5, 16)
    assert said.label in model.labels


def test_unknown_detectors_are_named_with_the_known_ones():
    with pytest.raises(UsageError, match="kde"):
        find_detector("crystal ball")
