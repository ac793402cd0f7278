"""Display spectrograms: levels, pyramid, pictures, scales, outlines; against definitions written out plainly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirguard.analysis import peaks, spectrogram
from mirguard.analysis.scales import SCALES, nice_step, nice_time_step, scale
from mirguard.analysis.spectrogram import (
    CEILING_DB,
    FLOOR_DB,
    STEP_DB,
    Spectrogram,
    SpectrogramSettings,
    code_of,
    compute,
    decibels,
    map_columns,
    map_rows,
    plan,
    row_edges,
    suggest_gain,
)
from mirguard.errors import Cancelled, UsageError

RATE = 22_050


def sine(hz: float, seconds: float = 1.0, level: float = 1.0, rate: int = RATE) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def white(frames: int, level: float = 0.1, seed: int = 0) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(frames)).astype(np.float32)


def plainly(samples: np.ndarray, window: int, hop: int) -> np.ndarray:
    """Level 0 by the definition, one column and one sum at a time, in double precision: dB (bins, columns)."""
    n = np.arange(window)
    taper = np.sin(np.pi * n / window) ** 2
    basis = np.exp(-2j * np.pi * np.outer(np.arange(window // 2 + 1), n) / window)
    padded = np.concatenate([np.zeros(window), samples.astype(float), np.zeros(2 * window)])
    columns = []
    for column in range(int(np.ceil(len(samples) / hop))):
        centre = column * hop + hop // 2
        frame = padded[window + centre - window // 2 : window + centre + window // 2] * taper
        amplitude = np.abs(basis @ frame) / taper.sum()
        amplitude[1:-1] *= 2
        columns.append(20 * np.log10(np.maximum(amplitude, 1e-12)))
    return np.array(columns).T


# -- Levels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [22_050, 44_100])
@pytest.mark.parametrize("level_db", [0.0, -6.0, -20.0, -60.0, -100.0])
def test_a_sine_reads_its_level(rate, level_db):
    window = SpectrogramSettings().window_at(rate)
    hz = 50 * rate / window  # the centre of bin 50
    made = compute(sine(hz, 1.0, 10 ** (level_db / 20), rate), rate)
    assert made.at(0.5, hz) == pytest.approx(level_db, abs=STEP_DB / 2 + 0.01)
    assert int(made.levels[0][:, made.levels[0].shape[1] // 2].argmax()) == 50


def test_a_sine_between_two_bins_reads_hanns_scalloping_loss_less():
    hz = 50.5 * RATE / 1024
    assert compute(sine(hz), RATE).at(0.5, hz) == pytest.approx(-1.42, abs=STEP_DB / 2 + 0.01)


def test_constant_and_alternating_samples_read_full_scale():
    ones = np.ones(RATE, np.float32)
    assert compute(ones, RATE).at(0.5, 0.0) == pytest.approx(0.0, abs=STEP_DB / 2)
    flips = ones * (-1.0) ** np.arange(RATE)
    assert compute(flips.astype(np.float32), RATE).at(0.5, RATE / 2) == pytest.approx(0.0, abs=STEP_DB / 2)


def test_power_is_kept():
    """Parseval: a column's summed power is the signal's, by the window's own equivalent noise bandwidth (1.5 bins)."""
    level = 0.1
    made = compute(white(4 * RATE, level), RATE)
    power = 10 ** (decibels(made.levels[0][1:-1].astype(float)) / 10)
    # A bin's reading is peak amplitude squared, twice the mean square.
    mean_square = power.sum(axis=0).mean() / 2 / 1.5
    assert 10 * np.log10(mean_square / level**2) == pytest.approx(0.0, abs=0.15)


def test_silence_is_the_floor_and_codes_are_what_they_say():
    made = compute(np.zeros(5000, np.float32), RATE)
    assert not made.levels[0].any()
    assert made.at(0.1, 1000) == FLOOR_DB == decibels(0)
    assert decibels(255) == pytest.approx(CEILING_DB)
    assert code_of(0.0) == pytest.approx(245)


