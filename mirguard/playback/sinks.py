"""Where rendered sound goes: a sound device through PortAudio, or nowhere, in time, when there is none.

PortAudio's library comes with the operating system on Linux and may be missing, and a machine may have no sound
device: both are normal, so `sounddevice` is imported only when sound is asked for, and `open_sink` then gives a sink
that keeps time without a sound, and the sentence that says why.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mirguard.errors import MirguardError

if TYPE_CHECKING:
    import sounddevice

# Long enough that a Python callback which waits for its turn while torch computes (up to 50 ms were measured on two
# cores) comes in time, short enough that a switch is heard as immediate.
LATENCY = 0.15

Render = Callable[[np.ndarray, float], None]
"""Fills a block (frames, channels) of float32, the first frame of which is heard at the given time of the sink's
clock, in seconds."""

NO_LIBRARY = (
    "Sound needs the PortAudio library, which is missing here; install it (on Debian and Ubuntu: "
    "sudo apt install libportaudio2) and start again."
)
NO_DEVICE = "This machine has no sound output device; connect one and choose it, or go on without sound."


class SoundError(MirguardError):
    """A sound device that cannot be used; the text says why and what to do."""


@dataclass(frozen=True)
class Device:
    """A sound output: `name` is unique and stays the same between starts, `index` is PortAudio's and may change."""

    name: str
    index: int
    is_default: bool
    channels: int
    sample_rate: int  # what the device prefers


class Sink(Protocol):
    """Something that calls a renderer in time, in a thread of its own."""

    name: str
    silent: bool  # nothing can be heard
    sample_rate: int
    channels: int
    underruns: int  # times that sound was handed over too late

    def start(self, render: Render) -> None:
        """Begin to call `render`; raises SoundError."""

    def close(self) -> None:
        """End at once, and give the device back. Render is not called after that."""

    def now(self) -> float:
        """The sink's clock in seconds."""

    @property
    def blocks(self) -> int:
        """How many blocks were rendered; 0 means that the device has not yet asked for any."""

    @property
    def failure(self) -> str | None:
        """Why the sink stopped by itself (device unplugged, sound server gone); None while all is well."""


class NullSink:
    """Keeps time and lets nobody hear anything: for machines without a sound device.

    With `manual=True` no thread runs: `pump` renders, and the clock is the number of frames pumped. That is how
    tests listen.
    """

    silent = True
    failure = None

    def __init__(self, sample_rate: int = 44100, channels: int = 2, *, manual: bool = False, block: int = 0) -> None:
        self.name = "no sound"
        self.sample_rate, self.channels = int(sample_rate), channels
        self.underruns = 0
        self.blocks = 0
        self._manual = manual
        self._block = block or max(64, self.sample_rate // 50)
        self._frames = 0
        self._render: Render | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, render: Render) -> None:
        self._render = render
        if self._manual:
            self.pump(0)
        else:
            self._thread = threading.Thread(target=self._run, name="mirguard-null-sink", daemon=True)
            self._thread.start()

    def pump(self, frames: int) -> np.ndarray:
        """Render the next `frames`, as float32 (frames, channels)."""
        out = np.empty((frames, self.channels), np.float32)
        if self._render is None:
            out[:] = 0.0
            return out
        self._render(out, self._frames / self.sample_rate)
        self._frames += frames
        self.blocks += 1
        return out

    def _run(self) -> None:
        out = np.empty((self._block, self.channels), np.float32)
        start = time.monotonic()
        while not self._closing.wait(max(0.0, start + self._frames / self.sample_rate - time.monotonic())):
            self._render(out, start + self._frames / self.sample_rate)
            self._frames += self._block
            self.blocks += 1

    def now(self) -> float:
        return self._frames / self.sample_rate if self._manual else time.monotonic()

    def close(self) -> None:
        self._closing.set()
        self._render = None if self._manual else self._render
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()


class SoundDeviceSink:
    """A sound device through PortAudio, opened but not yet started.

    Raises SoundError where the device cannot do `sample_rate` or cannot be opened at all.
    """

    silent = False

    def __init__(self, sample_rate: int, channels: int, device: Device, latency: float = LATENCY) -> None:
        sd = portaudio()
        self._sd = sd
        self.name = device.name
        self.sample_rate, self.channels = int(sample_rate), channels
        self.underruns = 0
        self.blocks = 0
        self.failure: str | None = None
        self._render: Render | None = None
        self._closing = False
        self._next = 0.0  # when the next block will be heard if it follows the last without a gap
        self._empty = 0.0  # PortAudio's clock: when everything handed over so far has been played
        try:
            api = sd.query_hostapis(sd.query_devices(device.index)["hostapi"])["name"]
            self._stream = sd.OutputStream(
                samplerate=self.sample_rate,
                device=device.index,
                channels=channels,
                dtype="float32",
                latency=latency,
                callback=self._callback,
                finished_callback=self._finished,
                dither_off=True,  # a quiet perturbation is not to be heard through noise that we added
                # Windows' shared mode plays only its own rate unless told to convert.
                extra_settings=sd.WasapiSettings(auto_convert=True) if "WASAPI" in api else None,
            )
        except (sd.PortAudioError, ValueError) as error:
            raise SoundError(
                f"The sound device {device.name} cannot be opened ({_reason(error)}); "
                "close other programs that use it, or choose another device."
            ) from error
        self.latency: float = self._stream.latency

    def start(self, render: Render) -> None:
        self._render = render
        try:
            self._stream.start()
        except self._sd.PortAudioError as error:
            raise SoundError(
                f"The sound device {self.name} cannot be started ({_reason(error)}); choose another device."
            ) from error

    def _callback(self, out: np.ndarray, frames: int, clock, status: sounddevice.CallbackFlags) -> None:
        called = time.monotonic()
        ahead = clock.outputBufferDacTime - clock.currentTime
        if not 0.0 <= ahead < 10.0:  # some drivers leave the times at 0
            ahead = self.latency
        length = frames / self.sample_rate
        # Sound servers seldom report an underrun, so look also whether all sound was used up before this call.
        late = self.blocks > 0 and 0.0 < self._empty < clock.currentTime
        if status.output_underflow or late:
            self.underruns += 1
        self._empty = clock.currentTime + ahead + length if clock.currentTime > 0.0 else 0.0
        # Follow the measured time slowly, for it jitters by the wait for Python's lock; a gap is followed at once.
        when = called + ahead
        if self.blocks and not late and abs(when - self._next) < 0.1:
            when = self._next + 0.1 * (when - self._next)
        self._next = when + length
        try:
            self._render(out, when)
        except Exception as error:
            self.failure = f"Playback stopped on an error in the program: {type(error).__name__}: {error}."
            out[:] = 0.0
            raise self._sd.CallbackAbort from error
        self.blocks += 1

    def _finished(self) -> None:
        if not self._closing and self.failure is None:
            self.failure = f"The sound device {self.name} stopped; connect it again or choose another device."

    def now(self) -> float:
        return time.monotonic()

    def close(self) -> None:
        self._closing = True
        self._stream.abort()
        self._stream.close()


