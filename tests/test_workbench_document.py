"""The document: what it holds, what it tells, and how a design is read on a clip."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mirguard.clip import Clip
from mirguard.detectors.reading import Reading
from mirguard.errors import UsageError
from mirguard.workbench.design import Design
from mirguard.workbench.document import Document
from mirguard.workbench.facts import ADVERSARIAL, ORIGINAL, PERTURBATION, ModelFacts, ReferenceFacts, Run, Snapshot

FACTS = ModelFacts("toy", "Toy", "", "single-label", ("flute", "drum"), 16000, 32000, ("hidden",), "abc")
OTHER = replace(FACTS, name="other", hash="def", labels=("flute", "organ"))


@pytest.fixture
def document():
    document = Document()
    document.told = []
    for topic in ("clips", "current", "labels", "model", "design", "run", "live", "outcome", "readings"):
        document.watch(topic, lambda topic=topic: document.told.append(topic))
    return document


def snapshot(gradients, total=40, seconds=2.0, margin=-1.0, **rest):
    point = (0.5, margin, 40.0)
    return Snapshot(gradients, total, *point, margin > 0, None, seconds, (point,), **rest)


def outcome_of(clip):
    trace = {"loss": [0.7, 0.6, 0.5], "margin": [-1.0, -0.2, 0.3], "snr_db": [math.inf, 41.0, 40.0]}
    return SimpleNamespace(clip=clip, perturbation=clip, trace=trace)


def test_the_first_clip_becomes_the_current_one_and_its_level_is_known(document, tone):
    first, second = document.add(tone(level=0.5)), document.add(tone(level=0.1))
    assert document.current is first
    assert first.rms == pytest.approx(0.5 / math.sqrt(2), rel=1e-3)
    assert document.told == ["clips", "current", "clips"]
    document.choose(second.key)
    assert document.current is second


def test_when_the_current_clip_goes_its_neighbour_is_shown(document, tone):
    entries = [document.add(tone(frequency=f)) for f in (100, 200, 300)]
    document.choose(entries[1].key)
    document.remove(entries[1].key)
    assert document.current is entries[2]
    document.remove(entries[2].key)
    assert document.current is entries[0]
    document.remove(entries[0].key)
    assert document.current is None
    assert document.entries == {}
    document.remove(99)  # one that is gone already


def test_removing_another_clip_leaves_the_current_one(document, tone):
    first, second = document.add(tone()), document.add(tone(frequency=300))
    document.told.clear()
    document.remove(second.key)
    assert document.current is first
    assert document.told == ["clips"]


def test_a_topic_that_does_not_exist_cannot_be_watched(document):
    with pytest.raises(ValueError):
        document.watch("weather", print)


def reading(name, score=1.0):
    return Reading(name, score, 1.0, 50.0, False, False, 0.05, (1.0, 2.0))


def test_another_model_forgets_what_the_one_before_said(document, tone):
    entry = document.add(tone())
    document.set_model(FACTS)
    document.set_decision(entry.key, "decision")
    document.set_readings(entry.key, ORIGINAL, (reading("kde"),))
    document.set_reference(ReferenceFacts(absent="none"))
    document.change_design(target="drum")
    document.set_model(OTHER)
    assert entry.decision is None
    assert entry.readings == {}
    assert document.reference is None
    assert document.design.target is None, "the other model has no drum"
    document.change_design(target="flute")
    document.set_model(FACTS)
    assert document.design.target == "flute"


def test_the_budget_keeps_the_face_that_was_set(document):
    held_snr = Design(held="snr", level=40.0)
    assert held_snr.epsilon(0.2) == pytest.approx(0.002)
    assert held_snr.epsilon(0.02) == pytest.approx(0.0002)
    assert held_snr.snr(0.02) == 40.0
    held_epsilon = Design(held="epsilon", level=0.002)
    assert held_epsilon.epsilon(0.02) == 0.002
    assert held_epsilon.snr(0.2) == pytest.approx(40.0)


def test_a_silent_clip_has_no_snr():
    assert Design(held="snr", level=40.0).epsilon(0.0) is None
    assert Design(held="epsilon", level=0.002).snr(0.0) is None
    assert Design(held="epsilon", level=0.0).snr(0.1) is None
    assert Design(held="snr", level=40.0).resolved(0.0)["epsilon"] > 0, "the slider has to stand somewhere"


def test_values_are_resolved_by_the_declaration_and_foreign_ones_ignored():
    design = Design(attack="pgd", values={"steps": 10, "nonsense": 1})
    values = design.resolved(0.2)
    assert values["steps"] == 10
    assert values["epsilon"] == pytest.approx(0.002)
    assert values["step_size"] == pytest.approx(2.5 * 0.002 / 10)
    assert set(design.own_values()) == {"steps"}
    assert "steps" not in replace(design, attack="noise").resolved(0.2)
    assert replace(design, attack="noise").own_values() == {}


def test_a_value_given_back_follows_its_default_again(document):
    document.set_value("step_size", 0.5)
    assert document.design.values == {"step_size": 0.5}
    document.set_value("step_size", None)
    assert document.design.values == {}
    document.told.clear()
    document.set_value("step_size", None)
    assert document.told == []


def test_a_result_goes_stale_with_the_settings_and_with_the_model_and_back(document, tone):
    entry = document.add(tone())
    document.set_model(FACTS)
    document.begin(Run(entry.key, 1, document.design, "toy"))
    document.advance(snapshot(1))
    document.end(outcome_of(tone()))
    assert not document.stale(entry)
    document.change_design(level=30.0)
    assert document.stale(entry)
    document.change_design(level=40.0)
    assert not document.stale(entry)
    document.set_model(OTHER)
    assert document.stale(entry)


def test_a_run_collects_the_trace_and_tells_how_long_it_will_take(document, tone):
    entry = document.add(tone())
    run = Run(entry.key, 7, document.design, "toy")
    assert run.fraction is None
    assert run.seconds_left is None
    document.begin(run)
    document.advance(snapshot(10, total=40, seconds=5.0))
    document.advance(snapshot(20, total=40, seconds=10.0, margin=0.5))
    assert run.fraction == pytest.approx(0.5)
    assert run.seconds_left == pytest.approx(10.0)
    assert [point[1] for point in run.trace] == [-1.0, 0.5]
    document.end(outcome_of(tone()))
    assert document.run is None
    # The result's own trace is complete; snapshots come only ten times a second.
    assert entry.trace == [(0.7, -1.0, math.inf), (0.6, -0.2, 41.0), (0.5, 0.3, 40.0)]


def test_a_run_without_a_result_leaves_the_one_before(document, tone):
    entry = document.add(tone())
    before = outcome_of(tone())
    document.begin(Run(entry.key, 1, document.design, "toy"))
    document.end(before)
    document.begin(Run(entry.key, 2, document.design, "toy"))
    document.advance(snapshot(3))
    document.told.clear()
    document.end(None)
    assert entry.outcome is before
    assert document.told == ["run"]


def test_a_result_for_a_clip_that_is_gone_goes_nowhere(document, tone):
    entry = document.add(tone())
    document.begin(Run(entry.key, 1, document.design, "toy"))
    document.remove(entry.key)
    document.end(outcome_of(tone()))
    assert document.run is None


def test_a_new_result_drops_the_reading_of_the_old_one(document, tone):
    entry = document.add(tone())
    clean = reading("kde")
    document.set_readings(entry.key, ORIGINAL, (clean,))
    document.set_readings(entry.key, ADVERSARIAL, (reading("kde"),))
    document.begin(Run(entry.key, 1, document.design, "toy"))
    document.end(outcome_of(tone()))
    assert entry.readings == {ORIGINAL: (clean,)}


def test_readings_of_slow_detectors_come_beside_the_others(document, tone):
    entry = document.add(tone())
    document.set_readings(entry.key, ORIGINAL, (reading("kde"), reading("lid")))
    again = reading("kde", 2.0)
    document.set_readings(entry.key, ORIGINAL, (reading("dropout"), again))
    assert [one.detector for one in entry.readings[ORIGINAL]] == ["kde", "lid", "dropout"]
    assert entry.readings[ORIGINAL][0] is again


def test_the_sounds_of_a_clip(document, tone):
    entry = document.add(tone())
    assert set(document.sounds(entry)) == {ORIGINAL}
    document.begin(Run(entry.key, 1, document.design, "toy"))
    document.end(outcome_of(tone()))
    assert set(document.sounds(entry)) == {ORIGINAL, ADVERSARIAL, PERTURBATION}


@pytest.mark.parametrize("fpr", [0.0, 1.0, -0.1])
def test_an_impossible_rate_is_refused(document, fpr):
    with pytest.raises(UsageError):
        document.set_fpr(fpr)
    assert document.fpr == 0.05


def test_a_clip_is_found_by_its_file(document, tmp_path):
    path = tmp_path / "a.wav"
    entry = document.add(Clip(np.zeros((1, 10), np.float32), 8000, path))
    assert document.find(path) is entry
    assert document.find(tmp_path / "b.wav") is None
