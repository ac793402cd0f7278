"""Sound devices as PortAudio shows them, with a PortAudio of the test's own: any machine can be any machine here."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from mirguard.errors import MirguardError
from mirguard.playback import sinks
from mirguard.playback.player import Player
from mirguard.playback.sinks import NO_DEVICE, NO_LIBRARY, NullSink, SoundError, devices, open_device, open_sink


class PortAudioError(Exception):
    pass


class CallbackAbort(Exception):
    pass


class Stream:
    def __init__(self, machine, **settings):
        if settings["samplerate"] not in machine.rates:
            raise PortAudioError("Error opening OutputStream: Invalid sample rate", -9997)
        if machine.refuses:
            raise PortAudioError("Error opening OutputStream: Unanticipated host error", -9999, (0, -16, "busy"))
        self.settings, self.latency, self.state = settings, settings["latency"], "open"
        machine.streams.append(self)

    def start(self):
        self.state = "started"

    def abort(self):
        self.state = "aborted"
        self.settings["finished_callback"]()

    def close(self):
        self.state = "closed"

    def call(self, frames=441, now=1.0, ahead=0.1, underflow=False):
        """What PortAudio does when it wants sound."""
        out = np.full((frames, self.settings["channels"]), 9.0, np.float32)
        clock = SimpleNamespace(currentTime=now, outputBufferDacTime=now + ahead)
        self.settings["callback"](out, frames, clock, SimpleNamespace(output_underflow=underflow))
        return out


class Machine:
    """Stands in for the module sounddevice."""

    PortAudioError, CallbackAbort = PortAudioError, CallbackAbort

    def __init__(self, outputs, apis=("ALSA",), default=0, rates=(44100, 48000)):
        self.outputs, self.apis, self.default_output, self.rates = list(outputs), apis, default, rates
        self.refuses, self.scans, self.streams = False, 0, []
        self.default = SimpleNamespace(device=[-1, -1])

    def query_devices(self, index=None):
        found = [
            {"name": name, "hostapi": api, "max_output_channels": channels, "default_samplerate": float(rate)}
            for name, api, channels, rate in self.outputs
        ]
        return found if index is None else found[index]

    def query_hostapis(self, index=None):
        found = [{"name": name, "default_output_device": self.default_output if i == 0 else -1}
                 for i, name in enumerate(self.apis)]  # fmt: skip
        return found if index is None else found[index]

    def OutputStream(self, **settings):
        return Stream(self, **settings)

    def WasapiSettings(self, **settings):
        return settings

    def _terminate(self):
        self.scans += 1

    def _initialize(self):
        self.scans += 1


@pytest.fixture
def machine(monkeypatch):
    def plug(*arguments, **settings):
        fake = Machine(*arguments, **settings)
        monkeypatch.setitem(sys.modules, "sounddevice", fake)
        return fake

    return plug


SPEAKERS = ("Speakers", 0, 2, 48000)
PHONE = ("Phone", 0, 1, 48000)
MICROPHONE = ("Microphone", 0, 0, 48000)


# -- Which there are ---------------------------------------------------------------------------------------------------


def test_outputs_are_listed_the_default_first_under_names_of_their_own(machine):
    machine([MICROPHONE, PHONE, SPEAKERS, ("Speakers", 0, 2, 48000)], default=2)
    found = devices()
    assert [device.name for device in found] == ["Speakers", "Phone", "Speakers #2"]
    assert [device.index for device in found] == [2, 1, 3]
    assert [device.is_default for device in found] == [True, False, False]
    assert (found[1].channels, found[1].sample_rate) == (1, 48000)


def test_where_several_interfaces_show_devices_their_names_say_which(machine):
    machine([("Speakers", 0, 2, 48000), ("Speakers", 1, 2, 48000)], apis=("MME", "Windows WASAPI"))
    assert [device.name for device in devices()] == ["Speakers (MME)", "Speakers (Windows WASAPI)"]


def test_a_default_that_was_set_in_sounddevice_is_respected(machine):
    machine([SPEAKERS, PHONE]).default.device = [-1, 1]
    assert devices()[0].name == "Phone"


def test_no_device_is_an_empty_list_and_a_sink_that_keeps_time(machine):
    machine([MICROPHONE], default=-1)
    assert devices() == []
    with pytest.raises(SoundError) as caught:
        open_device(44100)
    assert str(caught.value) == NO_DEVICE
    assert caught.value.status == MirguardError.status
    sink, sentence = open_sink(44100)
    assert isinstance(sink, NullSink)
    assert sink.silent
    assert sentence == NO_DEVICE


def test_a_portaudio_that_answers_with_an_error_is_no_device(machine, monkeypatch):
    fake = machine([SPEAKERS])

    def fail(index=None):
        raise PortAudioError("Error querying device -1")

    monkeypatch.setattr(fake, "query_devices", fail)
    assert devices() == []


def test_without_the_library_the_sentence_names_the_package(tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert devices() == []
    with pytest.raises(SoundError) as caught:
        open_device(44100)
    assert str(caught.value) == NO_LIBRARY
    assert "libportaudio2" in NO_LIBRARY
    sink, sentence = open_sink(44100)
    assert sink.silent
    assert sentence == NO_LIBRARY
    sinks.rescan()
    assert "sounddevice" not in sys.modules


def test_looking_again_starts_portaudio_anew(machine):
    fake = machine([SPEAKERS])
    sinks.rescan()
    assert fake.scans == 2


# -- Opening one -------------------------------------------------------------------------------------------------------


def test_the_clips_own_rate_is_tried_first_then_the_devices(machine):
    fake = machine([SPEAKERS])
    assert open_device(44100).sample_rate == 44100
    fake.rates = (48000,)
    assert open_device(44100).sample_rate == 48000
    assert [stream.settings["latency"] >= 0.1 for stream in fake.streams] == [True, True]
    assert {stream.settings["dtype"] for stream in fake.streams} == {"float32"}


def test_a_device_with_one_output_gets_one(machine):
    fake = machine([PHONE])
    assert open_device(48000, 2).channels == 1
    assert fake.streams[0].settings["channels"] == 1


def test_windows_converts_the_rate_in_shared_mode(machine):
    fake = machine([SPEAKERS], apis=("Windows WASAPI",))
    open_device(44100)
    assert fake.streams[0].settings["extra_settings"] == {"auto_convert": True}


@pytest.mark.parametrize(
    ("rates", "refuses", "reason"), [((96000,), False, "Invalid sample rate"), ((48000,), True, "busy")]
)
def test_a_device_that_cannot_be_opened_is_said_in_a_sentence(machine, rates, refuses, reason):
    fake = machine([SPEAKERS], rates=rates)
    fake.refuses = refuses
    sink, sentence = open_sink(44100)
    assert sink.silent
    assert sentence == (
        f"The sound device Speakers cannot be opened ({reason}); "
        "close other programs that use it, or choose another device."
    )


def test_a_device_that_is_gone_gives_way_to_the_default(machine):
    machine([SPEAKERS, PHONE])
    sink, sentence = open_sink(44100, 2, "Headphones")
    assert sink.name == "Speakers"
    assert sentence == (
        "There is no sound device Headphones; choose one of: Speakers, Phone. Playing on Speakers meanwhile."
    )
    with pytest.raises(SoundError):
        open_device(44100, 2, "Headphones")


def test_a_device_that_does_not_start_is_said_in_a_sentence(machine, monkeypatch):
    machine([SPEAKERS])

    def fail(self):
        raise PortAudioError("Error starting stream: Device unavailable", -9985)

    monkeypatch.setattr(Stream, "start", fail)
    sink = open_device(44100)
    with pytest.raises(SoundError, match=r"cannot be started \(Device unavailable\); choose another device\.$"):
        sink.start(lambda out, when: None)
    with Player(latency=0.1) as player:
        player.load({"original": np.zeros((1, 44100), np.float32)}, 44100)
        player.play()
        assert player.wait()
        assert player.silent
        assert "cannot be started" in player.notice


# -- Playing on it -----------------------------------------------------------------------------------------------------


def started(machine, render, **settings):
    fake = machine([SPEAKERS])
    sink = open_device(44100, **settings)
    sink.start(render)
    assert fake.streams[0].state == "started"
    return sink, fake.streams[0]


def test_the_time_of_a_block_is_when_it_reaches_the_loudspeaker(machine):
    times = []
    _, stream = started(machine, lambda out, when: times.append((when, out.shape)))
    before = time.monotonic()
    stream.call(now=5.0, ahead=0.25)
    assert before + 0.25 <= times[0][0] <= time.monotonic() + 0.25
    assert times[0][1] == (441, 2)
    stream.call(now=5.0, ahead=0.26)  # the next block, right after it
    assert times[1][0] == pytest.approx(times[0][0] + 0.01, abs=0.005)


@pytest.mark.parametrize(("now", "ahead"), [(0.0, 0.0), (5.0, -5.0), (5.0, 1e9)])
def test_a_driver_without_sensible_times_is_taken_at_its_latency(machine, now, ahead):
    times = []
    sink, stream = started(machine, lambda out, when: times.append(when), latency=0.3)
    before = time.monotonic()
    stream.call(now=now, ahead=ahead if now else -0.0)
    expected = 0.3 if now else 0.0
    assert before + expected <= times[0] <= time.monotonic() + expected + 1e-9
    assert sink.underruns == 0


def test_underruns_are_counted_where_portaudio_tells_and_where_all_sound_was_used_up(machine):
    sink, stream = started(machine, lambda out, when: out.fill(0.0))
    stream.call(441, now=1.0, ahead=0.1)
    stream.call(441, now=1.109, ahead=0.1)  # just in time: what there was lasts to 1.11
    assert sink.underruns == 0
    stream.call(441, now=1.2, ahead=0.0, underflow=True)
    assert sink.underruns == 1
    stream.call(441, now=1.3, ahead=0.0)  # nothing was left since 1.21
    assert sink.underruns == 2


def test_an_error_while_rendering_ends_in_silence_and_a_sentence(machine):
    def fail(out, when):
        raise ZeroDivisionError("division by zero")

    sink, stream = started(machine, fail)
    with pytest.raises(CallbackAbort):
        stream.call()
    assert sink.failure == "Playback stopped on an error in the program: ZeroDivisionError: division by zero."
    stream.settings["finished_callback"]()
    assert "ZeroDivisionError" in sink.failure


def test_a_stream_that_ends_unasked_is_a_failure_and_one_that_is_closed_is_not(machine):
    sink, stream = started(machine, lambda out, when: None)
    sink.close()
    assert stream.state == "closed"
    assert sink.failure is None
    sink, stream = started(machine, lambda out, when: None)
    stream.settings["finished_callback"]()
    assert sink.failure == "The sound device Speakers stopped; connect it again or choose another device."
