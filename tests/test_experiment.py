"""Experiments on whole clips: what counts is the exported file."""

from __future__ import annotations

import json
import math
import threading
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import curved, linear, sounds

from mirguard.clip import Clip, load_clip
from mirguard.errors import FileError, UsageError
from mirguard.experiment import attack, export, plan, run
from mirguard.models.decision import probabilities
from mirguard.models.tracks import Track, classify


def song(rate: int = 44_100, channels: int = 2, seconds: float = 0.55, seed: int = 0) -> Clip:
    mono = sounds(channels, round(rate * seconds), seed).numpy()
    return Clip(mono, rate, provenance={"name": f"song {seed}"})


@pytest.fixture(scope="module")
def model():
    return curved(seed=1, micro_batch=2)


def other_label(model, clip: Clip) -> str:
    return next(label for label in model.labels if label != classify(model, clip).label)


@pytest.mark.parametrize("task", ["single-label", "tagging"])
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (22_050, 1), (8_000, 8), (96_000, 2)])
def test_pgd_flips_clips_of_any_rate_and_channels_in_the_exported_file(task, rate, channels, tmp_path):
    model = curved(seed=1, task=task, micro_batch=2)
    clip = song(rate, channels)
    path = tmp_path / "out.wav"
    outcome = attack(model, clip, "pgd", snr=10, steps=60, export_to=path)
    assert outcome.success
    assert outcome.status == "success"
    again = load_clip(path)
    assert again.sample_rate == rate
    assert again.samples.shape == clip.samples.shape
    assert np.array_equal(again.samples, outcome.clip.samples)
    assert classify(model, again).label == outcome.exported.decision.label != outcome.clean.label
    assert outcome.snr_db >= 10
    difference = again.samples.astype(np.float64) - clip.samples
    assert outcome.snr_db == pytest.approx(
        10 * math.log10((clip.samples.astype(np.float64) ** 2).sum() / (difference**2).sum()), abs=1e-4
    )
    assert outcome.linf == pytest.approx(np.abs(difference).max())
    assert outcome.l2 == pytest.approx(np.sqrt((difference**2).sum()), rel=1e-5)


def test_targets_are_reached_in_the_export(model):
    clip = song(seed=3)
    target = other_label(model, clip)
    outcome = attack(model, clip, "pgd", snr=5, steps=100, target=target)
    assert outcome.exported.decision.label == target
    assert outcome.success
    own = classify(model, outcome.clip)
    assert outcome.windows_flipped == sum(label == target for label in own.windows)


def test_a_track_is_decided_by_the_mean_of_its_windows(model):
    clip = song(16_000, 1, 0.65)
    track = Track(clip, model)
    assert track.windows == 7  # 6.5 windows: the last half one counts
    p = probabilities(model.logits(track.piece(0, 7)), model.task).mean(0)
    decision = classify(model, clip)
    assert decision.probabilities == pytest.approx(p.tolist(), abs=1e-5)
    assert decision.label == model.labels[int(p.argmax())]


@settings(max_examples=8, deadline=None)
@given(
    snr=st.floats(8, 60),
    norm=st.sampled_from(["l2", "linf"]),
    name=st.sampled_from(["noise", "fgsm", "pgd"]),
    subtype=st.sampled_from(["PCM_16", "PCM_24", "FLOAT"]),
    loud=st.booleans(),
)
def test_the_budget_holds_in_the_exported_file(snr, norm, name, subtype, loud):
    """--snr D means at least D after clipping and rounding, ε of L∞ bounds every sample of the file."""
    model = curved(seed=1, micro_batch=4)
    clip = song(seed=5)
    if loud:
        clip = Clip(np.clip(clip.samples * 8, -1, 1), clip.sample_rate)
    own = {"steps": 5} if name == "pgd" else {}
    outcome = attack(model, clip, name, snr=snr, norm=norm, subtype=subtype, **own)
    assert outcome.snr_db >= snr - 1e-6
    if norm == "linf" and not loud:  # a sample at full scale itself moves by a step when rounded
        assert outcome.linf <= outcome.experiment.values["epsilon"] + 1e-7
    assert np.abs(outcome.clip.samples).max() <= 1.0


