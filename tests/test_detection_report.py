"""Figures of detectors against their definitions: areas, intervals, joint verdicts, and a report on a small model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nets import curved, sounds
from sklearn.metrics import roc_auc_score, roc_curve

from mirguard.clip import Clip
from mirguard.detectors.fitting import fit
from mirguard.detectors.reading import Reading
from mirguard.detectors.roc import area, roc
from mirguard.detectors.sample import Sample
from mirguard.detectors.verdict import joint
from mirguard.errors import UsageError
from mirguard.experiment.detection_report import detection_report


def clips(count: int, seed: int = 0) -> list[Clip]:
    return [
        Clip(row.numpy()[None], 16_000, provenance={"name": f"{n}"}) for n, row in enumerate(sounds(count, 3200, seed))
    ]


@given(seed=st.integers(0, 500), n=st.integers(1, 12), m=st.integers(1, 12), ties=st.booleans())
def test_areas_are_sklearns(seed, n, m, ties):
    rng = np.random.default_rng(seed)
    positive, negative = rng.normal(1, 1, n), rng.normal(0, 1, m)
    if ties:
        positive, negative = positive.round(), negative.round()
    found = area(positive, np.arange(n), negative, np.arange(m))
    truth = np.concatenate([np.ones(n), np.zeros(m)])
    assert found.value == pytest.approx(roc_auc_score(truth, np.concatenate([positive, negative])))
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0


def test_a_curve_is_sklearns():
    rng = np.random.default_rng(0)
    positive, negative = rng.normal(1, 1, 30).round(1), rng.normal(0, 1, 40).round(1)
    fpr, tpr = roc(negative, positive)
    expected = roc_curve(np.repeat([1, 0], [30, 40]), np.concatenate([positive, negative]), drop_intermediate=False)
    np.testing.assert_allclose(fpr, expected[0])
    np.testing.assert_allclose(tpr, expected[1])


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    """Pairs of the same clip depend on each other: 95 % nominal over 200 draws, at least 88 % here (30 clips)."""
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        own = rng.normal(0, 1, 30)  # what a clip's clean, noisy and attacked sounds have in common
        positive, negative = own + rng.normal(1, 1, 30), np.concatenate([own + rng.normal(0, 1, 30) for _ in range(2)])
        found = area(positive, np.arange(30), negative, np.tile(np.arange(30), 2), seed)
        truth = 0.6915  # P(N(1, 2·2) > 0) = Φ(1/2), pairs of the same clip apart
        held += found.low - 0.01 <= truth <= found.high + 0.01
    assert held >= 0.88 * 200


def test_nothing_to_compare_is_no_area():
    assert area([], [], [1.0], [0]).value is None
    assert str(area([], [], [1.0], [0])) == "–"


def reading(name: str, score: float | None, clean: int = 99) -> Reading:
    return Reading(name, score, 0.0, 0.0, False, False, 0.05, tuple(np.linspace(0.0, 1.0, clean)))


def test_a_joint_verdict_pays_for_each_detector():
    assert joint([reading("kde", 2.0)], 0.05).flagged
    assert joint([reading("kde", 2.0)], 0.05).p == pytest.approx(0.01)
    four = [reading("kde", 2.0), *(reading(f"d{n}", 0.5) for n in range(3))]
    assert joint(four, 0.05).by == ("kde",)
    assert joint(four, 0.05).p == pytest.approx(0.04)
    six = [reading("kde", 2.0), *(reading(f"d{n}", 0.5) for n in range(5))]
    verdict = joint(six, 0.05)
    assert not verdict.flagged and "more clean clips" in verdict.sentence
    assert joint([reading("mmd", None)], 0.05) is None
    assert joint([reading("mmd", None), reading("kde", 0.2)], 0.05).p == pytest.approx(0.81, abs=0.02)


def test_clean_clips_are_flagged_by_several_together_no_more_often_than_the_rate():
    rng = np.random.default_rng(3)
    flagged = 0
    for _ in range(400):
        draws = rng.normal(size=(3, 100))
        readings = [
            Reading(f"d{n}", float(row[0]), 0.0, 0.0, False, False, 0.1, tuple(row[1:])) for n, row in enumerate(draws)
        ]
        flagged += joint(readings, 0.1).flagged
    assert flagged / 400 <= 0.1 + 3 * (0.1 * 0.9 / 400) ** 0.5


def test_a_report_tells_static_and_adaptive_figures_of_strangers_only():
    model = curved(seed=1)
    kde = fit("kde", Sample.of(model, clips(80, 3), "test"))
    told = []
    report = detection_report(
        model,
        clips(8, 99),
        [kde],
        ("fgsm", "pgd"),
        snr=5.0,
        settings={"pgd": {"steps": 20, "stop_early": False}},
        progress=lambda *what: told.append(what),
    )
    figure = report.figure("kde", "pgd")
    scores = report.scores["pgd"]["kde"]
    negatives = np.concatenate([scores["clean"], scores["noisy"]])
    said = [model.labels[number] for number in Sample.of(model, clips(8, 99), "test").said]
    assert len(said) == 8 and report.headings[1].fooled == 8, "all fool the model, so all are positives"
    truth = np.repeat([1, 0], [8, 16])
    assert figure.static.value == pytest.approx(roc_auc_score(truth, np.concatenate([scores["attacked"], negatives])))
    assert figure.adaptive.value < figure.static.value
    assert 0 <= figure.evaded <= figure.fooled <= 8
    assert figure.caught[0] is None and figure.caught[1] is not None  # 80 clean clips: no rate of 1 %
    assert [heading.attack for heading in report.headings] == ["fgsm", "pgd"]
    assert all(heading.snr_db >= 5.0 for heading in report.headings)
    assert [what for what, _part in told] == [
        "fgsm on 8 clips",
        "fgsm evading kde",
        "pgd on 8 clips",
        "pgd evading kde",
    ]
    assert report.to_json()["figures"][0]["detector"] == "kde"
    with pytest.raises(UsageError, match="does not know"):
        detection_report(model, clips(80, 3)[:3], [kde], ("fgsm",))
    with pytest.raises(UsageError, match="two clips"):
        detection_report(model, clips(1, 99), [kde], ("fgsm",))
