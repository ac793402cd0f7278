"""The one SNR, against the wrong formulas of the literature, and the other measures beside it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirguard.analysis.measures import TRIM, compare, power_ratio_db, segmental_snr_db, snr_db
from mirguard.clip import Clip
from mirguard.errors import UsageError

RATE = 16000


def music(seconds: float = 2.0, channels: int = 1) -> np.ndarray:
    """Decaying notes `(channels, n)`: loud and quiet stretches, DC-free."""
    n = int(seconds * RATE)
    time = np.arange(n) / RATE
    notes = [np.sin(2 * np.pi * f * time + k) * np.exp(-3 * (time % 0.5)) for k, f in enumerate((220, 330, 440))]
    return np.stack([0.3 * np.roll(sum(notes), 100 * c) * 0.8**c for c in range(channels)])


def noise(like: np.ndarray, snr: float, seed: int = 0) -> np.ndarray:
    """White noise without DC, scaled so that Σx²/Σδ² is exactly `snr` dB."""
    draw = np.random.default_rng(seed).standard_normal(like.shape)
    draw -= draw.mean()
    return draw * math.sqrt((like**2).sum() / (draw**2).sum() * 10 ** (-snr / 10))


# What papers and their code have called SNR (Subramanian; Koerich; Abdoli; Carlini & Wagner), as functions of x and x̂.
WRONG = {
    "the mean of δ is squared": lambda x, y: 10 * math.log10((x**2).mean() / (y - x).mean() ** 2),
    "difference of the RMS": lambda x, y: (
        20 * math.log10(math.sqrt((x**2).mean()) / abs(math.sqrt((x**2).mean()) - math.sqrt((y**2).mean())))
    ),
    "signal mapped to [0, 1]": lambda x, y: (
        20 * math.log10(math.sqrt((((x + 1) / 2) ** 2).mean()) / math.sqrt((((y - x) / 2) ** 2).mean()))
    ),
    "ratio of the peaks": lambda x, y: 20 * math.log10(np.abs(x).max() / np.abs(y - x).max()),
}


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("snr", [-10.0, 0.0, 20.0, 40.0, 60.0])
def test_a_perturbation_scaled_to_a_ratio_reads_as_that_ratio(snr, channels):
    x = music(channels=channels)
    assert snr_db(x, x + noise(x, snr)) == pytest.approx(snr, abs=0.01)


def test_it_reads_so_from_clips_in_single_precision():
    x = music()
    original, processed = Clip(x, RATE), Clip(x + noise(x, 20.0), RATE)
    assert compare(original, processed)["snr_db"] == pytest.approx(20.0, abs=0.01)


@pytest.mark.parametrize("formula", WRONG)
def test_the_wrong_formulas_would_be_noticed(formula):
    """Each is off by decibels on at least one of these perturbations of exactly 20 dB, where ours is right on all."""
    x = music()
    click = np.zeros_like(x)
    click[0, 5000] = math.sqrt((x**2).sum() / 100)
    readings = {snr_db(x, x + d): WRONG[formula](x, x + d) for d in (noise(x, 20.0), click)}
    assert all(ours == pytest.approx(20.0, abs=0.01) for ours in readings)
    assert max(abs(theirs - 20.0) for theirs in readings.values()) > 3.0


def test_noise_without_dc_is_still_noise():
    """Squaring the mean of δ would make it vanish."""
    x = music()
    alternating = np.where(np.arange(x.shape[1]) % 2, 0.01, -0.01)[None]
    assert alternating.sum() == 0.0
    assert snr_db(x, x + alternating) == pytest.approx(10 * math.log10((x**2).mean() / 1e-4), abs=1e-6)


def test_equal_energy_is_not_equality():
    """x̂ = −x has the energy of x; the difference of the RMS would be zero."""
    x = music()
    assert snr_db(x, -x) == pytest.approx(10 * math.log10(1 / 4), abs=1e-6)
    shuffled = np.roll(x, 777, axis=1)
    assert (shuffled**2).sum() == pytest.approx((x**2).sum())
    assert snr_db(x, shuffled) < 5.0


def test_a_single_impulse_counts_by_its_energy():
    """The ratio of peaks would call 0 dB what is one sample in 32,000."""
    x = music()
    click = np.zeros_like(x)
    click[0, 5000] = np.abs(x).max()
    assert snr_db(x, x + click) == pytest.approx(10 * math.log10((x**2).sum() / np.abs(x).max() ** 2), abs=1e-6)
    assert compare(Clip(x, RATE), Clip(x + click, RATE))["dbx_db"] == pytest.approx(0.0, abs=1e-5)


def test_an_offset_of_the_signal_is_part_of_it_and_changes_nothing_of_the_noise():
    x = music()
    d = noise(x, 30.0)
    assert snr_db(x + 0.5, x + 0.5 + d) == pytest.approx(
        10 * math.log10(((x + 0.5) ** 2).sum() / (d**2).sum()), abs=1e-6
    )


@given(gain=st.floats(1e-3, 0.9), snr=st.floats(-20, 80))
def test_the_level_of_both_does_not_matter(gain, snr):
    x = music(0.2)
    y = x + noise(x, snr)
    assert snr_db(gain * x, gain * y) == pytest.approx(snr, abs=0.01)


def test_all_channels_count_as_one_sound():
    """A perturbation of one channel only is measured against the energy of both."""
    x = music(channels=2)
    d = np.zeros_like(x)
    d[1] = noise(x, 20.0)[1]
    assert snr_db(x, x + d) == pytest.approx(10 * math.log10((x**2).sum() / (d**2).sum()), abs=1e-9)


def test_silence_has_no_ratio_and_no_change_an_infinite_one():
    x = music(0.1)
    assert snr_db(np.zeros_like(x), x) is None
    assert snr_db(np.zeros_like(x), np.zeros_like(x)) is None
    assert snr_db(x, x) == math.inf
    assert power_ratio_db(1.0, 0.1) == pytest.approx(10.0)


# -- Its variants ------------------------------------------------------------------------------------------------------


def test_the_trimmed_ratio_leaves_out_the_ends_and_nothing_else():
    assert TRIM == 2048  # as in the papers that use it
    x = music()
    d = np.zeros_like(x)
    d[:, :TRIM] = d[:, -TRIM:] = 0.1
    figures = compare(Clip(x, RATE), Clip(x + d, RATE))
    assert figures["snr_trimmed_db"] == math.inf
    assert figures["snr_db"] < 30.0
    d[:, TRIM] = 0.1
    inner = x[:, TRIM:-TRIM].astype(np.float32)
    trimmed = compare(Clip(x, RATE), Clip(x + d, RATE))["snr_trimmed_db"]
    assert trimmed == pytest.approx(10 * math.log10((inner**2).sum() / 0.01), abs=0.01)


def test_a_clip_that_trimming_would_use_up_has_no_trimmed_ratio():
    for frames, has in ((2 * TRIM, False), (2 * TRIM + 1, True)):
        x = np.full((1, frames), 0.5)
        assert (compare(Clip(x, RATE), Clip(x * 0.9, RATE))["snr_trimmed_db"] is not None) is has


def test_the_segmental_ratio_is_a_mean_of_frames_within_limits():
    """Four frames at 10, 20, 60 and −40 dB, the latter two clamped to 35 and −10."""
    size = RATE // 40
    x = np.ones((1, 4 * size))
    d = np.concatenate([np.full(size, 10 ** (-snr / 20)) for snr in (10, 20, 60, -40)])[None]
    assert segmental_snr_db(x, d, RATE) == pytest.approx((10 + 20 + 35 - 10) / 4, abs=1e-6)


def test_silent_frames_do_not_count():
    size = RATE // 40
    x = np.concatenate([np.zeros(3 * size), np.ones(size)])[None]
    assert segmental_snr_db(x, np.full_like(x, 0.1), RATE) == pytest.approx(20.0, abs=1e-6)
    assert segmental_snr_db(np.zeros_like(x), x, RATE) is None


def test_frames_without_noise_are_at_the_upper_limit():
    x = music(0.5).astype(np.float32)
    assert segmental_snr_db(x, np.zeros_like(x), RATE) == 35.0


def test_the_segmental_ratio_tells_noise_in_pauses_from_noise_under_the_music():
    """Equal SNR, but the noise that follows the level is heard less."""
    x = music()
    steady = noise(x, 30.0)
    following = steady * np.abs(x) / np.sqrt((x**2).mean())
    following *= math.sqrt((steady**2).sum() / (following**2).sum())
    assert segmental_snr_db(x, following, RATE) > segmental_snr_db(x, steady, RATE) + 1.0


def test_the_other_figures():
    x = np.full((2, 5000), 0.5)
    d = np.zeros_like(x)
    d[0, 10], d[1, 20] = 0.03, -0.04
    figures = compare(Clip(x, RATE), Clip(x + d, RATE))
    assert figures["l2"] == pytest.approx(0.05, rel=1e-5)
    assert figures["rms"] == pytest.approx(0.05 / math.sqrt(10_000), rel=1e-5)
    assert figures["linf"] == pytest.approx(0.04, rel=1e-5)
    assert figures["dbx_db"] == pytest.approx(20 * math.log10(0.04 / 0.5), abs=1e-4)


def test_every_figure_is_a_number_or_none():
    """Of equal clips, of silence, of the shortest clip there is."""
    silent, one = Clip(np.zeros((1, 3000)), RATE), Clip(np.full((1, 1), 0.5), RATE)
    loud = Clip(music(0.5), RATE)
    equal = compare(loud, loud)
    assert equal["snr_db"] == math.inf
    assert (equal["l2"], equal["linf"], equal["dbx_db"], equal["masking_share"]) == (0.0, 0.0, None, 0.0)
    from_silence = compare(silent, Clip(np.full((1, 3000), 0.1), RATE))
    assert {name for name, value in from_silence.items() if value is not None} == {"l2", "rms", "linf"}
    assert compare(one, Clip(np.full((1, 1), 0.25), RATE))["snr_db"] == pytest.approx(20 * math.log10(2))
    for figures in (equal, from_silence):
        assert all(value is None or isinstance(value, float) for value in figures.values())


def test_sounds_that_do_not_belong_together_are_refused():
    x = music(0.1)
    with pytest.raises(UsageError, match="16000 and 8000 Hz"):
        compare(Clip(x, RATE), Clip(x, 8000))
    with pytest.raises(UsageError, match="shape"):
        compare(Clip(x, RATE), Clip(x[:, 1:], RATE))
    with pytest.raises(UsageError, match="shape"):
        compare(Clip(x, RATE), Clip(np.vstack([x, x]), RATE))
