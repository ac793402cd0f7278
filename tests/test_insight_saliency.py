"""Saliency: right gradients, right maps, and an overlay in the window."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nets import curved, linear, sounds

from mirguard.analysis import spectrogram
from mirguard.clip import Clip
from mirguard.experiment.insight.saliency import GRADIENT, JACOBIAN, MAPS, TIMES_SOUND, Slopes, draw, slopes
from mirguard.models.decision import track_logits
from mirguard.models.tracks import window_logits


@pytest.fixture(params=("single-label", "tagging"))
def model(request):
    return curved(task=request.param, graph_windows=2)


@pytest.fixture
def clip() -> Clip:
    """Three windows and a half, in stereo."""
    rows = sounds(4, 1600, seed=3).flatten()[: 3 * 1600 + 900].numpy()
    return Clip(np.stack([rows, 0.5 * rows]), 16_000)


def logits(model, clip: Clip) -> torch.Tensor:
    return track_logits(window_logits(model, clip)[None], model.task)[0]


def test_slopes_are_those_of_finite_differences(model, clip):
    found = slopes(model, clip, "class 2")
    generator, size = np.random.default_rng(0), 1e-3
    for _ in range(3):
        v = generator.standard_normal(clip.frames).astype(np.float32)
        up, down = (logits(model, Clip(clip.samples + sign * size * v, 16_000)) for sign in (1, -1))
        slope = (up - down) / (2 * size)
        own, others = float(slope[2]), float(slope.sum() - slope[2])
        assert own == pytest.approx(float(found.own @ v), rel=0.01, abs=0.02)
        assert others == pytest.approx(float(found.others @ v), rel=0.01, abs=0.02)


def test_slopes_of_a_linear_model_are_its_weights():
    model = linear(classes=3)
    clip = Clip(sounds(1, 400).numpy(), 16_000)
    found, weights = slopes(model, clip, "class 1"), model.network.layer.weight.numpy()
    np.testing.assert_allclose(found.own, weights[1], atol=1e-6)
    np.testing.assert_allclose(found.others, weights[0] + weights[2], atol=1e-6)


def two_tones(first: float, second: float) -> Slopes:
    """∂F_t is a tone at each of two frequencies; the others fall along the first and rise along the second."""
    time = np.arange(16_000) / 16_000
    low, high = (np.sin(2 * np.pi * hertz * time).astype(np.float32) for hertz in (first, second))
    return Slopes("a", low + high, high - low)


def test_the_maps_are_large_where_they_should_be():
    found = two_tones(1000, 4000)
    time = np.arange(16_000) / 16_000
    clip = Clip(0.5 * np.sin(2 * np.pi * 4000 * time).astype(np.float32), 16_000)
    level = {which: {hertz: draw(found, clip, which).at(0.5, hertz) for hertz in (1000, 2500, 4000)} for which in MAPS}
    assert level[GRADIENT][1000] == pytest.approx(level[GRADIENT][4000], abs=1.3)
    assert level[GRADIENT][2500] < level[GRADIENT][1000] - 50
    assert level[TIMES_SOUND][4000] > level[TIMES_SOUND][1000] + 40, "there is nothing at 1 kHz in the sound"
    assert level[JACOBIAN][1000] > level[JACOBIAN][4000] + 40, "raising the target at 4 kHz would raise the others too"


def test_the_jacobian_map_is_brute_force_jacobian_saliency():
    """S(X, t) of Papernot et al. for one frame, each cell a feature that moves in the phase of its own gradient."""
    generator = np.random.default_rng(1)
    own, others = generator.standard_normal((2, 1024)).astype(np.float32)
    own[0], others[0] = 4.0, -4.0  # the peaks, so that both slopes have one scale
    clip = Clip(own / 10, 16_000)
    drawn = draw(Slopes("a", own, others), clip, JACOBIAN, 1024)
    column = 4  # of hop 64: its transform is centred at 4.5 · 64
    taper = spectrogram.hann(1024) * 2 / spectrogram.hann(1024).sum()
    part = slice(0, 288 + 512)
    target, rest = (np.fft.rfft(np.pad(x[part] / 4, (224, 0)) * taper) for x in (own, others))
    rate_of_target = np.abs(target)
    rate_of_others = (np.conj(target / rate_of_target) * rest).real
    wanted = np.where(rate_of_others > 0, 0.0, rate_of_target * np.abs(rate_of_others))
    found = 10 ** (spectrogram.decibels(drawn.levels[0][:, column]) / 10)
    clear = wanted[1:-1] > 1e-6
    assert clear.sum() > 100
    np.testing.assert_allclose(found[1:-1][clear], wanted[1:-1][clear], rtol=0.08)
    assert (found[1:-1][wanted[1:-1] == 0] < 1e-13).all()


def test_silence_and_a_model_without_gradients_are_no_disaster(clip):
    flat = Slopes("a", np.zeros(16_000, np.float32), np.zeros(16_000, np.float32))
    for which in MAPS:
        assert not draw(flat, Clip(np.zeros(16_000, np.float32) + 0.1, 16_000), which).levels[0][1:].max() > 60


# -- in the window -----------------------------------------------------------------------------------------------------


@pytest.fixture
def bench(qtbot, tmp_path, tone):
    from workbench import Bench

    from mirguard.clip import save_clip

    bench = Bench(qtbot, tmp_path)
    bench.start()
    bench.load(save_clip(tone(seconds=3.0, channels=2, level=0.3), tmp_path / "song.wav"))
    yield bench
    bench.close()


def test_the_overlay_comes_follows_the_choice_and_goes(bench):
    panel, weighing = bench.window.spectrograms, bench.window.weighing
    view = panel.stack.views["original"]
    assert not panel.saliency.isVisible() and view._over is None
    panel.saliency_button.click()
    assert panel.saliency.isVisible()
    bench.until(lambda: view._over is not None)
    assert bench.document.current.decision.label in panel.saliency.state.text()
    first = view._over
    assert view._overlay.lut[:, 3].max() == round(255 * 0.8)
    panel.saliency.opacity.setValue(40)
    assert view._overlay.lut[:, 3].max() == round(255 * 0.4) and view._over is first

    panel.saliency.map.setCurrentIndex(2)
    panel.saliency.map.activated.emit(2)
    bench.until(lambda: view._over is not first)
    second, slopes_before = view._over, weighing._slopes
    panel.saliency.label.setCurrentIndex(3)
    panel.saliency.label.activated.emit(3)
    bench.until(lambda: view._over not in (second, None))
    assert weighing._slopes is not slopes_before
    assert panel.saliency.label.currentText() in panel.saliency.state.text()

    panel.saliency_button.click()
    assert view._over is None and not panel.saliency.isVisible()


def test_another_clip_gets_its_own_saliency(bench, tmp_path, noise):
    from mirguard.clip import save_clip

    panel = bench.window.spectrograms
    panel.saliency_button.click()
    bench.until(lambda: panel.stack.views["original"]._over is not None)
    entry = bench.load(save_clip(noise(seconds=2.0), tmp_path / "noise.wav"))
    bench.document.choose(entry.key)
    bench.until(lambda: panel.stack.views["original"]._over is not None)
    assert panel.stack.views["original"]._over.duration == pytest.approx(2.0)
    bench.document.remove(entry.key)
    bench.document.remove(bench.document.current_key)
    assert panel.saliency.state.text() == "Load a clip first"