def test_what_does_not_survive_rounding_is_said_not_to():
    """Just past the boundary in float, back over it in 16 bits: reported as a failure, with the reason."""
    lost = []
    for row in sounds(20, 400, level=0.004):  # so quiet that 16 bits are coarse
        model = linear(2)
        z, own = model.logits(row[None])[0], int(model.logits(row[None]).argmax())
        model.network.layer.bias[1 - own] += (
            z[own] - z[1 - own] - 8e-4
        )  # some thirty of the steps below from the boundary
        clip = Clip(row.numpy()[None], 16_000)
        options = {"epsilon": 0.001, "steps": 60, "step_size": 1e-6, "confidence": 0.0}
        outcome = attack(model, clip, "pgd", **options)
        assert outcome.success == (classify(model, outcome.clip).label != outcome.clean.label)
        assert outcome.reached == (outcome.adversarial.label != outcome.clean.label)
        if outcome.reached and not outcome.success:
            assert outcome.status == "failed"
            assert "before it is rounded" in outcome.warnings[0]
            lost.append(outcome)
    assert lost, "no case met; choose other levels"


def test_the_same_experiment_gives_the_same_sound(model):
    clip = song()
    options = {"snr": 25, "steps": 8, "random_start": True}
    first, again, other = (attack(model, clip, "pgd", seed=seed, **options) for seed in (4, 4, 5))
    assert np.array_equal(first.clip.samples, again.clip.samples)
    assert not np.array_equal(first.clip.samples, other.clip.samples)


@pytest.mark.parametrize("k", [0, 2, 5])
def test_cancelling_gives_the_best_until_there(model, k):
    clip = song()
    options = {"snr": 30, "steps": 20, "stop_early": False}
    cancel = threading.Event()
    if k == 0:
        cancel.set()
    cancelled = attack(
        model, clip, "pgd", cancel=cancel, progress=lambda p: cancel.set() if p.gradients == k else None, **options
    )
    limited = attack(model, clip, "pgd", max_gradients=k, **options)
    assert cancelled.status == "cancelled"
    assert cancelled.gradients == k
    assert np.array_equal(cancelled.clip.samples, limited.clip.samples)


class Hidden:
    layers = ("hidden",)

    def digest(self, heard, logits):
        return heard["hidden"]


def test_progress_tells_where_the_attack_stands(model):
    clip, seen, rests = song(), [], []
    outcome = attack(
        model,
        clip,
        "pgd",
        snr=30,
        steps=6,
        stop_early=False,
        watch=(Hidden(),),
        progress=seen.append,
        rest=lambda: rests.append(1),
    )
    assert [p.gradients for p in seen] == [1, 2, 3, 4, 5, 6, 6]
    assert all(p.total == 6 for p in seen)
    assert seen[-1].seen[0].shape == (Track(clip, model).windows, 16)
    assert seen[0].delta.shape == (clip.frames,)
    assert seen[0].decision.label == outcome.clean.label
    assert len(outcome.trace["loss"]) == 7
    assert len(rests) > len(seen)  # between micro-batches too


def test_the_perturbation_is_what_was_added_and_the_same_in_every_channel(model):
    clip = song()
    outcome = attack(model, clip, "pgd", snr=20, steps=10, subtype="FLOAT")
    assert np.array_equal(outcome.perturbation.samples, outcome.clip.samples - clip.samples)
    assert outcome.perturbation.samples[0] == pytest.approx(outcome.perturbation.samples[1], abs=1e-6)


def test_exports_are_read_again_and_classified_again(model, tmp_path):
    outcome = attack(model, song(), "pgd", snr=12, steps=40)
    adversarial = export(outcome, tmp_path / "a.flac", model, subtype="PCM_24")
    assert adversarial.decision.label == classify(model, load_clip(tmp_path / "a.flac")).label
    assert adversarial.success
    perturbation = export(outcome, tmp_path / "d.wav", model, "perturbation", "FLOAT")
    assert np.array_equal(load_clip(perturbation.path).samples, outcome.perturbation.samples)
    with pytest.raises(UsageError):
        export(outcome, tmp_path / "x.wav", model, "everything")
    with pytest.raises(FileError):
        export(outcome, tmp_path / "nowhere" / "x.wav", model)


