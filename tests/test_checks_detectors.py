"""SC-20 to SC-22: detectors held to attacks that evade them and to other ones; tests of sets held to their level."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from checked_models import SNR, clips
from nets import curved, sounds

from mirguard.checks import detectors as room
from mirguard.checks.check import _fitted
from mirguard.checks.detectors import Scored, other_attacks, sets_keep_their_level, static_and_adaptive, window_scores
from mirguard.checks.finding import FAIL, NOT_APPLICABLE, PASS, WARN
from mirguard.checks.record import Record
from mirguard.checks.sounds import gather
from mirguard.clip import Clip
from mirguard.detectors.roc import Area
from mirguard.detectors.sample import hear
from mirguard.experiment.detecting import fit_detectors

WINDOWS = 2  # of a file


def files(count: int, model, seed: int) -> list[Clip]:
    rows = sounds(count, WINDOWS * model.window, seed)
    return [
        Clip(row[None].numpy(), model.sample_rate, provenance={"name": f"{seed} {n}"}) for n, row in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def model():
    return curved(3)


@pytest.fixture(scope="module")
def fitted(model):
    return fit_detectors(model, files(60, model, 1), ("kde", "mmd"), keeping=False).detectors


@pytest.fixture(scope="module")
def own(model, fitted) -> Record:
    return Record(model, gather(model, files(34, model, 2), 34, 0), SNR, detectors=list(fitted.values()))


def test_without_a_detector_a_sentence_says_how_to_get_one(model):
    bare = Record(model, gather(model, clips(4, model), 4, 0), SNR)
    for judge in (static_and_adaptive, other_attacks, sets_keep_their_level):
        found = judge(bare)
        assert found.verdict == NOT_APPLICABLE and "mirguard detectors fit NAME --model test" in found.sentence


def test_a_detector_is_told_against_both_attacks(own, fitted):
    found = static_and_adaptive(own)
    (row,) = found.evidence.rows
    assert found.verdict in (PASS, WARN) and row[0] == "kde" and "kde" in found.sentence
    scored = room._scored(own, fitted["kde"])
    count = len(own.files.rows)
    assert len(scored.clean) == len(scored.noisy) == count and len(scored.attacked) == len(scored.fooled) <= count
    assert scored.noisy.mean() != scored.clean.mean()
    assert str(scored.area("attacked")) == row[1]
    # The evading attack is run against the detector: what it makes looks less suspicious than what the plain one makes.
    assert np.median(scored.evading) < np.median(scored.attacked)


def test_file_scores_are_those_of_reading_the_file(own, fitted):
    scores = room.file_scores(own, fitted["kde"], own.files.x)
    clip = own.sounds.clips[own.files.clips[3]]
    (digest,), decision = hear(own.model, clip, (fitted["kde"],))
    assert float(scores[3]) == pytest.approx(fitted["kde"].score(digest, decision.label), rel=1e-4)


def test_figures_on_clips_it_was_fitted_on_are_a_failure(model, fitted):
    some = [*files(60, model, 1)[:3], *files(5, model, 2)]
    found = static_and_adaptive(Record(model, gather(model, some, 8, 0), SNR, detectors=[fitted["kde"]]))
    assert found.verdict == FAIL and "was fitted on" in found.sentence
    assert found.evidence.rows[0][1] == "fitted on these clips"


def test_noise_of_the_same_size_counts_as_clean():
    """A detector of noise, not of attacks: attacked and noisy files score alike, clean ones lower."""
    rng = np.random.default_rng(0)
    clean, noisy, attacked = rng.normal(0, 1, 40), rng.normal(5, 1, 40), rng.normal(5, 1, 40)
    scored = Scored(clean, noisy, attacked, np.arange(40), None, torch.zeros(0, dtype=torch.long))
    assert scored.area("attacked").value == pytest.approx(0.75, abs=0.05), "1 against clean, ½ against noise"
    assert scored.false_at_95 > 0.4
    few = Scored(clean, noisy, attacked[:4], np.arange(4), None, torch.zeros(0, dtype=torch.long))
    assert few.area("attacked").value is None and few.false_at_95 is None and few.area("evading").value is None


@pytest.mark.parametrize(
    ("static", "adaptive", "verdict", "words"),
    [
        (Area(0.9, 0.8, 0.95), Area(0.8, 0.7, 0.9), PASS, "0.80 where the attack evades it"),
        (Area(0.9, 0.8, 0.95), Area(0.4, 0.3, 0.5), WARN, "not one that evades it"),
        (Area(0.6, 0.45, 0.7), Area(0.4, 0.3, 0.5), WARN, "no better than by chance"),
        (Area(None, None, None), Area(None, None, None), WARN, "too few files"),
    ],
)
def test_the_verdict_is_that_of_the_pair(own, fitted, monkeypatch, static, adaptive, verdict, words):
    made = SimpleNamespace(
        area=lambda which: static if which == "attacked" else adaptive,
        false_at_95=0.5,
        clean=np.zeros(9),
        noisy=np.zeros(9),
        attacked=np.ones(9),
        evading=np.ones(9),
    )
    monkeypatch.setattr(room, "_scored", lambda _record, _detector: made)
    monkeypatch.setattr(room, "ENOUGH", 1)
    found = static_and_adaptive(own)
    assert found.verdict == verdict and words in found.sentence


def test_other_attacks_and_weaker_ones_are_a_matrix(own, monkeypatch):
    monkeypatch.setattr(room, "BLACK_BOXES", ("square",))
    found = other_attacks(own)
    assert found.evidence.columns == ("area", "kde")
    assert found.evidence.rows[0] == ("learned from", "clean sounds alone")
    tried = [row[0] for row in found.evidence.rows[1:]]
    assert tried[0] == "fgsm" and tried[-3:] == ["pgd, 20 dB", "pgd, 30 dB", "pgd, 40 dB"]
    assert "The least area is" in found.sentence
    scores = window_scores(own, own.detectors[0], own.x[:3])
    (digest,), decision = hear(own.model, Clip(own.x[1][None].numpy(), 16_000), own.detectors[:1])
    assert scores[1] == pytest.approx(own.detectors[0].score(digest, decision.label), rel=1e-4)


def test_a_test_of_sets_keeps_its_level(own):
    found = sets_keep_their_level(own)
    assert found.verdict == PASS and found.evidence.rows[0][0] == "mmd"
    rejected = int(found.evidence.rows[0][2].split()[0])
    assert rejected <= 20


def test_one_that_rejects_too_often_fails(own, monkeypatch):
    monkeypatch.setattr(room, "SPLITS", 60)
    monkeypatch.setattr(room, "mmd_test", lambda *_arguments, **_options: SimpleNamespace(p_value=0.01))
    found = sets_keep_their_level(own)
    assert found.verdict == FAIL and "mmd" in found.sentence and "60 of 60" in found.evidence.rows[0][2]


def test_detectors_are_named_given_or_those_that_are_kept(own_data, model, fitted):
    assert _fitted(model, None) == [] and _fitted(model, [fitted["kde"]]) == [fitted["kde"]]
    fit_detectors(model, files(60, model, 1), ("kde",))
    assert [one.name for one in _fitted(model, None)] == ["kde"]
    assert [one.name for one in _fitted(model, ["kde"])] == ["kde"]
