"""A clip as windows, and what a model decides of it: the window rule, spans, track logits at their limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mirguard.clip import Clip
from mirguard.models.contract import Classifier
from mirguard.models.decision import SINGLE_LABEL, TAGGING, decide, probabilities, track_logits
from mirguard.models.tracks import Track, classify, window_logits

TASKS = (SINGLE_LABEL, TAGGING)


class Levels(Classifier):
    """Logits that can be worked out by hand: mean, mean square and last sample of each window."""

    name, labels, differentiable = "levels", ("mean", "power", "last"), True

    def __init__(self, sample_rate: int = 8000, window: int = 1000, task: str = SINGLE_LABEL, micro_batch: int = 3):
        self.sample_rate, self.window, self.task, self.micro_batch = sample_rate, window, task, micro_batch

    def represent(self, waveform: torch.Tensor) -> torch.Tensor:
        assert waveform.shape[1] == self.window
        assert len(waveform) <= self.micro_batch
        return waveform

    def decide(self, representation: torch.Tensor) -> torch.Tensor:
        parts = representation.mean(1), representation.square().mean(1), representation[:, -1]
        return 10.0 * torch.stack(parts, 1)


def noise_clip(frames: int, channels: int = 1, rate: int = 8000) -> Clip:
    samples = np.random.default_rng(frames).uniform(-0.9, 0.9, (channels, frames))
    return Clip(samples.astype(np.float32), rate)


# -- Windows -----------------------------------------------------------------------------------------------------------


@given(frames=st.integers(1, 10_000), window=st.integers(1, 3000))
def test_which_windows_there_are(frames, window):
    """Whole windows; the rest counts, padded with zeros, if it is half a window at least or all there is."""
    clip = noise_clip(frames)
    track = Track(clip, Levels(window=window))
    full, rest = frames // window, frames % window
    expected = [clip.samples[0, i * window : (i + 1) * window] for i in range(full)]
    if rest >= window / 2 or not full:
        expected.append(np.pad(clip.samples[0, full * window :], (0, window - rest)))
    assert track.windows == len(expected)
    assert np.array_equal(track.piece(0, track.windows).numpy(), np.stack(expected))


@pytest.mark.parametrize(
    ("frames", "windows"), [(1, 1), (499, 1), (1000, 1), (1499, 1), (1500, 2), (1999, 2), (2499, 2), (2500, 3)]
)
def test_half_a_window_is_the_border(frames, windows):
    assert Track(noise_clip(frames), Levels(window=1000)).windows == windows


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 44101, 48000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("seconds", [0.01, 0.3, 1.0, 1.31])
def test_any_group_of_windows_is_cut_alike(rate, channels, seconds):
    """From the samples at its span alone, as from the whole clip."""
    clip = noise_clip(round(rate * seconds), channels, rate)
    track = Track(clip, Levels(window=4000))
    together = track.piece(0, track.windows)
    assert together.shape == (track.windows, 4000)
    mono = torch.from_numpy(clip.samples.mean(0))
    for first in range(track.windows):
        for last in range(first + 1, track.windows + 1):
            a, b = track.span(first, last)
            assert 0 <= a < b <= clip.frames
            assert torch.allclose(track.piece(first, last), together[first:last], atol=2e-6)
            assert torch.allclose(track.cut(mono[a:b], first, last), together[first:last], atol=2e-6)


def test_cutting_is_linear_and_its_gradient_reaches_the_span_alone():
    clip = noise_clip(30_000, rate=22050)
    track = Track(clip, Levels(window=1600))
    a, b = track.span(2, 4)
    delta = torch.randn(b - a, generator=torch.Generator().manual_seed(0), requires_grad=True)
    windows = track.cut(track.mono[a:b] + delta, 2, 4)
    assert torch.allclose(windows, track.piece(2, 4) + track.cut(delta, 2, 4), atol=1e-5)
    windows.square().sum().backward()
    assert (delta.grad != 0).float().mean() > 0.95


def test_samples_after_the_last_window_are_not_heard():
    clip = noise_clip(2300)
    changed = clip.samples.copy()
    changed[0, 2000:] = 0.0
    model = Levels(window=1000)
    assert torch.equal(window_logits(model, clip), window_logits(model, Clip(changed, 8000)))
    assert Track(clip, model).span(0, 2) == (0, 2000)


def test_channels_are_mixed_to_their_mean():
    left, right = noise_clip(3000).samples[0], noise_clip(3001).samples[0, :3000]
    model = Levels()
    mixed = window_logits(model, Clip(np.stack([left, right]), 8000))
    assert torch.allclose(mixed, window_logits(model, Clip((left + right) / 2, 8000)), atol=1e-6)
    opposite = Clip(np.stack([left, -left]), 8000)
    assert window_logits(model, opposite).abs().max() == 0.0


@given(micro_batch=st.integers(1, 9), frames=st.integers(1, 9000))
def test_the_size_of_micro_batches_changes_nothing(micro_batch, frames):
    clip = noise_clip(frames)
    rests = []
    found = window_logits(Levels(micro_batch=micro_batch), clip, lambda: rests.append(1))
    assert torch.allclose(found, window_logits(Levels(micro_batch=1000), clip), atol=1e-6)
    assert len(rests) == -(-len(found) // micro_batch)


def test_resting_may_end_the_job():
    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        classify(Levels(), noise_clip(100), stop)


# -- Decisions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
@given(data=st.data())
def test_a_tracks_probabilities_are_the_mean_of_its_windows(task, data):
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(2, 5)))
    seed = data.draw(st.integers(0, 999))
    logits = 6 * torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    expected = probabilities(logits, task).mean(1)
    assert torch.allclose(probabilities(track_logits(logits, task), task), expected, atol=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_the_mean_of_probabilities_is_not_the_majority(task):
    """Two lukewarm windows are outvoted by one that is sure."""
    logits = torch.tensor([[0.0, 0.3], [0.0, 0.3], [9.0, -9.0]])
    decision = decide(logits, ("a", "b"), task)
    assert decision.windows == ("b", "b", "a")
    assert decision.label == "a"
    assert decision.confidence == pytest.approx(float(probabilities(logits, task)[:, 0].mean()), abs=1e-6)
    assert decision.probabilities[0] == decision.confidence


def test_a_single_labels_probabilities_sum_to_one_a_taggers_do_not():
    logits = torch.tensor([[4.0, 4.0, -4.0]])
    assert sum(decide(logits, ("a", "b", "c"), SINGLE_LABEL).probabilities) == pytest.approx(1.0)
    assert sum(decide(logits, ("a", "b", "c"), TAGGING).probabilities) == pytest.approx(1.98, abs=0.01)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("windows", [1, 3])
@pytest.mark.parametrize("size", [50.0, 1e3, 1e6, 1e30])
def test_sure_models_still_have_an_order_and_gradients(task, windows, size):
    """float32 probabilities are exactly 0 and 1 here; track logits must tell labels apart and lead back nevertheless."""
    logits = size * torch.tensor([1.0, 0.9, -1.0]).repeat(1, windows, 1)
    logits.requires_grad_()
    z = track_logits(logits, task)
    assert torch.isfinite(z).all()
    assert z[0].argsort(descending=True).tolist() == [0, 1, 2]
    (z[0, 0] - z[0, 1]).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, :, 0].sum() > 0
    assert logits.grad[0, :, 1].sum() < 0


@pytest.mark.parametrize("task", TASKS)
def test_of_one_window_the_logits_themselves_count(task):
    logits = torch.randn(4, 1, 3)
    assert torch.equal(track_logits(logits, task), logits[:, 0])


@pytest.mark.parametrize("task", TASKS)
def test_windows_that_disagree_utterly_keep_gradients(task):
    logits = torch.tensor([[[1e4, -1e4], [-1e4, 1e4], [0.0, 0.0]]], requires_grad=True)
    z = track_logits(logits, task)
    assert torch.isfinite(z).all()
    z[0, 0].backward()
    assert torch.isfinite(logits.grad).all()
    assert float(logits.grad[0, 2, 0]) > 0  # the undecided window is the one that can be moved


@pytest.mark.parametrize("task", TASKS)
def test_gradients_of_track_logits_are_those_of_finite_differences(task):
    logits = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: track_logits(x, task), logits)


def test_the_label_is_the_top_logit_where_probabilities_tie():
    decision = decide(torch.tensor([[200.0, 300.0, 250.0]]), ("a", "b", "c"), TAGGING)
    assert decision.probabilities == (1.0, 1.0, 1.0)
    assert decision.label == "b"


def test_the_best_labels_come_first():
    decision = decide(torch.tensor([[0.0, 3.0, 1.0]]), ("a", "b", "c"), TAGGING)
    assert [label for label, _ in decision.top(2)] == ["b", "c"]
    assert decision.top(9) == sorted(decision.top(9), key=lambda pair: -pair[1])
    assert len(decision.top(9)) == 3


@pytest.mark.parametrize("task", TASKS)
def test_classifying_a_clip(task):
    """Two windows worked out by hand: one at +0.5, one at −0.1."""
    clip = Clip(np.repeat([0.5, -0.1], 1000).astype(np.float32), 8000)
    decision = classify(Levels(task=task), clip)
    logits = np.array([[5.0, 2.5, 5.0], [-1.0, 0.1, -1.0]])
    p = 1 / (1 + np.exp(-logits)) if task == TAGGING else np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.allclose(decision.probabilities, p.mean(0), atol=1e-5)
    assert decision.windows[1] == "power"
    assert math.isclose(decision.confidence, max(decision.probabilities))