def test_the_document_has_the_promised_fields_and_is_strict_json(model):
    document = attack(model, song(), "pgd", snr=30, steps=3).to_json()
    assert {
        "file", "model", "attack", "parameters", "seed", "clean", "adversarial", "success", "windows_flipped", "exported",
        "snr_db", "l2", "linf", "gradients", "seconds", "version", "model_hash", "clip_hash", "threads",
    } <= set(document)  # fmt: skip
    assert set(document["exported"]) >= {"path", "label", "confidence", "success"}
    json.dumps(document, allow_nan=False)


def test_an_experiment_is_frozen_and_bound_to_its_clip_and_model(model):
    clip = song()
    experiment = plan(clip, model, "pgd", snr=30)
    assert experiment.values["steps"] == 40
    with pytest.raises(FrozenInstanceError):
        experiment.seed = 2
    with pytest.raises(UsageError, match="planned for another"):
        run(experiment, song(seed=9), model)
    with pytest.raises(UsageError, match="planned for another"):
        run(replace(experiment, model_hash="0"), clip, model)


def test_requests_that_make_no_sense_are_refused_in_a_sentence(model, tmp_path):
    clip = song()
    silent = Clip(np.zeros((1, 8000), np.float32), 16_000)
    label = classify(model, clip).label
    for options, words in (
        ({"epsilon": 0}, "ε"),
        ({"epsilon": -0.1}, "ε"),
        ({"epsilon": math.nan}, "ε"),
        ({"epsilon": 0.01, "snr": 30}, "once"),
        ({"snr": math.inf}, "SNR .--snr. is a number"),
        ({"snr": 500}, "dB"),
        ({"steps": 0}, "Iterations"),
        ({"norm": "l7"}, "l2, linf"),
        ({"colour": 3}, "colour"),
        ({"target": "kazoo"}, "kazoo"),
        ({"target": label}, "already"),
        ({"subtype": "PCM_8"}, "PCM_16"),
    ):
        with pytest.raises(UsageError, match=words):
            attack(model, clip, "pgd", **options)
    with pytest.raises(UsageError, match="silent"):
        attack(model, silent, "pgd", snr=30)
    with pytest.raises(UsageError, match="Clip or a tensor"):
        attack(model, "song.wav", "pgd")
    path = tmp_path / "out.wav"
    with pytest.raises(UsageError):
        attack(model, clip, "pgd", target=label, export_to=path)
    assert not list(tmp_path.iterdir())


def test_silence_and_very_short_clips_are_attacked_by_amplitude(model):
    for clip in (Clip(np.zeros((2, 9000), np.float32), 16_000), Clip(song(16_000).samples[:, :160], 16_000)):
        outcome = attack(model, clip, "pgd", epsilon=0.01, steps=5)
        assert np.isfinite(outcome.clip.samples).all()
        assert outcome.l2 <= 0.01 * math.sqrt(clip.samples.size) * 1.0001
    assert outcome.snr_db is not None
    assert attack(model, Clip(np.zeros((1, 9000), np.float32), 16_000), "noise", epsilon=0.01).snr_db is None


def test_memory_does_not_grow_with_the_number_of_windows():
    """Graphs are held for `graph_windows` windows at the most."""
    model = curved(micro_batch=2, graph_windows=4)
    held, most = 0, 0
    whole = model.logits

    def counted(windows: torch.Tensor) -> torch.Tensor:
        nonlocal held, most
        z = whole(windows)
        if z.requires_grad:
            held += len(windows)
            most = max(most, held)

            def freed(_gradient: torch.Tensor, count: int = len(windows)) -> None:
                nonlocal held
                held -= count

            z.register_hook(freed)
        return z

    model.logits = counted
    attack(model, song(16_000, 1, 3.0), "pgd", snr=30, steps=2)
    assert held == 0
    assert most <= 4 + 2
