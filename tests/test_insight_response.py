"""The response along a perturbation and over a plane: closed forms on linear models, and the panel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nets import curved, linear, sounds

from mirguard.attacks.losses import margin
from mirguard.clip import Clip
from mirguard.errors import Cancelled
from mirguard.experiment.insight.response import (
    GRADIENT,
    orthogonal,
    refinements,
    respond,
    rms_of,
    surface,
    window_logits_at,
)
from mirguard.models.decision import track_logits
from mirguard.models.tracks import window_logits


def test_logits_are_those_of_the_mixed_sound():
    """Two channels, another rate than the model's, a last partial window."""
    model = curved()
    clip = Clip(0.3 * sounds(2, 4 * 2205 + 1500, seed=1).numpy(), 22_050)
    moves = 0.02 * sounds(2, clip.frames, seed=2).numpy()
    amounts = np.array([[0.0, 0.0], [1.0, 0.0], [-2.0, 0.5]])
    found = track_logits(window_logits_at(model, clip, moves, amounts), model.task).numpy()
    for row, amount in zip(found, amounts, strict=True):
        mixed = Clip((clip.samples + (amount @ moves)).astype(np.float32), 22_050)
        wanted = track_logits(window_logits(model, mixed)[None], model.task)[0]
        np.testing.assert_allclose(row, wanted.numpy(), atol=2e-4)


def test_a_linear_model_answers_in_lines():
    model, clip = linear(classes=4), Clip(sounds(1, 400).numpy(), 16_000)
    delta = (0.05 * torch.randn(400, generator=torch.Generator().manual_seed(1))).numpy()
    found = respond(model, clip, delta, reach=3.0, count=33)
    weights, bias = model.network.layer.weight.numpy(), model.network.layer.bias.numpy()
    at_clip = weights @ clip.samples[0] + bias
    np.testing.assert_allclose(found.logits, at_clip + found.scales[:, None] * (weights @ delta), atol=1e-4)
    np.testing.assert_allclose(found.mean_logits, found.logits, atol=1e-6)  # there is one window
    np.testing.assert_allclose(found.probabilities.sum(1), 1.0, atol=1e-5)
    assert found.rms == pytest.approx(rms_of(delta)) and found.complete
    bounds = found.boundaries()
    assert bounds, "with a δ of that size labels change"
    for scale, below, above in bounds:
        z = at_clip + scale * (weights @ delta)
        first, second = (found.labels.index(name) for name in (below, above))
        assert z[first] == pytest.approx(z[second], abs=1e-3)
        assert z[first] == pytest.approx(z.max(), abs=0.3)


def test_the_mean_logits_of_several_windows_move_in_lines_too():
    model, clip = linear(), Clip(sounds(1, 3 * 400).numpy(), 16_000)
    delta = torch.randn(3 * 400, generator=torch.Generator().manual_seed(4)).numpy()
    found = respond(model, clip, delta)
    bends = [float(np.abs(np.diff(table, 2, axis=0)).max()) for table in (found.mean_logits, found.logits)]
    assert bends[0] < 1e-4 < 1e-3 < bends[1]


def test_progress_is_coarse_at_first_and_rests_can_cancel():
    model, clip = linear(), Clip(sounds(1, 400).numpy(), 16_000)
    delta, seen = 0.1 * clip.samples[0], []
    final = respond(model, clip, delta, count=17, progress=seen.append)
    assert [len(part.scales) for part in seen] == [3, 5, 9] and len(final.scales) == 17
    assert all(set(part.scales) <= set(final.scales) and not part.complete for part in seen)

    def rest() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        surface(model, clip, delta, "class 0", rest=rest)


@pytest.mark.parametrize("shape", [(17,), (9, 9), (25, 25), (6,)])
def test_refinements_visit_every_place_once(shape):
    visited = np.concatenate(list(refinements(*shape)))
    assert sorted(visited) == list(range(int(np.prod(shape))))


def test_the_second_direction_is_orthogonal_and_as_large():
    delta, other = (sounds(1, 1000, seed=seed)[0].numpy() for seed in (1, 2))
    found = orthogonal(other, delta)
    assert abs(found @ delta) < 1e-6 * (delta @ delta)
    assert rms_of(found) == pytest.approx(rms_of(delta), rel=1e-5)


