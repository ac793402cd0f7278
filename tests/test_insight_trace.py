"""Stepping back through an attack: what is kept, what is shown and what is played."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from workbench import Bench

from mirguard.clip import Clip, save_clip
from mirguard.experiment.insight.keeping import Keeper, Trail, keep
from mirguard.experiment.outcome import Progress
from mirguard.models.decision import decision_of
from mirguard.workbench.facts import ADVERSARIAL, ORIGINAL, PERTURBATION

LABELS = ("a", "b")


def look(delta: torch.Tensor, best: torch.Tensor, margin: float = -1.0) -> Progress:
    decision = decision_of(torch.tensor([0.0, margin]), LABELS, "single-label", ("a",))
    told = {
        "gradients": 1,
        "forwards": 1,
        "total": None,
        "loss": 0.5,
        "margin": margin,
        "snr_db": 40.0,
        "success": margin > 0,
    }
    return Progress(**told, decision=decision, delta=delta, best=best, seen=(), seconds=0.1)


def deltas(count: int, frames: int = 200) -> torch.Tensor:
    return 1e-3 * torch.randn(count, frames, generator=torch.Generator().manual_seed(0))


def test_what_is_kept_is_finer_than_a_16_bit_export():
    delta = (deltas(1)[0] * 700).clamp_(-1, 1)
    kept = keep(1, look(delta, delta), delta)
    assert np.abs(kept.delta - delta.numpy()).max() <= 0.5 * 2**-15
    assert kept.codes.dtype == np.int16
    silence = torch.zeros(10)
    assert not keep(1, look(silence, silence), silence).delta.any()


def test_every_nth_look_the_flip_and_the_best_are_kept():
    keeper, all_deltas, best = Keeper(200, most=8), deltas(101), torch.zeros(200)
    for number, delta in enumerate(all_deltas, 1):
        if number in (1, 43, 58):
            best.copy_(delta)  # the ledger's own tensor, changed in place
        keeper(look(delta, best, margin=1.0 if number in (43, 58, 90) else -1.0))
    trail = keeper.trail()
    looks = [kept.look for kept in trail.kept]
    assert (trail.flip, trail.best) == (43, 58)
    assert looks == sorted({1, 17, 33, 49, 65, 81, 97, 43, 58})
    for kept in trail.kept:
        np.testing.assert_allclose(kept.delta, all_deltas[kept.look - 1].numpy(), atol=1e-7)
    assert trail.nearest(44).look == 43
    assert Trail().nearest(3) is None


def test_short_attacks_are_kept_whole_and_long_clips_keep_fewer():
    keeper = Keeper(200)
    for delta in deltas(40):
        keeper(look(delta, delta))
    assert [kept.look for kept in keeper.trail().kept] == list(range(1, 41))
    assert Keeper(200, budget=4000).most == 10
    assert Keeper(1_000_000_000).most == 2


# -- in the window -----------------------------------------------------------------------------------------------------


@pytest.fixture
def attacked(qtbot, tmp_path, noise, tone):
    """A window with an attack of 12 iterations that has ended, its trace in front."""
    bench = Bench(qtbot, tmp_path)
    samples = tone(seconds=3.0, channels=2, level=0.3).samples + noise(seconds=3.0, channels=2, level=0.01).samples
    bench.start()
    bench.load(save_clip(Clip(samples, 22050), tmp_path / "song.wav"))
    bench.window.docks["trace"].raise_()
    bench.document.change_design(held="snr", level=20.0, values={"steps": 12, "stop_early": False})
    bench.run()
    yield bench
    bench.close()


def test_stepping_back_shows_and_plays_that_step_and_one_click_goes_back(attacked, qtbot):
    bench, window, document = attacked, attacked.window, attacked.document
    entry, panel, views = document.current, attacked.window.trace, attacked.window.spectrograms.stack.views
    assert len(entry.trail.kept) == len(entry.trace) == len(entry.heard) == 13
    bench.until(lambda: panel._in_sight)
    result = entry.outcome.clip.samples
    assert window.listening.heard is result
    bench.until(lambda: views[PERTURBATION].spectrogram is not None)
    drawn = views[PERTURBATION].spectrogram

    window.listening.toggle()
    assert window.listening.player.selected == ORIGINAL
    panel.slider.setValue(4)
    bench.until(lambda: document.moment is not None)
    kept = entry.trail.kept[4]
    assert window.listening.player.selected == ADVERSARIAL
    assert window.listening.player.playing, "it goes on playing where it is"
    expected = np.clip(entry.clip.samples + kept.delta, -1.0, 1.0)
    np.testing.assert_array_equal(window.listening.heard, expected)
    bench.until(lambda: views[PERTURBATION].spectrogram is not drawn)
    assert "step 5" in views[ADVERSARIAL].label.text and "Not the result: step 5" in panel.state.text()
    assert "Not the result" in window.labels.verdict.text()
    assert dict(window.labels.bars._adversarial)[kept.decision.label] == kept.decision.confidence
    assert panel.back_button.isVisible()

    panel.back_button.click()
    assert document.moment is None and window.listening.heard is result
    assert "step" not in views[ADVERSARIAL].label.text
    assert not panel.back_button.isVisible()
    assert panel.slider.value() == [kept.look for kept in entry.trail.kept].index(entry.trail.best)
    window.listening.toggle()


def test_a_trace_that_nobody_looked_at_is_drawn_whole(attacked):
    bench, panel = attacked, attacked.window.trace
    bench.until(lambda: panel.figures._steps.count == 13)
    bench.window.docks["response"].raise_()
    bench.until(lambda: not panel._in_sight)
    bench.document.change_design(target="drums", values={"steps": 20, "stop_early": False})
    entry = bench.run()
    bench.window.docks["trace"].raise_()
    bench.until(lambda: panel._in_sight)
    panel.figures.redraw()
    _, losses = panel.figures._curves["left"].getData()
    np.testing.assert_allclose(losses, [loss for loss, _, _ in entry.trace if np.isfinite(loss)])


def test_what_stand_ins_heard_is_not_said_of_the_model(attacked):
    bench, panel = attacked, attacked.window.trace
    bench.document.change_design(surrogates=("toy-magnitude-mlp",), values={"steps": 5, "stop_early": False})
    bench.run()
    bench.until(lambda: "stand-ins heard, not the model" in panel.detail.text())
    assert [mark.label.format for mark in panel.figures._marks] == ["stand-ins fooled"]
    panel.slider.setValue(2)
    bench.until(lambda: bench.document.moment is not None)
    assert panel.detail.text().startswith("Stand-ins: ")
    assert "heard by the stand-ins as" in bench.window.labels.verdict.text()
    panel.back_button.click()


def test_a_new_attack_ends_the_moment(attacked):
    attacked.window.trace.flip_button.click()
    attacked.until(lambda: attacked.document.moment is not None)
    attacked.run()
    assert attacked.document.moment is None
    assert attacked.window.listening.heard is attacked.document.current.outcome.clip.samples


def test_the_plots_show_loss_labels_and_snr_and_a_click_steps(attacked):
    panel, entry = attacked.window.trace, attacked.document.current
    attacked.until(lambda: len(panel.labels.places) == 13)
    assert panel.labels.names[0] == entry.outcome.clean.label
    assert not panel.figures.empty
    panel.labels.picked.emit(7.2)
    attacked.until(lambda: attacked.document.moment is not None)
    assert attacked.document.moment.look == 7


def test_an_attack_without_gradients_is_traced_by_queries(attacked):
    attacked.document.change_design(attack="noise", values={})
    attacked.run()
    assert attacked.window.trace.figures.getPlotItem().getAxis("bottom").labelText == "Query"