def portaudio():
    """The sounddevice module; raises SoundError where PortAudio's library is missing."""
    try:
        import sounddevice
    except OSError as error:
        raise SoundError(NO_LIBRARY) from error
    return sounddevice


def _reason(error: Exception) -> str:
    """PortAudio's own words without its numbers, such as "Invalid sample rate"; the system's own where it has them."""
    text = str(error.args[0]).rsplit(": ", 1)[-1] if error.args else type(error).__name__
    if len(error.args) == 3:  # text, PortAudio's number, (interface, the system's number, the system's text)
        text = error.args[2][2] or text
    return text.strip().rstrip(".")


def devices() -> list[Device]:
    """The machine's sound outputs, the default one first; empty where there is none or no PortAudio.

    Devices plugged in after the first call appear after `rescan`.
    """
    try:
        sd = portaudio()
    except SoundError:
        return []  # `open_device` says what is wrong
    try:
        found = sd.query_devices()
        apis = sd.query_hostapis()
    except sd.PortAudioError:
        return []
    outputs = [(index, about) for index, about in enumerate(found) if about["max_output_channels"] > 0]
    default = _default_index(sd, apis)
    several = len({about["hostapi"] for _, about in outputs}) > 1
    names: dict[str, int] = {}
    result = []
    for index, about in outputs:
        name = about["name"].strip()
        if several:
            name = f"{name} ({apis[about['hostapi']]['name']})"
        names[name] = names.get(name, 0) + 1
        if names[name] > 1:
            name = f"{name} #{names[name]}"
        rate = round(about["default_samplerate"])
        result.append(Device(name, index, index == default, about["max_output_channels"], rate))
    return sorted(result, key=lambda device: (not device.is_default, device.index))


def _default_index(sd, apis) -> int:
    """The index of the default output, -1 for none."""
    chosen = sd.default.device[1]  # set by a user of sounddevice, else -1
    if isinstance(chosen, int) and chosen >= 0:
        return chosen
    return next((api["default_output_device"] for api in apis if api["default_output_device"] >= 0), -1)


def rescan() -> None:
    """Look for devices again. PortAudio forgets all streams in doing so: close every sink first."""
    try:
        sd = portaudio()
    except SoundError:
        return  # nothing to look with; `open_device` says so
    sd._terminate()
    sd._initialize()


def open_device(
    sample_rate: int, channels: int = 2, device: str | None = None, latency: float = LATENCY
) -> SoundDeviceSink:
    """Open an output by name (None: the default), at the clip's own rate if it can, else at the rate it prefers.

    `channels` is what there is to play, 1 or 2; a device with one output gets 1. Raises SoundError with the reason.
    """
    portaudio()
    found = devices()
    if not found:
        raise SoundError(NO_DEVICE)
    if device is None:
        chosen = found[0]
    else:
        chosen = next((one for one in found if one.name == device), None)
        if chosen is None:
            raise SoundError(f"There is no sound device {device}; choose one of: {', '.join(d.name for d in found)}.")
    channels = min(channels, chosen.channels)
    try:
        return SoundDeviceSink(sample_rate, channels, chosen, latency)
    except SoundError:
        if chosen.sample_rate == sample_rate:
            raise
        return SoundDeviceSink(chosen.sample_rate, channels, chosen, latency)


def open_sink(
    sample_rate: int, channels: int = 2, device: str | None = None, latency: float = LATENCY
) -> tuple[Sink, str | None]:
    """A sink in any case, and a sentence where it is not the one asked for.

    If the device asked for cannot be used, the default one is taken; if there is none, a NullSink keeps time.
    """
    sentence = None
    for name in dict.fromkeys((device, None)):
        try:
            sink = open_device(sample_rate, channels, name, latency)
            return sink, f"{sentence} Playing on {sink.name} meanwhile." if sentence else None
        except SoundError as error:
            sentence = sentence or str(error)
    return NullSink(sample_rate, channels), sentence