@pytest.mark.parametrize("target", [None, "class 2"])
def test_the_surface_of_a_linear_model_is_known(target):
    model, clip = linear(classes=2 if target is None else 3), Clip(sounds(1, 400).numpy(), 16_000)
    delta = 0.05 * torch.randn(400, generator=torch.Generator().manual_seed(1)).numpy()
    found = surface(model, clip, delta, "class 0", target, across=GRADIENT, reach=1.0, count=9)
    weights, bias = model.network.layer.weight, model.network.layer.bias
    at_clip = weights @ torch.tensor(clip.samples[0]) + bias
    labels, targets = torch.tensor([0]), None if target is None else torch.tensor([2])
    gradient = torch.func.grad(lambda x: margin((weights @ x + bias)[None], labels, targets)[0])
    second = orthogonal(gradient(torch.tensor(clip.samples[0])).numpy(), delta)
    for row, t in enumerate(found.scales):
        for column, s in enumerate(found.scales):
            z = at_clip + weights @ torch.from_numpy((s * delta + t * second).astype(np.float32))
            assert found.margins[row, column] == pytest.approx(float(margin(z[None], labels, targets)[0]), abs=1e-4)
    assert found.fraction == 1.0
    if target is None:  # a plane: opposite places have opposite differences from the middle
        middle = found.margins[4, 4]
        np.testing.assert_allclose(found.margins - middle, -(found.margins[::-1, ::-1] - middle), atol=1e-4)


def test_a_random_direction_comes_from_its_seed():
    model, clip = curved(), Clip(sounds(1, 1600).numpy(), 16_000)
    delta = 0.1 * sounds(1, 1600, seed=5)[0].numpy()
    first, same, other = (surface(model, clip, delta, "class 0", count=5, seed=seed).margins for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    np.testing.assert_allclose(first[2], other[2], atol=1e-5)  # the row without the second direction
    assert not np.allclose(first[0], other[0], atol=1e-3)


# -- in the window -----------------------------------------------------------------------------------------------------


@pytest.fixture
def attacked(qtbot, tmp_path, noise, tone):
    from workbench import Bench

    from mirguard.clip import save_clip

    bench = Bench(qtbot, tmp_path)
    samples = tone(seconds=3.0, channels=2, level=0.3).samples + noise(seconds=3.0, channels=2, level=0.01).samples
    bench.start()
    bench.load(save_clip(Clip(samples, 22050), tmp_path / "song.wav"))
    bench.document.change_design(held="snr", level=20.0, values={"steps": 12, "stop_early": False})
    bench.run()
    yield bench
    bench.close()


def test_the_response_is_drawn_when_it_is_looked_at_and_a_click_plays_the_place(attacked):
    bench, panel = attacked, attacked.window.response
    entry = bench.document.current
    assert panel.plot.empty, "nothing is asked for while nobody looks"
    bench.window.docks["response"].raise_()
    bench.until(lambda: panel._response is not None and panel._response.complete)
    assert {entry.outcome.clean.label, entry.outcome.exported.decision.label} <= set(panel.plot.names)
    top = panel._response.labels[panel._response.logits[np.argmin(np.abs(panel._response.scales - 1))].argmax()]
    assert top == entry.outcome.exported.decision.label

    panel.plot.picked.emit(-0.49)
    bench.until(lambda: bench.document.moment is not None)
    moment = bench.document.moment
    assert moment.scale == pytest.approx(-0.5) and "0.5 × perturbation" in moment.words
    mixed = np.clip(entry.clip.samples - 0.5 * entry.outcome.perturbation.mono(), -1, 1)
    np.testing.assert_allclose(bench.window.listening.heard, mixed, atol=1e-6)
    assert moment.snr_db == pytest.approx(entry.outcome.snr_db + 20 * np.log10(2))
    assert panel.plot._here.isVisible() and panel.plot._here.value() == moment.scale
    bench.window.stepping.back()
    assert not panel.plot._here.isVisible()


def test_the_surface_comes_bit_by_bit_and_can_be_cancelled(attacked):
    bench, panel = attacked, attacked.window.response
    for plot in (panel.plot, panel.surface):
        assert not plot.getPlotItem().getAxis("right").isVisible(), "nothing is drawn to it"
    bench.window.docks["response"].raise_()
    bench.until(lambda: panel._response is not None and panel._response.complete)
    panel.button.click()
    assert panel.button.text() == "Cancel"
    bench.until(lambda: panel.surface._surface is not None)
    bench.until(lambda: not panel._mapping)
    surface = panel.surface._surface
    assert surface.fraction == 1.0 and panel.button.text() == "Map the margin"
    middle = len(surface.scales) // 2
    assert surface.margins[middle, middle] < 0 < surface.margins[middle, np.argmin(np.abs(surface.scales - 1))]
    panel.button.click()
    panel.button.click()
    bench.until(lambda: not panel._mapping)
    assert panel.surface._surface is None


def test_another_reach_asks_again(attacked):
    bench, panel = attacked, attacked.window.response
    bench.window.docks["response"].raise_()
    bench.until(lambda: panel._response is not None and panel._response.complete)
    panel.reach.setCurrentIndex(2)
    panel.reach.activated.emit(2)
    bench.until(lambda: panel._response is not None and panel._response.scales[-1] == 4.0)
