"""The listening test for a budget: it finds a simulated listener's threshold, and sets budgets in the window."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mirguard.playback.staircase import COUNTED, HIGHEST_DB, LOWEST_DB, MOST_TRIALS, Staircase, excerpt, trial


def listen(seed: int, middle: float = 43.0, spread: float = 2.0, start: float = 15.0) -> Staircase:
    """A listener who is right by chance at high SNR and always at low SNR, 75 % at `middle`."""
    generator, stairs = np.random.default_rng(seed), Staircase(start)
    while not stairs.done:
        chance = 0.5 + 0.5 / (1.0 + math.exp((stairs.level - middle) / spread))
        stairs.answer(bool(generator.random() < chance))
    return stairs


def test_it_converges_to_the_level_of_79_4_percent():
    found = [listen(seed) for seed in range(200)]
    levels = np.array([stairs.threshold for stairs in found])
    p = 0.5 ** (1 / 3)
    truth = 43.0 - 2.0 * math.log((2 * p - 1) / (2 - 2 * p))
    assert levels.mean() == pytest.approx(truth, abs=0.5)
    assert levels.std() < 2.0
    spread = np.mean([stairs.spread for stairs in found])
    assert levels.std() < spread < 2.5 * levels.std()
    assert max(stairs.trials for stairs in found) < MOST_TRIALS


def test_another_listener_gets_another_threshold_wherever_it_starts():
    for start in (0.0, 30.0, 60.0):
        assert np.mean([listen(seed, 55.0, 1.0, start).threshold for seed in range(40)]) == pytest.approx(54.6, abs=1.0)


def test_three_right_answers_go_up_and_one_wrong_one_goes_down():
    stairs = Staircase(20.0)
    levels = []
    for right in (1, 1, 1, 0, 1, 1, 0, 1, 1, 1):
        stairs.answer(bool(right))
        levels.append(stairs.level)
    assert levels == [20, 20, 28, 20, 20, 20, 12, 12, 12, 16]
    assert stairs.turns == [28.0, 12.0]
    assert stairs.threshold is None and stairs.spread is None and not stairs.done


def test_who_hears_everything_or_nothing_ends_without_a_threshold():
    for right, bound in ((True, HIGHEST_DB), (False, LOWEST_DB)):
        stairs = Staircase(20.0)
        while not stairs.done:
            stairs.answer(right)
        assert stairs.trials == MOST_TRIALS and stairs.threshold is None and stairs.level == bound


def test_the_excerpt_is_where_the_perturbation_is_strongest():
    perturbation = np.full((2, 80_000), 1e-4, np.float32)
    perturbation[:, 40_000:50_000] = 0.01
    first, last = excerpt(perturbation, 8000)
    assert last - first == 16_000 and first <= 40_000 and last >= 50_000
    assert excerpt(perturbation[:, :100], 8000) == (0, 100)


@pytest.mark.parametrize("second", [False, True])
def test_a_trial_is_the_sound_twice_once_changed(second):
    generator = np.random.default_rng(0)
    original = 0.1 * generator.standard_normal((2, 4000)).astype(np.float32)
    perturbation = 0.001 * generator.standard_normal((2, 4000)).astype(np.float32)
    made = trial(original, perturbation, 20.0, second, 8000)
    parts = made[:, :4000], made[:, 4000 + 3200 :]
    assert not made[:, 4000:7200].any() and parts[1].shape == (2, 4000)
    middle = slice(200, -200)
    np.testing.assert_array_equal(parts[not second][:, middle], original[:, middle])
    np.testing.assert_allclose((parts[second] - original)[:, middle], 10 * perturbation[:, middle], atol=1e-6)
    assert made.dtype == np.float32 and abs(made[:, [0, -1]]).max() < 1e-3


def test_a_whole_test_takes_a_few_minutes_at_most():
    assert 30 < np.median([listen(seed).trials for seed in range(50)]) < 90
    assert COUNTED % 2 == 0, "as many highs as lows"


# -- in the window -----------------------------------------------------------------------------------------------------


@pytest.fixture
def attacked(qtbot, tmp_path, noise, tone):
    from workbench import Bench

    from mirguard.clip import Clip, save_clip

    bench = Bench(qtbot, tmp_path)
    samples = tone(seconds=3.0, channels=2, level=0.3).samples + noise(seconds=3.0, channels=2, level=0.01).samples
    bench.start()
    bench.load(save_clip(Clip(samples, 22050), tmp_path / "song.wav"))
    bench.document.change_design(held="snr", level=20.0, values={"steps": 5, "stop_early": False})
    bench.run()
    yield bench
    bench.close()


def test_the_listening_test_sets_the_budget(attacked, qtbot):
    from PySide6.QtCore import Qt

    from mirguard.workbench.dialogs.listening_test import ListeningTest

    bench, window = attacked, attacked.window
    window.actions_by_name["listening-test"].trigger()
    dialog = window.findChild(ListeningTest)
    assert not dialog.buttons[0].isEnabled() and not dialog.use_button.isVisible()
    qtbot.keyClick(dialog, Qt.Key.Key_Space)
    assert window.listening.auditioning and window.listening.player.playing
    bench.until(lambda: dialog.buttons[0].isChecked())
    generator, levels = np.random.default_rng(1), set()
    shown = [dialog.progress.value()]
    while not dialog.stairs.done:
        levels.add(dialog.stairs.level)
        chance = 0.5 + 0.5 / (1.0 + math.exp((dialog.stairs.level - 30.0) / 1.5))
        right = 2 if dialog.second else 1
        number = right if generator.random() < chance else 3 - right
        qtbot.keyClick(dialog, Qt.Key.Key_1 if number == 1 else Qt.Key.Key_2)
        shown.append(dialog.progress.value())
    assert shown == sorted(shown) and shown[3] > 0 and shown[-1] == dialog.progress.maximum()
    assert len(levels) > 4 and not window.listening.auditioning
    ear = window.settings.ear
    assert ear.snr_db == pytest.approx(29.5, abs=3.0) and ear.clip == "song.wav"
    assert dialog.use_button.isVisible() and "just not tell" in dialog.verdict.text()
    qtbot.keyClick(dialog, Qt.Key.Key_Space)
    assert dialog.isVisible() and not window.listening.auditioning
    qtbot.keyClick(dialog, Qt.Key.Key_Return)
    assert not dialog.isVisible()
    assert (bench.document.design.held, bench.document.design.level) == ("snr", ear.snr_db)
    assert bench.heard("just not tell on song.wav")

    bench.document.change_design(held="epsilon", level=0.1)
    window.designer.budget.ear_button.click()
    assert (bench.document.design.held, bench.document.design.level) == ("snr", ear.snr_db)


def test_leaving_the_test_goes_back_to_the_clip(attacked):
    from mirguard.workbench.dialogs.listening_test import ListeningTest

    window = attacked.window
    window.designer.budget.ear_button.click()  # nothing is known yet: the test comes first
    dialog = window.findChild(ListeningTest)
    dialog.play()
    dialog.close_button.click()
    assert not window.listening.auditioning and window.settings.ear is None
    assert window.listening.names == ("original", "adversarial", "perturbation")


def test_white_noise_at_the_same_snr_is_tried_after_an_attack(attacked):
    bench, labels = attacked, attacked.window.labels
    bench.until(lambda: bench.document.current.baseline is not None)
    baseline = bench.document.current.baseline
    assert baseline.draws == 20 and labels.baseline.isVisible()
    assert labels.baseline.text() == baseline.sentence
    bench.document.change_design(level=25.0)
    bench.run()
    assert bench.document.current.baseline is not baseline
