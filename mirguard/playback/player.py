"""The player: several sounds of one length at one position, switched without a gap or a click.

It has no Qt and no signals: whoever shows it looks at `position`, `playing`, `ended`, `notice` and the rest as
often as the screen is drawn. All methods return at once: what is to be heard is kept by the `Transport`, and opening
a device, which may take long or hang, happens in the `DeviceThread`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from mirguard.errors import UsageError
from mirguard.playback import sinks
from mirguard.playback.device_thread import DeviceThread, Opener
from mirguard.playback.levels import MAX_GAIN_DB, suggest_gain_db
from mirguard.playback.sinks import LATENCY
from mirguard.playback.sounds import ADVERSARIAL, ORIGINAL, PERTURBATION, checked
from mirguard.playback.transport import Transport

MIN_LOOP = 0.02  # seconds: room for the two halves of the cross-fade at its seam


class Player:
    """Plays one of several sounds of the same length, and changes between them where it is.

    `device` is a name from `sinks.devices()`, None for the default. Nothing is opened before the first `play`,
    and the device is given back after half a minute of silence. `opener` makes the sink (tests bring their own).
    """

    def __init__(
        self, device: str | None = None, *, latency: float = LATENCY, opener: Opener = sinks.open_sink
    ) -> None:
        self._transport = Transport()
        self._lock = self._transport.lock
        self._devices = DeviceThread(self._transport, device, latency, opener)

    # What there is to hear

    def load(self, sources: Mapping[str, np.ndarray], sample_rate: int) -> None:
        """Take sounds of one length and stop at their beginning.

        Each is float32 (channels, frames) or (frames,), 1 to 8 channels, full scale ±1, and is kept by reference:
        do not change it afterwards. With "original" and "adversarial" but no "perturbation", that is played as the
        difference of the two. Selected is "original", else the first. Raises UsageError.
        """
        sounds = {name: checked(name, samples) for name, samples in sources.items()}
        if not sounds:
            raise UsageError("There is nothing to play; give at least one sound.")
        lengths = {samples.shape[1] for samples in sounds.values()}
        if len(lengths) > 1:
            raise UsageError(f"Sounds that are compared must have one length; these have {_listed(lengths)} frames.")
        if not (isinstance(sample_rate, (int, np.integer)) and sample_rate > 0):
            raise UsageError(f"A sample rate is a positive whole number of Hz, not {sample_rate}.")
        transport = self._transport
        with self._lock:
            transport.settle()
            transport.playing = transport.ended = False
            self._devices.follow(sample_rate)
            transport.exchange(sounds)
            transport.rate, transport.frames = int(sample_rate), lengths.pop()
            transport.selected = ORIGINAL if ORIGINAL in sounds else next(iter(sounds))
            transport.loop = None
            transport.jump(0)
            transport.provide()

    def replace(self, name: str, samples: np.ndarray) -> None:
        """Put other samples in a sound's place, or add a sound; if it is playing, it is cross-faded into.

        Raises UsageError where the length differs from the other sounds'.
        """
        samples = checked(name, samples)
        transport = self._transport
        with self._lock:
            if not transport.sounds:
                raise UsageError(f"There is no clip yet for the {name} sound; load a clip first.")
            if samples.shape[1] != transport.frames:
                raise UsageError(
                    f"The {name} sound has {samples.shape[1]} frames but the clip has {transport.frames}; "
                    "sounds that are compared must have one length."
                )
            transport.exchange({**transport.sounds, name: samples})
            transport.provide()

    def remove(self, name: str) -> None:
        """Forget a sound; if it was selected, the first of the others is. The last one cannot be removed."""
        transport = self._transport
        with self._lock:
            if name not in transport.sounds:
                return
            if len(transport.sounds) == 1:
                raise UsageError(f"The {name} sound is the only one; load another clip instead.")
            transport.exchange({other: samples for other, samples in transport.sounds.items() if other != name})
            transport.provide()

    @property
    def names(self) -> tuple[str, ...]:
        """What can be selected now."""
        with self._lock:
            return tuple(self._transport.at_clip_rate())

    @property
    def selected(self) -> str:
        return self._transport.selected

    def select(self, name: str) -> None:
        """Go on with another sound at the same position. Raises UsageError where there is none of that name."""
        with self._lock:
            if name not in self.names:
                if name in (ADVERSARIAL, PERTURBATION):
                    raise UsageError(f"There is no {name} sound yet; run an attack first.")
                raise UsageError(f"There is no sound {name}; there are: {_listed(self.names) or 'none'}.")
            self._transport.selected = name
            self._transport.publish()

    @property
    def sample_rate(self) -> int:
        """Of the loaded sounds, in Hz; 0 while there are none."""
        return self._transport.rate

    @property
    def duration(self) -> float:
        """Seconds; 0 while nothing is loaded."""
        transport = self._transport
        return transport.frames / transport.rate if transport.rate else 0.0

    # Moving through it

    def play(self) -> None:
        """Go on from where the sound is; at the end, from the beginning (of the loop, if there is one)."""
        transport = self._transport
        with self._lock:
            if not transport.sounds:
                raise UsageError("There is nothing to play yet; load a clip first.")
            transport.settle()
            if transport.playing:
                return
            if transport.next() >= transport.frames:
                transport.jump(transport.loop[0] if transport.loop else 0)
            transport.playing, transport.ended = True, False
            transport.run += 1
            transport.publish()
            self._devices.start()

    def pause(self) -> None:
        """Fall silent where it is."""
        with self._lock:
            self._transport.settle()
            self._transport.playing = False
            self._transport.publish()

    def toggle(self) -> None:
        """Play if paused, pause if playing."""
        with self._lock:
            if self.playing:
                self.pause()
            else:
                self.play()

    def stop(self) -> None:
        """Fall silent and go back to the beginning (of the loop, if there is one)."""
        transport = self._transport
        with self._lock:
            transport.settle()
            transport.playing = transport.ended = False
            transport.jump(transport.loop[0] if transport.loop else 0)
            transport.publish()

    def seek(self, seconds: float) -> None:
        """Go to a time, playing or not; what lies outside the clip means its beginning or its end."""
        if not math.isfinite(seconds):
            raise UsageError(f"A position is a number of seconds, not {seconds}.")
        transport = self._transport
        with self._lock:
            transport.settle()
            transport.ended = False
            transport.jump(min(max(0, round(seconds * transport.rate)), transport.frames))
            transport.publish()

    @property
    def playing(self) -> bool:
        """Whether sound is being played, until the clip's last sample was heard."""
        with self._lock:
            self._transport.settle()
            return self._transport.playing

    @property
    def ended(self) -> bool:
        """Whether the clip ran to its end, until the next play, seek, stop or load."""
        with self._lock:
            self._transport.settle()
            return self._transport.ended

    @property
    def position(self) -> float:
        """Seconds into the clip of what is heard now, which is later rendered than heard by the device's latency."""
        transport = self._transport
        with self._lock:
            return min(transport.heard(), transport.frames) / transport.rate if transport.rate else 0.0

    @property
    def loop(self) -> tuple[float, float] | None:
        """Start and end in seconds of what is repeated; None plays to the clip's end.

        Setting it from outside the loop moves to its start; a later seek outside it is free to leave it. The loop has
        exactly its own length: its last 10 ms are cross-faded into what lies before its start. Raises UsageError
        for a loop of less than 20 ms.
        """
        with self._lock:
            loop, rate = self._transport.loop, self._transport.rate
            return (loop[0] / rate, loop[1] / rate) if loop else None

    @loop.setter
    def loop(self, loop: tuple[float, float] | None) -> None:
        transport = self._transport
        with self._lock:
            if loop is None:
                transport.loop = None
            else:
                if not transport.sounds:
                    raise UsageError("There is nothing to loop yet; load a clip first.")
                start, end = loop
                if not (math.isfinite(start) and math.isfinite(end)):
                    raise UsageError(f"A loop goes from one time in seconds to another, not from {start} to {end}.")
                first, last = (min(max(0, round(time * transport.rate)), transport.frames) for time in (start, end))
                if last - first < min(MIN_LOOP * transport.rate, transport.frames):
                    raise UsageError(
                        f"A loop needs at least {MIN_LOOP * 1000:.0f} ms inside the clip of {self.duration:.2f} s; "
                        f"{start:.3f} to {end:.3f} s has less."
                    )
                transport.loop = first, last
                if not first <= transport.next() < last:
                    transport.jump(first)
            transport.publish()

    # How loud

    @property
    def volume(self) -> float:
        """Amplitude from 0 to 1, for every sound alike."""
        return self._transport.volume

    @volume.setter
    def volume(self, volume: float) -> None:
        if not 0.0 <= volume <= 1.0:
            raise UsageError(f"Volume goes from 0 to 1, not {volume}.")
        with self._lock:
            self._transport.volume = float(volume)
            self._transport.publish()

    @property
    def perturbation_gain_db(self) -> float:
        """What the perturbation alone is made louder by, in dB; a limiter keeps it within full scale."""
        return self._transport.gain_db

    @perturbation_gain_db.setter
    def perturbation_gain_db(self, gain_db: float) -> None:
        if not abs(gain_db) <= MAX_GAIN_DB:
            raise UsageError(f"The perturbation's gain goes from -{MAX_GAIN_DB:.0f} to {MAX_GAIN_DB:.0f} dB.")
        with self._lock:
            self._transport.gain_db = float(gain_db)
            self._transport.publish()

    def suggest_perturbation_gain_db(self) -> float:
        """The gain that makes the perturbation about as loud as the original, without the limiter: see `levels`.

        Looks at half a minute of sound at most, spread over the clip, so that it is quick for any clip. Raises
        UsageError where there is no perturbation.
        """
        with self._lock:
            sources = self._transport.at_clip_rate()
        if PERTURBATION not in sources or ORIGINAL not in sources:
            raise UsageError("There is no perturbation yet; run an attack first.")
        return suggest_gain_db(sources[ORIGINAL], sources[PERTURBATION])

    @property
    def limiting(self) -> bool:
        """Whether the limiter had to act within the last half second: the gain is too high to hear it undistorted."""
        with self._lock:
            output = self._transport.output
            return output is not None and output.sink.now() - output.renderer.limited < 0.5

    # The device

    @property
    def device(self) -> str | None:
        """The name of the device asked for; None for the default. Changing it while playing goes on playing: the
        old device plays until the new one has started, and stays if that does not start (`notice` says why)."""
        return self._devices.device

    @device.setter
    def device(self, name: str | None) -> None:
        self._devices.change(name)

    def rescan(self) -> None:
        """Look for devices plugged in or out since the start; sound pauses for a moment."""
        self._devices.rescan()

    @property
    def output(self) -> str | None:
        """The name of the device that is open; None while none is."""
        output = self._transport.output
        return output.sink.name if output else None

    @property
    def silent(self) -> bool:
        """Whether playing goes on without a sound, for want of a device."""
        output = self._transport.output
        return output is not None and output.sink.silent

    @property
    def notice(self) -> str | None:
        """One sentence on what is the matter with the sound device; None while all is well."""
        return self._devices.notice

    @property
    def underruns(self) -> int:
        """How many blocks of sound came too late for the device since the player was made: 0, or gaps were heard."""
        return self._devices.underruns

    def wait(self, timeout: float = 10.0) -> bool:
        """Wait until the device is open if it is needed, and every change of device is done; False if it is not."""
        return self._devices.wait(timeout)

    def close(self) -> None:
        """Fall silent and give the device back; the player can be used again by `play`."""
        with self._lock:
            self._transport.settle()
            self._transport.playing = False
        self._devices.stop()
        with self._lock:
            self._transport.kept.clear()

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _listed(items: Iterable[object]) -> str:
    return ", ".join(str(item) for item in sorted(items))
