"""The masking threshold on sounds for which one can say what is heard."""

from __future__ import annotations

import numpy as np
import pytest

from mirguard.analysis.masking import (
    HOP,
    REFERENCE_DB,
    WINDOW,
    bark,
    frame_count,
    masking_excess,
    masking_threshold,
    power_spectra,
    threshold_in_quiet,
)

RATE = 44100
HZ = np.arange(WINDOW // 2 + 1) * RATE / WINDOW
BARKS, QUIET = bark(HZ), threshold_in_quiet(HZ)


def tone(hz: float, level_db: float, frames: int = 20 * HOP + WINDOW) -> np.ndarray:
    return 10 ** (level_db / 20) * np.sin(2 * np.pi * hz * np.arange(frames) / RATE)


def centre(hz: float) -> float:
    """The nearest frequency in the middle of a bin."""
    return round(hz * WINDOW / RATE) * RATE / WINDOW


def bin_of(hz: float) -> int:
    return round(hz * WINDOW / RATE)


def levels(signal: np.ndarray) -> np.ndarray:
    """Power spectrum of the first frame at playback level, in dB."""
    power = power_spectra(signal, 0, 1)[0]
    return 10 * np.log10(power / power.max()) + REFERENCE_DB


def threshold(signal: np.ndarray) -> np.ndarray:
    return masking_threshold(10 ** (levels(signal) / 10), BARKS, QUIET)


# -- The scales --------------------------------------------------------------------------------------------------------


def test_bark_runs_over_the_critical_bands():
    """Zwicker's table: band edges 100, 510, 1000 (920–1080 is band 9), 4400 and 15500 Hz."""
    assert bark(np.array([0.0]))[0] == 0.0
    assert np.allclose(bark(np.array([100.0, 510.0, 1080.0, 4400.0, 15500.0])), [1, 5, 9, 18, 24], atol=0.3)
    assert (np.diff(BARKS) > 0).all()


def test_quiet_is_lowest_where_ears_are_best():
    assert 3000 < HZ[QUIET.argmin()] < 4000
    assert QUIET.min() == pytest.approx(3.64 * 3.45**-0.8 - 6.5 + 1e-3 * 3.45**4 - 12, abs=0.3)
    assert threshold_in_quiet(np.array([1000.0]))[0] == pytest.approx(3.64 - 6.5 * np.exp(-0.6 * 2.3**2) + 0.001 - 12)


def test_every_rate_has_finite_thresholds():
    for rate in (8000, 44100, 192000):
        hz = np.arange(WINDOW // 2 + 1) * rate / WINDOW
        quiet = threshold_in_quiet(hz)
        assert np.isfinite(quiet).all()
        assert np.isfinite(masking_threshold(np.ones(len(hz)), bark(hz), quiet)).all()


# -- The spectrum ------------------------------------------------------------------------------------------------------


def test_the_window_gain_is_that_of_the_mpeg_convention():
    """√(8/3)·Hann/N: a full-scale sine in the middle of a bin has the power 8/3 · (1/4)² = 1/6, and white noise of power 1
    has 8/3 · (3/8) / N = 1/N in every bin."""
    assert power_spectra(tone(centre(1000), 0.0), 0, 1).max() == pytest.approx(1 / 6, rel=1e-3)
    white = np.random.default_rng(0).standard_normal(200 * HOP + WINDOW)
    assert power_spectra(white, 0, 200)[:, 1:-1].mean() == pytest.approx(1 / WINDOW, rel=0.02)


@pytest.mark.parametrize("frames", [1, WINDOW - 1, WINDOW, WINDOW + 1, WINDOW + HOP, 10_000])
def test_every_sample_lies_in_a_frame(frames):
    count = frame_count(frames)
    assert (count - 1) * HOP + WINDOW >= frames
    assert count == 1 or (count - 2) * HOP + WINDOW < frames
    assert power_spectra(np.ones(frames), 0, count).shape == (count, WINDOW // 2 + 1)


def test_blocks_of_frames_join():
    signal = np.random.default_rng(0).standard_normal(20_000)
    count = frame_count(20_000)
    whole = power_spectra(signal, 0, count)
    assert np.array_equal(np.concatenate([power_spectra(signal, 0, 7), power_spectra(signal, 7, count)]), whole)


# -- The threshold -----------------------------------------------------------------------------------------------------


def test_the_loudest_bin_is_at_playback_level():
    assert levels(tone(centre(1000), -60.0)).max() == REFERENCE_DB


def test_a_tone_masks_itself_by_what_the_model_says():
    """At the masker P − 6.025 − 0.275 Bark, P being the power of the peak and its two neighbours: 1 + 1/4 + 1/4 of a Hann."""
    hz = centre(1000)
    expected = REFERENCE_DB + 10 * np.log10(1.5) - 6.025 - 0.275 * bark(np.array([hz]))[0]
    assert threshold(tone(hz, 0.0))[bin_of(hz)] == pytest.approx(expected, abs=0.05)


def test_it_falls_by_27_db_a_bark_below_and_slower_above():
    hz = centre(2000)
    theta, peak = threshold(tone(hz, 0.0)), bin_of(hz)
    masker = REFERENCE_DB + 10 * np.log10(1.5)
    for offset, slope in ((-1.0, 27.0), (1.0, -27.0 + 0.37 * (masker - 40.0))):
        there = np.abs(BARKS - BARKS[peak] - offset).argmin()
        distance = BARKS[there] - BARKS[peak]
        assert theta[there] - theta[peak] == pytest.approx(slope * distance, abs=0.1)
    assert theta[peak + 60] > theta[peak - 60]


def test_silence_masks_nothing():
    assert np.allclose(masking_threshold(np.zeros(len(HZ)), BARKS, QUIET), QUIET)
    assert np.allclose(masking_threshold(np.full(len(HZ), 1e-20), BARKS, QUIET), QUIET)


def test_peaks_below_hearing_mask_nothing():
    power = np.full(len(HZ), 1e-12)
    power[bin_of(50)] = 10 ** ((QUIET[bin_of(50)] - 3.0) / 10)
    assert np.allclose(masking_threshold(power, BARKS, QUIET), QUIET)


def test_of_peaks_within_half_a_bark_the_strongest_masks():
    power = np.full(len(HZ), 1e-12)
    strong, weak = bin_of(2000), bin_of(2000) + 4
    assert BARKS[weak] - BARKS[strong] < 0.5
    power[strong] = 1e8
    alone = masking_threshold(power, BARKS, QUIET)
    power[weak] = 0.99e8
    assert np.array_equal(masking_threshold(power, BARKS, QUIET), alone)
    far = bin_of(6000)
    power[far] = 1e7
    assert masking_threshold(power, BARKS, QUIET)[far] > alone[far] + 20.0


# -- The excess --------------------------------------------------------------------------------------------------------


def test_a_loud_tone_hides_its_neighbour_but_no_far_one():
    loud = tone(centre(1000), -6.0)
    near, far = tone(centre(1040), -46.0), tone(centre(6000), -46.0)
    assert (near**2).sum() == pytest.approx((far**2).sum(), rel=1e-3)
    assert masking_excess(loud, near, RATE) == (0.0, 0.0)
    excess, share = masking_excess(loud, far, RATE)
    # 40 dB under the loudest bin, in quiet: 56 dB at 6 kHz, where hearing begins at about −9 dB
    assert excess > 20.0
    assert 0 < share < 0.02


def test_a_near_tone_is_heard_when_it_is_louder_than_the_threshold():
    loud, hz = tone(centre(1000), -6.0), centre(1040)
    room = levels(loud).max() - threshold(loud)[bin_of(hz)]
    assert masking_excess(loud, tone(hz, -6.0 - room - 1.0), RATE)[1] == 0.0
    excess, _ = masking_excess(loud, tone(hz, -6.0 - room + 2.0), RATE)
    assert 0.0 < excess <= 2.1


def test_masker_and_perturbation_are_measured_alike():
    """A perturbation that is the masker itself, brought just under its own threshold, is masked; just over, it is not."""
    hz = centre(1500)
    x = tone(hz, -10.0)
    below = levels(x).max() - threshold(x)[bin_of(hz)]
    assert masking_excess(x, x * 10 ** (-(below + 0.5) / 20), RATE)[1] == 0.0
    excess, _ = masking_excess(x, x * 10 ** (-(below - 0.5) / 20), RATE)
    assert excess == pytest.approx(0.5, abs=0.1)


def test_more_noise_is_heard_in_more_places():
    rng = np.random.default_rng(0)
    x = sum(tone(hz, -20.0) for hz in (220, 440, 880, 1760, 3520))
    white = rng.standard_normal(len(x)) * np.sqrt((x**2).mean())
    readings = [masking_excess(x, white * 10 ** (-snr / 20), RATE) for snr in (60, 40, 20, 0)]
    shares = [share for _, share in readings]
    assert shares == sorted(shares)
    assert shares[-1] > 1.5 * shares[0]
    assert readings[-1][0] > readings[0][0] + 10.0


def test_the_playback_level_is_the_masker_s_not_the_file_s():
    x, d = tone(1000, -10.0), tone(4000, -60.0)
    assert masking_excess(x / 50, d / 50, RATE) == pytest.approx(masking_excess(x, d, RATE), rel=1e-6)


def test_silence_has_no_reading_and_no_perturbation_no_excess():
    x = tone(1000, -10.0)
    assert masking_excess(np.zeros(5000), x[:5000], RATE) == (None, None)
    assert masking_excess(x, np.zeros_like(x), RATE) == (0.0, 0.0)
    assert masking_excess(x[:100], 0.1 * x[:100], RATE)[1] is not None  # shorter than a frame


def test_noise_in_a_pause_is_heard():
    x = np.concatenate([tone(centre(1000), -6.0), np.zeros(20 * HOP)])
    hiss = 1e-3 * np.random.default_rng(0).standard_normal(len(x))
    during = np.where(np.arange(len(x)) < 15 * HOP, hiss, 0.0)
    after = np.where(np.arange(len(x)) >= len(x) - 15 * HOP, hiss, 0.0)
    assert masking_excess(x, after, RATE)[1] > 1.1 * masking_excess(x, during, RATE)[1]
