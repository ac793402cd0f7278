"""The player on a real sound server, through sounddevice, PortAudio and ALSA, recorded at the other end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from listening import fade, largest_step
from pulse import missing, pulse_server, read
from scipy.signal import correlate

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

RATE = 44100
STEEPEST = np.pi / 2 / fade(RATE)

# The program under test has a process of its own: PortAudio looks for the sound server once, when it is loaded.
PLAY = """
import sys, time
import numpy as np
from mirguard.playback.player import Player

def wait_until(what):
    until = time.monotonic() + 60
    while not what():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.002)

sounds = dict(np.load(sys.argv[1]))
rate = int(sounds.pop("rate"))
player = Player()
player.load(sounds, rate)
{script}
wait_until(lambda: not player.playing)
assert player.notice is None, player.notice
assert not player.silent
print(player.output, player.underruns, player.ended)
player.close()
"""


@pytest.fixture(scope="module")
def server():
    with pulse_server(RATE) as running:
        yield running


def play(server, tmp_path: Path, script: str, rate: int = RATE, **sounds: np.ndarray) -> np.ndarray:
    """Run the script in a process of its own; what the server played, (2, frames).

    A run in which a busy machine came too late with the sound says nothing about the samples: up to two are repeated.
    """
    np.savez(tmp_path / "sounds.npz", rate=rate, **sounds)
    for _ in range(3):
        with server.record(tmp_path / "recording"):
            done = subprocess.run(
                [sys.executable, "-c", PLAY.format(script=script), str(tmp_path / "sounds.npz")],
                env=server.environment,
                capture_output=True,
                text=True,
            )
        assert done.returncode == 0, done.stderr
        name, underruns, _ = done.stdout.split()
        assert name == "default"
        if underruns == "0":
            break
    else:
        pytest.fail(f"sound came too late {underruns} times, in three runs")
    recording = read(tmp_path / "recording")
    assert recording.any(), "nothing arrived"
    return recording


def aligned(recording: np.ndarray, clip: np.ndarray) -> np.ndarray:
    """The stretch of the recording in which the clip lies, found by cross-correlation."""
    lags = correlate(recording[0], clip[0][: RATE // 2], mode="valid", method="fft")
    start = int(np.argmax(lags))
    assert recording.shape[1] >= start + clip.shape[1], "the recording ends before the clip"
    return recording[:, start : start + clip.shape[1]]


def music(seconds: float, seed: int = 0) -> np.ndarray:
    """A stereo chord with a little noise: it matches itself in one place only, and its steps are small."""
    time = np.arange(round(seconds * RATE)) / RATE
    generator = np.random.default_rng(seed)
    tones = sum(np.sin(2 * np.pi * pitch * time[None] + np.array([[0.0], [1.0]])) for pitch in (110, 164.8, 220.9))
    return (0.15 * tones + 0.01 * generator.standard_normal((2, len(time)))).astype(np.float32)


def test_what_arrives_at_the_sound_server_is_the_clip_to_the_bit(server, tmp_path):
    clip = music(2.0)
    heard = aligned(play(server, tmp_path, "player.play()", original=clip), clip)
    assert np.array_equal(heard, clip)


def test_a_switch_while_playing_arrives_without_gap_or_click(server, tmp_path):
    original = music(2.0)
    adversarial = original + (0.003 * np.random.default_rng(1).standard_normal(original.shape)).astype(np.float32)
    script = """
player.play()
wait_until(lambda: player.position > 0.8)
player.select("adversarial")
"""
    heard = aligned(play(server, tmp_path, script, original=original, adversarial=adversarial), original)
    differs = np.flatnonzero((heard != original).any(axis=0))
    first = int(differs[0])
    assert 0.8 * RATE < first < 1.9 * RATE
    assert np.array_equal(heard[:, :first], original[:, :first])
    after = first + fade(RATE)
    assert np.array_equal(heard[:, after:], adversarial[:, after:])
    low, high = np.minimum(original, adversarial), np.maximum(original, adversarial)
    assert np.all(heard >= low - 1e-6)
    assert np.all(heard <= high + 1e-6)
    # No step larger than the signals' own, by more than the fade's slope times their difference.
    own = max(largest_step(original), largest_step(adversarial))
    assert largest_step(heard) <= own + STEEPEST * np.abs(original - adversarial).max()


def test_a_loop_a_hot_swap_and_a_pause_arrive_without_a_click(server, tmp_path):
    original = music(2.0) - np.float32(0.05)
    script = """
player.loop = (0.3, 0.7)
player.play()
wait_until(lambda: player.position > 0.6)
wait_until(lambda: player.position < 0.5)
player.replace("original", sounds["original"] * np.float32(0.9))
wait_until(lambda: player.position > 0.6)
wait_until(lambda: player.position < 0.5)
player.pause()
time.sleep(0.4)
"""
    heard = play(server, tmp_path, script, original=original)
    sounding = np.flatnonzero(heard.any(axis=0))
    heard = heard[:, max(0, sounding[0] - 10) : sounding[-1] + 10]
    assert heard.shape[1] > 0.8 * RATE
    assert largest_step(heard) <= largest_step(original) + 2 * STEEPEST * 2 * np.abs(original).max()
    assert np.abs(heard).max(axis=0)[20:-20].min() > 0.0, "no gap"


def test_a_clip_of_another_rate_and_one_channel_is_heard_in_tune(server, tmp_path):
    rate = 16000
    clip = (0.4 * np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)).astype(np.float32)[None]
    heard = play(server, tmp_path, "player.play()", rate=rate, original=clip)
    sounding = np.flatnonzero(np.abs(heard).max(axis=0) > 0.01)
    assert sounding[-1] - sounding[0] == pytest.approx(RATE, rel=0.01)
    middle = heard[:, sounding[0] + 2000 : sounding[0] + 2000 + RATE // 2]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(middle.shape[1])))
    assert spectrum.argmax(axis=1) * RATE / middle.shape[1] == pytest.approx([1000, 1000], abs=2)
    np.testing.assert_allclose(np.abs(middle).max(axis=1), 0.4, rtol=0.02)


def test_a_sound_server_that_goes_away_pauses_with_a_sentence(tmp_path):
    script = """
import os, signal
from mirguard.playback.player import Player
import numpy as np, time
player = Player()
player.load({"original": np.full((1, 441000), 0.1, np.float32)}, 44100)
player.play()
assert player.wait() and not player.silent, player.notice
while player.position < 0.2: time.sleep(0.01)
os.kill(int(os.environ["SERVER"]), signal.SIGKILL)
while player.playing: time.sleep(0.01)
print(player.notice)
at = player.position
player.play()
assert player.wait(30)
print(player.silent, player.position >= at > 0.1)
player.close()
"""
    with pulse_server(RATE) as server:
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**server.environment, "SERVER": str(server.process.pid)},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "The sound device default stopped; connect it again or choose another device.",
        "True True",
    ]