@pytest.mark.parametrize("frames", [1, 700, 5000, 23_456])
def test_level_0_is_the_definition(frames):
    samples = white(frames, 0.2) + sine(700, frames / RATE)[:frames]
    made = compute(samples, RATE, SpectrogramSettings(window=256))
    wanted = plainly(samples, 256, made.hop)
    assert made.levels[0].shape == wanted.shape
    audible = wanted > -100  # below, single precision has its own floor
    assert np.abs(decibels(made.levels[0]) - wanted)[audible].max() <= STEP_DB / 2 + 0.02


def test_blocks_do_not_show(monkeypatch):
    samples = white(30_000)
    whole = compute(samples, RATE)
    monkeypatch.setattr(spectrogram, "BLOCK_BYTES", 5 * 4 * 1024)
    for blocked, level in zip(compute(samples, RATE).levels, whole.levels, strict=True):
        np.testing.assert_array_equal(blocked, level)


@pytest.mark.parametrize("frames", [2048 * 16 + 5, 100_000, 333_333])
def test_the_pyramid_is_the_maximum(frames):
    made = compute(white(frames), RATE, SpectrogramSettings(window=128))
    base = made.levels[0]
    assert len(made.levels) > 2
    assert made.levels[-1].shape[1] <= spectrogram.SMALLEST_LEVEL
    for depth, level in enumerate(made.levels):
        span = 2**depth
        assert level.shape[1] == -(-base.shape[1] // span)
        for column in (0, 1, level.shape[1] // 2, level.shape[1] - 2, level.shape[1] - 1):
            np.testing.assert_array_equal(level[:, column], base[:, column * span : (column + 1) * span].max(axis=1))


def test_a_long_sound_has_bounded_columns_and_misses_no_click(monkeypatch):
    monkeypatch.setattr(spectrogram, "MAX_COLUMNS", 100)
    samples = np.zeros(200_000, np.float32)
    clicks = np.arange(777, 200_000, 9_973)
    samples[clicks] = 1.0
    made = compute(samples, RATE)
    assert made.pool > 1
    assert made.levels[0].shape[1] <= 100
    # A click in the worst place between two windows half a window apart still has Hann's 0.5.
    least = 20 * np.log10(0.5 * 2 / 512)
    for click in clicks:
        assert made.at(click / RATE, 5000) >= least - STEP_DB


def test_hops_and_windows_follow_rate_and_length():
    assert SpectrogramSettings().window_at(44_100) == SpectrogramSettings().window_at(32_000) == 2048
    assert SpectrogramSettings().window_at(22_050) == 1024
    assert SpectrogramSettings(window=512).window_at(96_000) == 512
    assert plan(30 * 22_050, 1024) == (256, 1)
    assert plan(3 * 22_050, 1024) == (64, 1)
    hop, pool = plan(3600 * 192_000, 2048)
    assert 3600 * 192_000 / hop <= spectrogram.MAX_COLUMNS
    assert hop / pool <= 1024


def test_cancelling_stops_between_blocks_and_progress_ends_at_one():
    asked = []

    def cancelled():
        asked.append(True)
        return len(asked) == 3

    with pytest.raises(Cancelled):
        compute(white(20 * RATE), RATE, cancelled=cancelled)
    assert len(asked) == 3
    told = []
    compute(white(20 * RATE), RATE, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) > 3


@pytest.mark.parametrize(("start", "stop"), [(0, 100), (40_000, 46_000), (99_000, 100_000), (0, 100_000), (500, 500)])
def test_an_update_is_a_new_computation(start, stop):
    before = white(100_000)
    after = before.copy()
    after[start:stop] = white(100_000, seed=1)[start:stop]
    first = compute(before, RATE)
    kept = [level.copy() for level in first.levels]
    updated = first.updated(after, start, stop)
    for got, wanted in zip(updated.levels, compute(after, RATE).levels, strict=True):
        np.testing.assert_array_equal(got, wanted)
    for got, wanted in zip(first.levels, kept, strict=True):  # the old one may still be on screen
        np.testing.assert_array_equal(got, wanted)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="mono"):
        compute(np.zeros((2, 100)), RATE)
    with pytest.raises(ValueError, match="cannot update"):
        compute(white(1000), RATE).updated(white(1001), 0, 10)
    for wrong in ({"window": 1000}, {"window": 32}, {"scale": "bark"}, {"colours": "jet"}, {"floor_db": 0.0}):
        with pytest.raises(UsageError):
            SpectrogramSettings(**wrong)


def test_a_spectrogram_cannot_be_changed():
    made = compute(white(1000), RATE)
    with pytest.raises(ValueError, match="read-only"):
        made.levels[0][0, 0] = 1


def test_the_suggested_gain_makes_a_quiet_perturbation_visible():
    original = compute(white(RATE, 0.1), RATE)
    assert suggest_gain(original, compute(white(RATE, 0.1 * 10 ** (-60 / 20), 1), RATE)) in (40.0, 50.0)
    assert suggest_gain(original, compute(white(RATE, 0.1, 1), RATE)) == 0.0
    assert suggest_gain(original, compute(np.zeros(RATE, np.float32), RATE)) == 0.0
    assert suggest_gain(None, original) >= 0.0


# -- Pictures ----------------------------------------------------------------------------------------------------------


def counted(bins: int, columns: int, rate: int = 1000) -> Spectrogram:
    """A spectrogram of random codes with the pyramid that belongs to them."""
    levels = [np.random.default_rng(bins).integers(0, 256, (bins, columns), dtype=np.uint8)]
    while levels[-1].shape[1] > 8:
        below = levels[-1]
        below = np.concatenate([below, below[:, -1:]], axis=1) if below.shape[1] % 2 else below
        levels.append(np.maximum(below[:, ::2], below[:, 1::2]))
    return Spectrogram(tuple(levels), rate, columns * 10, 2 * (bins - 1), 10)


def test_a_slice_is_of_the_right_level_and_says_where_it_lies():
    made = counted(9, 1000)  # 100 columns a second, 10 s
    part = made.slice(0.0, 10.0, 100)
    assert part.level == 3  # 125 columns for 100 pixels; level 4 has only 63
    assert (part.start, part.stop) == (0.0, pytest.approx(10.0))
    part = made.slice(2.013, 2.5, 100)
    assert part.level == 0
    assert part.start == pytest.approx(2.01)
    assert part.stop == pytest.approx(2.50)
    np.testing.assert_array_equal(part.codes, made.levels[0][:, 201:250])
    assert made.slice(-5, 50, 10_000).codes.shape[1] == 1000
    assert made.slice(11, 12, 10).codes.shape[1] == 1


@given(
    start=st.floats(0, 8),
    length=st.floats(0.5, 10),
    width=st.integers(5, 60),
    height=st.integers(3, 40),
)
def test_a_zoomed_out_picture_shows_the_loudest_of_what_a_pixel_covers(start, length, width, height):
    made = counted(129, 1000)
    stop = min(start + length, 10.0)
    if (stop - start) / width < 0.01:
        return
    picture = made.render(start, stop, width, 0.0, 500.0, height, "linear")
    base, tall = made.levels[0], 128 / height
    for x in (0, width // 2, width - 1):
        left, right = start + x * (stop - start) / width, start + (x + 1) * (stop - start) / width
        for y in (0, height // 2, height - 1):
            low, high = y * tall, (y + 1) * tall
            sure = base[
                int(np.ceil(low)) : int(np.floor(high)) + 1,
                int(np.ceil(left / 0.01 - 1e-9)) : int(np.floor(right / 0.01 + 1e-9)),
            ]
            seconds = 0.01 * 2 ** made.slice(start, stop, width).level
            wide = base[
                max(0, int(low) - 1) : int(high) + 3,
                max(0, int((left - seconds) / 0.01) - 1) : int((right + seconds) / 0.01) + 2,
            ]
            assert sure.max(initial=0) <= picture[y, x] <= wide.max()


def test_a_pixel_of_exactly_one_bin_and_column_is_that_cell():
    made = counted(65, 100)
    picture = made.render(0.0, 1.0, 100, 0.0, 65 * made.bin_hz - made.bin_hz, 64, "linear")
    # Rows between bin edges k and k + 1 have their centre half-way between two bins.
    halves = (made.levels[0][:-1].astype(int) + made.levels[0][1:] + 1) // 2
    np.testing.assert_array_equal(picture, halves)
    shifted = map_rows(made.levels[0], 1.0, np.arange(66) - 0.5)
    np.testing.assert_array_equal(shifted, made.levels[0])


def test_zooming_in_interpolates_in_time():
    codes = np.array([[0, 100, 200]], np.uint8)
    np.testing.assert_array_equal(map_columns(codes, np.linspace(0.5, 2.5, 9)), [[13, 38, 63, 88, 113, 138, 163, 188]])


def test_outside_the_sound_and_above_half_its_rate_is_nothing():
    made = counted(65, 100)
    made = Spectrogram(tuple(np.maximum(level, 1) for level in made.levels), made.rate, made.frames, made.window, 10)
    picture = made.render(-1.0, 3.0, 40, 0.0, 1000.0, 20, "linear")
    assert picture[:10, 10:20].all()
    assert not picture[11:].any()
    assert not picture[:, :10].any()
    assert not picture[:, 20:].any()
    assert made.at(-0.1, 100) is None
    assert made.at(1.2, 100) is None
    assert made.at(0.5, 600) is None


@pytest.mark.parametrize("name", SCALES)
def test_a_tone_stands_in_its_row_on_every_scale(name):
    height = 300
    for hz in (90.0, 440.0, 3000.0, 9000.0):
        made = compute(sine(hz), RATE)
        low, high = max(SCALES[name].lowest, 0.0), RATE / 2
        picture = made.render(0.2, 0.8, 50, low, high, height, name)
        brightest = np.flatnonzero(picture[:, 25] == picture[:, 25].max())
        edges = row_edges(scale(name), low, high, height)
        assert edges[brightest[0]] - made.bin_hz <= hz <= edges[brightest[-1] + 1] + made.bin_hz


@pytest.mark.parametrize("name", SCALES)
def test_scales_rise_and_invert(name):
    hz = np.geomspace(31, 20_000, 50)
    values = SCALES[name].forward(hz)
    assert (np.diff(values) > 0).all()
    np.testing.assert_allclose(SCALES[name].inverse(values), hz, rtol=1e-9)


def test_mel_is_oshaughnessys():
    assert float(SCALES["mel"].forward(1000.0)) == pytest.approx(1000.0, abs=0.02)
    assert float(SCALES["mel"].forward(700.0)) == pytest.approx(2595 * np.log10(2))
    with pytest.raises(UsageError, match="bark"):
        scale("bark")


@given(
    name=st.sampled_from(sorted(SCALES)),
    low=st.floats(0, 5000),
    width=st.floats(20, 20_000),
    most=st.integers(2, 20),
)
def test_ticks_are_inside_apart_and_never_too_many(name, low, width, most):
    axis = SCALES[name]
    low = max(low, axis.lowest)  # as a view's is
    high = low + width
    major, _ = axis.ticks(low, high, most)
    assert all(low - 1e-6 <= hz <= high + 1e-6 for hz in major)
    assert len(major) <= 2 * most + 2
    if len(major) > 1:
        places = np.asarray(axis.forward(np.array(major)))
        extent = float(axis.forward(high)) - float(axis.forward(low))
        assert np.diff(places).min() >= 0.4 * extent / most


def test_nice_steps():
    assert [nice_step(rough) for rough in (0.3, 1.0, 1.1, 3, 7, 0)] == [0.5, 1, 2, 5, 10, 1]
    assert [nice_time_step(rough) for rough in (0.03, 1, 7, 12, 50, 70, 4000)] == [0.05, 1, 10, 15, 60, 120, 7200]


# -- Outlines ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 7, 100, 12_345])
@pytest.mark.parametrize("bins", [1, 10, 100])
def test_an_outline_holds_the_extremes(frames, bins, monkeypatch):
    monkeypatch.setattr(peaks, "BLOCK", 1000)
    samples = np.stack([white(frames), white(frames, 0.3, 1)])
    outline = peaks.compute(samples, 100, bins)
    count = min(bins, frames)
    for index in range(count):
        part = samples[:, index * frames // count : (index + 1) * frames // count]
        assert outline.low[index] == part.min()
        assert outline.high[index] == part.max()
    assert outline.duration == frames / 100
    low, high = outline.fitted(5)
    assert len(low) == len(high) == 5
    assert low.min() == samples.min() or count > 5
    if count >= 5:
        assert low.min() == samples.min()
        assert high.max() == samples.max()


def test_an_outline_can_be_cancelled():
    with pytest.raises(Cancelled):
        peaks.compute(white(1000), 100, cancelled=lambda: True)
