"""The player plays exactly what it was given, and every change is without a gap or a click."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import tracemalloc
import weakref

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from listening import Device, fade, largest_step, listen

from mirguard.errors import UsageError
from mirguard.playback import levels
from mirguard.playback.downmix import LAYOUTS, routes
from mirguard.playback.levels import KNEE, limit, suggest_gain_db
from mirguard.playback.player import Player
from mirguard.playback.renderer import PIECE, RECORDS, Renderer, Wanted, fade_in
from mirguard.playback.sinks import NullSink
from mirguard.playback.sources import Difference, Resampled, Sound

RATE = 8000
FADED = fade(RATE)
STEEPEST = np.pi / 2 / FADED  # the largest change of a fade's weight from frame to frame


def noise(channels: int = 2, frames: int = 4000, level: float = 0.2, seed: int = 0) -> np.ndarray:
    return np.clip(level * np.random.default_rng(seed).standard_normal((channels, frames)), -1, 1).astype(np.float32)


def hum(frequency: float, frames: int = 4000, level: float = 0.5, channels: int = 2, phase: float = 0.0) -> np.ndarray:
    """A low tone that swells up from silence and dies down into it: none of its steps is large."""
    time = np.arange(frames) / RATE
    edges = np.minimum(1.0, np.minimum(np.arange(frames), np.arange(frames)[::-1]) / 200)
    tones = [np.sin(2 * np.pi * frequency * time + phase + side) for side in range(channels)]
    return (level * edges * np.array(tones)).astype(np.float32)


def wait_until(what) -> None:
    until = time.monotonic() + 20
    while not what():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


# -- Plain playing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 37, 600, 5000])
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_played_is_the_clip_to_the_bit(channels, block):
    clip = noise(channels, frames=3000)
    with listen({"original": clip}) as listener:
        listener.play()
        heard = listener.hear(3500, block)
    assert np.array_equal(heard[:, :3000], np.broadcast_to(clip, (2, 3000)))
    assert not heard[:, 3000:].any()


def test_samples_are_kept_by_reference_and_any_layout_in_memory_will_do():
    clip = noise()
    interleaved = np.ascontiguousarray(clip.T).T
    with listen({"original": clip, "adversarial": interleaved}) as listener:
        listener.play()
        sources = listener.player._transport.output.sources
        assert sources["original"].samples is clip
        assert np.shares_memory(sources["adversarial"].samples, interleaved)
        listener.player.select("adversarial")
        assert np.array_equal(listener.hear(4000), clip)


@pytest.mark.parametrize("channels", sorted(LAYOUTS))
def test_more_than_two_channels_are_mixed_down_within_full_scale(channels):
    for outputs in (1, 2):
        for route in routes(channels, outputs):
            assert sum(share for _, share in route) == pytest.approx(1.0)
            assert all(share > 0 for _, share in route)
    names = LAYOUTS[channels].split()
    left, right = (dict(route) for route in routes(channels, 2))
    for i, name in enumerate(names):
        assert (i in left) == (name in ("L", "C", "Cs", "Ls", "Lb"))
        assert (i in right) == (name in ("R", "C", "Cs", "Rs", "Rb"))
    clip = noise(channels, frames=500)
    with listen({"original": clip}) as listener:
        listener.play()
        heard = listener.hear(500)
    expected = [sum(share * clip[i] for i, share in route.items()) for route in (left, right)]
    np.testing.assert_allclose(heard, expected, atol=1e-6)


def test_a_device_with_one_output_plays_the_mean_of_both_sides():
    clip = noise(2, frames=500)
    with listen({"original": clip}, outputs=1) as listener:
        listener.play()
        heard = listener.hear(500)
    np.testing.assert_allclose(heard, clip.mean(axis=0, keepdims=True), atol=1e-7)


def test_pause_loses_and_repeats_nothing():
    clip = noise(1)
    with listen({"original": clip}) as listener:
        listener.play()
        before = listener.hear(1000)
        listener.player.pause()
        tail = listener.hear(FADED + 300)
        assert not listener.player.playing
        assert listener.player.position == pytest.approx((1000 + FADED) / RATE)
        listener.player.play()
        after = listener.hear(1000)
    assert np.array_equal(before[0], clip[0, :1000])
    assert not tail[:, FADED:].any()
    assert np.array_equal(after[0, FADED:], clip[0, 1000 + 2 * FADED : 2000 + FADED])
    weights = tail[0, :FADED] / clip[0, 1000 : 1000 + FADED]
    assert np.all(np.diff(weights) < 0)
    assert 0 < weights[-1] < 0.01
    assert 0.99 < weights[0] < 1


def test_it_runs_to_the_end_says_so_and_begins_anew():
    clip = noise(1, frames=1000)
    with listen({"original": clip}) as listener:
        player = listener.player
        listener.play()
        listener.hear(999, 999)
        assert player.playing
        assert not player.ended
        listener.hear(10)
        assert not player.playing
        assert player.ended
        assert player.position == player.duration == 1000 / RATE
        player.play()
        assert player.playing
        assert not player.ended
        assert np.array_equal(listener.hear(1000)[0], clip[0])
        assert player.ended
        player.seek(0.05)
        assert not player.ended
        assert not player.playing
        listener.hear(10)
        assert player.position == pytest.approx(0.05)


def test_the_end_is_the_end_when_it_was_heard_not_when_it_was_handed_over():
    with listen({"original": noise(1, frames=1000)}) as listener:
        player = listener.player
        listener.play()
        listener.opened[0].lag = 0.25
        listener.hear(1000 + RATE // 4 - 10)
        assert player.playing
        assert player.position == pytest.approx(990 / RATE)
        listener.hear(20)
        assert player.ended


def test_a_pause_and_a_play_at_once_change_nothing():
    clip = noise(1, frames=1000)
    with listen({"original": clip}) as listener:
        listener.play()
        first = listener.hear(500)
        listener.player.pause()
        listener.player.play()
        second = listener.hear(510)
        assert np.array_equal(np.concatenate([first, second], axis=1)[0, :1000], clip[0])
        assert listener.player.ended


def test_stop_goes_back_to_the_beginning_or_the_loops():
    with listen({"original": noise()}) as listener:
        player = listener.player
        listener.play()
        listener.hear(1000)
        player.stop()
        listener.hear(FADED + 10)
        assert (player.playing, player.position) == (False, 0.0)
        player.loop = (0.2, 0.3)
        player.stop()
        listener.hear(10)
        assert player.position == pytest.approx(0.2)


def test_before_the_device_is_open_the_position_is_where_it_will_begin():
    with Player(opener=lambda *_: pytest.fail("nothing is to be played")) as player:
        assert (player.position, player.duration, player.playing, player.output) == (0.0, 0.0, False, None)
        player.load({"original": noise()}, RATE)
        player.seek(0.1)
        assert player.position == pytest.approx(0.1)
        player.seek(99)
        assert player.position == player.duration
        player.seek(-1)
        assert player.position == 0.0


# -- Changes without a click -------------------------------------------------------------------------------------------


def test_a_switch_keeps_the_position_and_its_fade_is_no_louder_than_the_sounds():
    original = noise(2, level=0.2)
    adversarial = original + noise(2, level=0.002, seed=1)
    with listen({"original": original, "adversarial": adversarial}) as listener:
        listener.play()
        first = listener.hear(1000)
        listener.player.select("adversarial")
        second = listener.hear(1000)
    heard = np.concatenate([first, second], axis=1)
    assert np.array_equal(heard[:, :1000], original[:, :1000])
    assert np.array_equal(heard[:, 1000 + FADED : 2000], adversarial[:, 1000 + FADED : 2000])
    low, high = np.minimum(original, adversarial)[:, :2000], np.maximum(original, adversarial)[:, :2000]
    assert np.all(heard >= low - 1e-6)
    assert np.all(heard <= high + 1e-6)
    bound = max(map(largest_step, (original, adversarial))) + STEEPEST * np.abs(original - adversarial).max()
    assert largest_step(heard) <= bound + 1e-6


def test_a_hot_swap_is_heard_at_once_and_the_old_samples_are_let_go():
    old, new = hum(50.0), hum(70.0)
    freed_in = []
    weakref.finalize(old, lambda: freed_in.append(threading.current_thread().name))
    with listen({"original": noise(), "adversarial": old}) as listener:
        listener.player.select("adversarial")
        listener.play()
        first = listener.hear(1500)
        assert np.array_equal(first, old[:, :1500])
        steps = max(largest_step(old), largest_step(new))
        listener.player.replace("adversarial", new)
        del old
        second = listener.hear(1500)
        assert np.array_equal(second[:, FADED:], new[:, 1500 + FADED : 3000])
        assert largest_step(np.concatenate([first, second], axis=1)) <= steps + STEEPEST
        wait_until(lambda: freed_in)
        assert freed_in == ["mirguard-sound"], "never in the callback, which may not wait for it"


ACTIONS = st.one_of(
    st.tuples(st.just("select"), st.sampled_from(["original", "adversarial", "perturbation"])),
    st.tuples(st.just("seek"), st.floats(-0.1, 0.6)),
    st.tuples(st.just("loop"), st.none() | st.tuples(st.floats(0.0, 0.4), st.floats(0.021, 0.3))),
    st.tuples(st.just("replace"), st.integers(0, 3)),
    st.tuples(st.just("volume"), st.floats(0.0, 1.0)),
    st.tuples(st.just("gain"), st.floats(0.0, 40.0)),
    st.tuples(st.sampled_from(["play", "pause", "stop"]), st.none()),
)


@settings(max_examples=60)
@given(steps=st.lists(st.tuples(ACTIONS, st.integers(0, 700)), min_size=3, max_size=25))
def test_whatever_is_done_while_playing_makes_no_click(steps):
    original = hum(50.0)
    adversarials = [original + hum(90.0, level=0.004, phase=number) for number in range(4)]
    # The perturbation is at most at full scale after its limiter, which adds no step to what the gain makes of it.
    amplitude = 1.0
    own = max(largest_step(original), max(largest_step(a - original) for a in adversarials) * 100)
    # A change may fade between two sounds one of which is in a loop's seam, while the volume moves over twice as long.
    bound = own + 2 * STEEPEST * 2 * amplitude + amplitude / FADED / 2
    assert bound < 0.15
    with listen({"original": original, "adversarial": adversarials[0]}) as listener:
        player = listener.player
        listener.play()
        heard = [listener.hear(50)]
        for (name, value), frames in steps:
            if name == "loop":
                player.loop = None if value is None else (value[0], min(value[0] + value[1], 0.5))
            elif name == "replace":
                player.replace("adversarial", adversarials[value])
            elif name == "volume":
                player.volume = value
            elif name == "gain":
                player.perturbation_gain_db = value
            elif name in ("select", "seek"):
                getattr(player, name)(value)
            else:
                getattr(player, name)()
            heard.append(listener.hear(frames, block=256))
        heard = np.concatenate(heard, axis=1)
        assert largest_step(heard) <= bound
        assert np.abs(heard).max() <= 1.0
        assert 0.0 <= player.position <= player.duration


# -- Loops -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "end"), [(800, 1900), (0, 1100), (0, 4000), (20, 180), (3840, 4000)])
def test_a_loop_has_exactly_its_length_and_no_click_at_its_seam(start, end):
    clip = hum(53.0) if (start, end) != (0, 4000) else hum(53.0, frames=6000)[:, 1000:5000]  # cut in mid-sound
    length = end - start
    with listen({"original": clip}) as listener:
        player = listener.player
        player.loop = (start / RATE, end / RATE)
        assert player.loop == pytest.approx((start / RATE, end / RATE))
        assert player.position == pytest.approx(start / RATE)
        listener.play()
        heard = listener.hear(5 * length, block=333)
        assert player.playing
    body = heard[:, length:].reshape(2, 4, length)
    assert np.array_equal(body[:, 1:], body[:, :-1]), "every pass is the same"
    assert np.array_equal(body[:, 0, : length - FADED], clip[:, start : end - FADED])
    assert largest_step(heard[:, FADED:]) <= largest_step(clip) + STEEPEST * 2 * np.abs(clip).max()
    # At the seam's end the sound is what precedes the loop's start: the next frame follows as it does in the clip.
    assert np.abs(heard[:, length] - heard[:, length - 1]).max() <= 1.1 * largest_step(clip) + 1e-3


def test_a_loop_from_the_beginning_fades_into_its_mirror_image():
    clip = noise(1)
    with listen({"original": clip}) as listener:
        listener.player.loop = (0.0, 0.1)
        listener.play()
        seam = listener.hear(800)[0, -FADED:]
    weights = fade_in(FADED)
    expected = clip[0, 800 - FADED : 800] * (1 - weights) + clip[0, FADED:0:-1] * weights
    np.testing.assert_allclose(seam, expected, atol=1e-6)


def test_a_loop_can_be_entered_left_and_taken_away():
    clip = noise(1)
    with listen({"original": clip}) as listener:
        player = listener.player
        listener.play()
        listener.hear(100)
        player.loop = (0.1, 0.2)  # frames 800 to 1600: the position is outside, so it moves there
        listener.hear(FADED + 1)
        assert 0.1 <= player.position < 0.2
        player.seek(0.05)  # before it: plays into it
        listener.hear(400 + 3000)
        assert 0.1 <= player.position < 0.2
        player.seek(0.4)  # after it: leaves it
        listener.hear(2 * FADED)
        assert player.position == pytest.approx(0.4 + 2 * FADED / RATE)
        player.seek(0.15)
        player.loop = None
        listener.hear(1000)
        assert player.position == pytest.approx(0.15 + 1000 / RATE)


# -- Loudness ----------------------------------------------------------------------------------------------------------


def test_without_one_of_its_own_the_perturbation_is_the_difference():
    original, adversarial = noise(), noise(seed=1)
    with listen({"original": original}) as listener:
        player = listener.player
        assert player.names == ("original",)
        player.replace("adversarial", adversarial)
        assert set(player.names) == {"original", "adversarial", "perturbation"}
        player.select("perturbation")
        listener.play()
        assert np.array_equal(listener.hear(2000), (adversarial - original)[:, :2000])
        player.remove("adversarial")
        assert player.names == ("original",)
        assert player.selected == "original"


def test_a_mono_perturbation_beside_a_stereo_original():
    original, delta = noise(2), noise(1, level=0.001, seed=1)
    with listen({"original": original, "adversarial": original + delta, "perturbation": delta}) as listener:
        listener.player.select("perturbation")
        listener.player.perturbation_gain_db = 20.0
        listener.play()
        heard = listener.hear(2000)
    np.testing.assert_allclose(heard, 10 * np.broadcast_to(delta, (2, 4000))[:, :2000], rtol=1e-6)


def test_only_the_perturbation_gets_its_gain():
    clip = noise()
    with listen({"original": clip, "perturbation": clip * np.float32(0.01)}) as listener:
        listener.player.perturbation_gain_db = 30.0
        listener.play()
        assert np.array_equal(listener.hear(1000), clip[:, :1000])


def test_no_gain_takes_it_beyond_full_scale_and_the_player_says_when_it_is_limited():
    delta = noise(1, level=0.01)
    with listen({"original": noise(1), "perturbation": delta}) as listener:
        player = listener.player
        player.select("perturbation")
        player.perturbation_gain_db = levels.MAX_GAIN_DB
        listener.play()
        heard = listener.hear(2000)
        assert np.abs(heard).max() <= 1.0
        assert np.abs(heard).max() > 0.99
        assert player.limiting
        player.perturbation_gain_db = 0.0
        player.loop = (0.1, 0.4)
        listener.hear(RATE)
        assert not player.limiting


def test_the_limiter_is_transparent_below_its_knee_and_adds_no_step():
    ramp = np.linspace(-20, 20, 40001, dtype=np.float32)
    bent, scratch = ramp.copy(), np.empty_like(ramp)
    assert limit(bent, scratch)
    inside = np.abs(ramp) <= KNEE
    assert np.array_equal(bent[inside], ramp[inside])
    steps = np.diff(bent)
    assert steps.min() >= -1e-7
    assert steps.max() <= 1e-3 + 2e-6
    assert np.abs(bent).max() <= 1.0
    np.testing.assert_allclose(bent, -bent[::-1], atol=1e-6)
    quiet = ramp[inside].copy()
    assert not limit(quiet, np.empty_like(quiet))
    assert np.array_equal(quiet, ramp[inside])


def test_the_suggested_gain_makes_the_perturbation_as_loud_as_the_original():
    original, delta = noise(2, level=0.1), noise(2, level=0.001, seed=1)
    with listen({"original": original, "adversarial": original + delta}) as listener:
        gain = listener.player.suggest_perturbation_gain_db()
    assert 0 <= 20 * np.log10(original.std() / delta.std()) - gain < 1.01


def test_the_suggested_gain_keeps_a_lone_click_below_the_limiter_and_is_bounded():
    original = Sound(noise(1))
    click = np.zeros((1, 4000), np.float32)
    click[0, 100] = -0.25
    assert suggest_gain_db(original, Sound(click)) == np.floor(20 * np.log10(KNEE / 0.25))
    assert suggest_gain_db(original, Sound(np.zeros_like(click))) == 0.0
    assert suggest_gain_db(original, Sound(click * np.float32(1e-7))) == levels.MAX_GAIN_DB
    assert suggest_gain_db(Sound(np.zeros_like(click)), Sound(click)) == np.floor(20 * np.log10(KNEE / 0.25))
    assert suggest_gain_db(original, Sound(noise(1, level=0.9))) == 0.0


def test_the_suggestion_looks_at_parts_of_a_long_sound(monkeypatch):
    monkeypatch.setattr(levels, "BLOCK", 100)
    monkeypatch.setattr(levels, "BLOCKS", 7)
    taken = []

    class Watched(Sound):
        def take(self, channel, start, stop, scratch):
            taken.append((start, stop))
            return super().take(channel, start, stop, scratch)

    rms, _ = levels.level(Watched(noise(1, frames=4050)))
    assert len(taken) == 7
    assert taken[0] == (0, 100)
    assert taken[-1] == (4000, 4050)
    assert rms == pytest.approx(0.2, rel=0.2)


def test_volume_moves_smoothly_and_arrives_exactly():
    clip = np.full((1, 4000), 0.5, np.float32)
    with listen({"original": clip}) as listener:
        listener.play()
        listener.hear(100)
        listener.player.volume = 0.25
        ramp = listener.hear(2 * FADED)[0]
        assert np.all(np.diff(ramp) < 0)
        assert np.abs(np.diff(ramp)).max() < 0.5 * 0.75 / (2 * FADED) * 1.01
        assert np.array_equal(listener.hear(200), np.full((2, 200), 0.125, np.float32))
        listener.player.volume = 1.0
        listener.hear(30)
        listener.player.volume = 0.0  # in mid-ramp
        assert largest_step(listener.hear(2 * FADED)) < 0.5 / (2 * FADED) * 1.01
        assert not listener.hear(100).any()


def test_what_is_not_a_number_is_not_let_out():
    clip = noise(1)
    clip[0, 700], clip[0, 900] = np.nan, np.inf
    with listen({"original": clip}) as listener:
        listener.play()
        heard = listener.hear(2000)
    assert np.isfinite(heard).all()
    assert np.abs(heard).max() <= 1.0


# -- Where the sound is ------------------------------------------------------------------------------------------------


def test_the_position_is_what_is_heard_not_what_was_handed_over():
    source = Sound(noise(1, frames=8000))
    renderer = Renderer(RATE, 1, Wanted())
    out = np.empty((800, 1), np.float32)
    renderer.render(out, 10.0)
    assert renderer.heard(10.05) == 0
    playing = Wanted(source, playing=True, run=1, seek=1, frame=1000, loop=None)
    renderer.wanted = playing
    for block in range(3):  # 0.1 s each, heard half a second later
        renderer.render(out, 10.5 + 0.1 * block)
    assert renderer.heard(10.2) == 1000
    assert renderer.heard(10.5) == 1000
    assert renderer.heard(10.55) == pytest.approx(1400)
    assert renderer.heard(10.79) == pytest.approx(3320)
    assert renderer.heard(12.0) == pytest.approx(3400), "no further than what was handed over"
    renderer.wanted = playing._replace(seek=2, frame=6000)
    renderer.render(out, 10.8)
    assert renderer.heard(10.79) == pytest.approx(3320), "a jump is not heard before its time"
    assert renderer.heard(10.82) == pytest.approx(6160)
    renderer.wanted = renderer.wanted._replace(playing=False)
    renderer.render(out, 10.9)
    assert renderer.heard(10.85) == pytest.approx(6400)
    assert renderer.heard(10.95) == 6800 + FADED
    renderer.wanted = renderer.wanted._replace(seek=3, frame=50)
    assert renderer.heard(10.99) == 50, "in silence a jump shows at once"


def test_the_position_goes_round_with_the_loop():
    renderer = Renderer(RATE, 1, Wanted())
    renderer.wanted = Wanted(Sound(noise(1)), loop=(1000, 1400), playing=True, run=1, seek=1, frame=1000)
    renderer.render(np.empty((2000, 1), np.float32), 0.0)
    for frame in (0, 100, 399, 401, 900, 1999):
        assert renderer.heard(frame / RATE) == pytest.approx(1000 + frame % 400)


# -- Another rate ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "device_rate"), [(44100, 48000), (22050, 48000), (48000, 44100), (192000, 44100)])
def test_resampling_in_pieces_is_resampling_the_whole(rate, device_rate, monkeypatch):
    monkeypatch.setattr(Resampled, "PIECE", 1 << 13)
    clip = noise(2, frames=rate, level=0.1)
    source = Resampled(clip, rate, device_rate)
    whole = soxr.resample(clip.T, rate, device_rate, quality="HQ").T
    scratch = np.empty(4000, np.float32)
    worst = 0.0
    for start in range(0, device_rate - 4000, 3777):
        source.prepare((start, start + 4000))
        got = source.take(1, start, start + 4000, scratch)
        worst = max(worst, float(np.abs(got - whole[1, start : start + 4000]).max()))
    assert worst < 2e-6
    assert source.missed == 0
    assert len(source._pieces) <= Resampled.KEPT


def test_a_piece_that_is_not_ready_is_silent_and_counted():
    source = Resampled(noise(1, frames=300_000), 44100, 48000)
    assert not source.take(0, 100, 200, np.ones(100, np.float32)).any()
    assert source.missed == 1
    source.prepare((0, 200))
    assert source.take(0, 100, 200, np.ones(100, np.float32)).any()
    assert source.missed == 1


def test_a_device_that_cannot_do_the_clips_rate_plays_it_in_time_and_tune(monkeypatch):
    monkeypatch.setattr("mirguard.playback.transport.AT_ONCE", 2.0)  # this device is pumped faster than time
    rate, device_rate, seconds = 22050, 48000, 6
    clip = (0.5 * np.sin(2 * np.pi * 440 * np.arange(rate * seconds) / rate)).astype(np.float32)
    with listen({"original": clip, "adversarial": clip * np.float32(0.5)}, rate, device_rate) as listener:
        player = listener.player
        listener.play()
        heard = listener.hear(device_rate)
        assert player.position == pytest.approx(1.0, abs=1e-4)
        player.seek(4.5)
        player.select("perturbation")
        heard_later = listener.hear(device_rate)
        assert player.position == pytest.approx(5.5, abs=1e-4)
        assert player.underruns == 0
        player.loop = (0.5, 1.0)
        listener.hear(device_rate)
        assert 0.5 <= player.position <= 1.0
    time = np.arange(device_rate) / device_rate
    middle = slice(2000, -100)
    np.testing.assert_allclose(heard[0, middle], 0.5 * np.sin(2 * np.pi * 440 * time)[middle], atol=1e-3)
    expected = -0.25 * np.sin(2 * np.pi * 440 * (time + 4.5))
    np.testing.assert_allclose(heard_later[1, middle], expected[middle], atol=1e-3)


def test_what_comes_next_is_resampled_in_the_background():
    clip = noise(1, frames=44100 * 5)
    with listen({"original": clip}, 44100, 48000) as listener:
        player = listener.player
        listener.play()
        for _ in range(3):
            source, position = player._transport.output.sources["original"], round(player.position * 48000)
            wanted = range(position // source._piece, min(position + 3 * 48000, source.frames) // source._piece)
            wait_until(lambda source=source, wanted=wanted: all(number in source._pieces for number in wanted))
            listener.hear(48000)
        assert player.position == pytest.approx(3.0, abs=1e-3)
        assert player.underruns == 0


def test_loading_a_clip_of_another_rate_opens_the_device_anew():
    with listen({"original": noise()}) as listener:
        player = listener.player
        listener.play()
        listener.hear(1000)
        other = noise(2, frames=3000, seed=3)
        player.load({"original": other}, 16000)
        assert player.position == 0.0
        assert player.duration == 3000 / 16000
        assert player.wait()
        listener.play()
        assert [sink.sample_rate for sink in listener.opened] == [8000, 16000]
        assert listener.opened[0].closed
        assert np.array_equal(listener.hear(3000), other)


# -- Devices -----------------------------------------------------------------------------------------------------------


class Shelf:
    """Gives the sinks that a test put there, by name."""

    def __init__(self, **sinks) -> None:
        self.sinks = sinks
        self.opened: list[str | None] = []

    def __call__(self, rate, channels, device, latency):
        self.opened.append(device)
        sink = self.sinks[device or "default"]
        return (NullSink(rate, channels, manual=True), "It is broken.") if sink is None else (sink, None)


def test_another_device_goes_on_where_the_first_was():
    clip = noise(1)
    shelf = Shelf(default=Device(RATE), phones=Device(RATE, name="phones"))
    with Player(opener=shelf, latency=0.0) as player:
        player.load({"original": clip}, RATE)
        player.play()
        assert player.wait()
        shelf.sinks["default"].pump(1000)
        player.device = "phones"
        assert player.wait()
        assert (player.output, player.notice, player.playing) == ("phones", None, True)
        assert shelf.sinks["default"].closed
        heard = shelf.sinks["phones"].pump(500)[:, 0]
        assert np.array_equal(heard[FADED:], clip[0, 1000 + FADED : 1500])


def test_a_device_that_does_not_open_leaves_the_old_one_playing():
    shelf = Shelf(default=Device(RATE), broken=None)
    with Player(opener=shelf, latency=0.0) as player:
        player.load({"original": noise()}, RATE)
        player.play()
        assert player.wait()
        player.device = "broken"
        assert player.wait()
        assert player.output == "speakers"
        assert player.playing
        assert not shelf.sinks["default"].closed
        assert player.notice == "It is broken. Still playing on speakers."


def test_without_a_device_time_goes_on_and_a_sentence_says_why():
    with Player(opener=Shelf(default=None), latency=0.0) as player:
        player.load({"original": noise()}, RATE)
        player.play()
        assert player.wait()
        assert player.silent
        assert player.notice == "It is broken."
        assert player.playing


def test_the_null_sink_keeps_time():
    with Player(opener=lambda rate, channels, *_: (NullSink(rate, channels), None)) as player:
        player.load({"original": noise(frames=RATE // 2)}, RATE)
        began = time.monotonic()
        player.play()
        positions = []
        wait_until(lambda: positions.append(player.position) or player.ended)
        assert time.monotonic() - began >= 0.5
        assert np.all(np.diff(positions) >= 0)
        assert 0.05 < np.median(positions) < 0.45
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mirguard")]


def test_a_device_that_stops_by_itself_pauses_and_the_next_play_opens_another():
    first, second = Device(RATE), Device(RATE)
    shelf = Shelf(default=first)
    with Player(opener=shelf, latency=0.0) as player:
        player.load({"original": noise()}, RATE)
        player.play()
        assert player.wait()
        first.pump(1000)
        first.failure = "The sound device speakers stopped."
        wait_until(lambda: not player.playing)
        assert player.notice == "The sound device speakers stopped."
        wait_until(lambda: first.closed)
        assert player.position == 1000 / RATE
        shelf.sinks["default"] = second
        player.play()
        assert player.wait()
        second.pump(500)
        assert player.notice is None
        assert player.position == 1500 / RATE


def test_the_device_is_given_back_after_a_silence_and_the_position_stays(monkeypatch):
    monkeypatch.setattr("mirguard.playback.device_thread.IDLE", 0.05)
    with listen({"original": noise()}) as listener:
        player = listener.player
        listener.play()
        listener.hear(1000)
        player.pause()
        listener.hear(FADED + 20)
        wait_until(lambda: player.output is None)
        assert listener.opened[0].closed
        assert player.position == (1000 + FADED) / RATE
        listener.play()
        listener.hear(400)
        assert player.position == (1400 + FADED) / RATE


def test_underruns_of_closed_devices_are_remembered():
    with listen({"original": noise()}) as listener:
        player = listener.player
        listener.play()
        listener.opened[0].underruns = 2
        assert player.underruns == 2
        player.device = "other"
        assert player.wait()
        listener.opened[1].underruns = 1
        assert player.underruns == 3


def test_a_device_slow_to_open_blocks_nobody():
    held = threading.Event()

    def slow(rate, channels, device, latency):
        held.wait(30)
        return Device(rate), None

    with Player(opener=slow, latency=0.0) as player:
        player.load({"original": noise()}, RATE)
        player.play()
        assert player.playing
        assert player.position == 0.0
        player.seek(0.25)
        assert player.position == 0.25
        assert not player.wait(0.05)
        held.set()
        assert player.wait()
        assert player.output == "speakers"


# -- The callback ------------------------------------------------------------------------------------------------------


def test_the_callback_makes_no_block_of_samples():
    original, adversarial = noise(frames=40_000), noise(frames=40_000, seed=1)
    sources = [Sound(original), Sound(adversarial), Difference(Sound(adversarial), Sound(original))]
    renderer = Renderer(44100, 2, Wanted())
    out = np.empty((2 * PIECE, 2), np.float32)

    def work():
        for number in range(30):
            renderer.wanted = Wanted(
                sources[number % 3],
                gain=1.0 if number % 3 < 2 else 100.0,
                loop=(3000, 9000) if number % 2 else None,
                playing=number % 7 != 0,
                run=1,
                seek=number // 3,
                frame=number * 300,
                volume=0.5 if number % 5 else 1.0,
            )
            renderer.render(out, float(number))

    tracemalloc.start()
    try:
        while renderer._count <= 2 * RECORDS:  # what is made once is made now
            work()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        work()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < PIECE * 4, "not even one channel of one piece"


# -- Errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda p: p.load({}, RATE), "There is nothing to play; give at least one sound."),
        (
            lambda p: p.load({"original": noise(), "adversarial": noise(frames=10)}, RATE),
            "Sounds that are compared must have one length; these have 10, 4000 frames.",
        ),
        (lambda p: p.load({"original": noise()}, 0), "A sample rate is a positive whole number of Hz, not 0."),
        (
            lambda p: p.load({"original": np.zeros((2, 0), np.float32)}, RATE),
            "The original sound needs samples of shape (channels, frames) with 1 to 8 channels, not (2, 0).",
        ),
        (
            lambda p: p.load({"original": np.zeros((9, 5), np.float32)}, RATE),
            "The original sound needs samples of shape (channels, frames) with 1 to 8 channels, not (9, 5).",
        ),
        (
            lambda p: p.replace("adversarial", noise(frames=10)),
            "The adversarial sound has 10 frames but the clip has 4000; sounds that are compared must have one length.",
        ),
        (lambda p: p.remove("original"), "The original sound is the only one; load another clip instead."),
        (lambda p: p.select("adversarial"), "There is no adversarial sound yet; run an attack first."),
        (lambda p: p.select("perturbation"), "There is no perturbation sound yet; run an attack first."),
        (lambda p: p.select("x"), "There is no sound x; there are: original."),
        (lambda p: p.seek(float("nan")), "A position is a number of seconds, not nan."),
        (lambda p: setattr(p, "volume", 1.5), "Volume goes from 0 to 1, not 1.5."),
        (lambda p: setattr(p, "volume", float("nan")), "Volume goes from 0 to 1, not nan."),
        (lambda p: setattr(p, "perturbation_gain_db", 90.0), "The perturbation's gain goes from -80 to 80 dB."),
        (lambda p: p.suggest_perturbation_gain_db(), "There is no perturbation yet; run an attack first."),
        (
            lambda p: setattr(p, "loop", (0.3, 0.3)),
            "A loop needs at least 20 ms inside the clip of 0.50 s; 0.300 to 0.300 s has less.",
        ),
        (
            lambda p: setattr(p, "loop", (0.49, 9.0)),
            "A loop needs at least 20 ms inside the clip of 0.50 s; 0.490 to 9.000 s has less.",
        ),
        (
            lambda p: setattr(p, "loop", (0.1, float("inf"))),
            "A loop goes from one time in seconds to another, not from 0.1 to inf.",
        ),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence_and_changes_nothing(act, sentence):
    clip = noise()
    with listen({"original": clip}) as listener:
        listener.play()
        with pytest.raises(UsageError) as caught:
            act(listener.player)
        assert str(caught.value) == sentence
        assert np.array_equal(listener.hear(1000), clip[:, :1000])


def test_an_empty_player_says_what_it_needs():
    with Player() as player:
        for act, sentence in [
            (player.play, "There is nothing to play yet; load a clip first."),
            (lambda: setattr(player, "loop", (0, 1)), "There is nothing to loop yet; load a clip first."),
            (
                lambda: player.replace("adversarial", noise()),
                "There is no clip yet for the adversarial sound; load a clip first.",
            ),
        ]:
            with pytest.raises(UsageError) as caught:
                act()
            assert str(caught.value) == sentence
        player.loop = None
        player.seek(1.0)
        player.stop()
        player.pause()
        assert player.position == 0.0


def test_the_room_needs_neither_torch_nor_a_sound_library_to_be_imported():
    code = (
        "import sys, mirguard.playback.player, mirguard.playback.sinks\n"
        "print([name for name in ('torch', 'sounddevice') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
