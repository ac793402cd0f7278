"""The player: several sounds of one length at one position, switched without a gap or a click.

It has no Qt and no signals: whoever shows it looks at `position`, `playing`, `ended`, `notice` and the rest as
often as the screen is drawn. All methods return at once; opening a device, which may take long or hang, happens in a
thread of the player's own.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from mirguard.errors import UsageError
from mirguard.playback import sinks
from mirguard.playback.levels import MAX_GAIN_DB, suggest_gain_db
from mirguard.playback.renderer import FADE, Renderer, Wanted
from mirguard.playback.sinks import LATENCY, Sink, SoundError
from mirguard.playback.sources import Difference, Resampled, Sound, Source

ORIGINAL, ADVERSARIAL, PERTURBATION = "original", "adversarial", "perturbation"
MAX_CHANNELS = 8
MIN_LOOP = 0.02  # seconds: room for the two halves of the cross-fade at its seam
IDLE = 30.0  # seconds of silence after which the device is given back
# Seconds that are kept ready where a device needs another rate: at once when something changes, and in the background.
AT_ONCE, AHEAD = 0.5, 3.0
TICK = 0.25  # seconds between looks at the device

Opener = Callable[[int, int, str | None, float], tuple[Sink, str | None]]


class _Output:
    """An open sink, its renderer, and the player's sounds at its rate."""

    def __init__(self, sink: Sink, clip_rate: int) -> None:
        self.sink, self.clip_rate = sink, clip_rate
        self.renderer = Renderer(sink.sample_rate, sink.channels, Wanted())
        self.sources: dict[str, Source] = {}
        self.missed = 0  # of sources that are no longer played

    def frame(self, clip_frame: float) -> int:
        return round(clip_frame * self.sink.sample_rate / self.clip_rate)

    def clip_frame(self, frame: float) -> float:
        return frame * self.clip_rate / self.sink.sample_rate

    def provide(self, sounds: Mapping[str, np.ndarray]) -> None:
        """Make sources of the sounds; one whose samples are the same stays the same source."""
        old, self.sources = self.sources, {}
        for name, samples in sounds.items():
            source = old.get(name)
            if isinstance(source, (Sound, Resampled)) and source.samples is samples:
                self.sources[name] = source
            elif self.sink.sample_rate == self.clip_rate:
                self.sources[name] = Sound(samples)
            else:
                self.sources[name] = Resampled(samples, self.clip_rate, self.sink.sample_rate)
        _derive(self.sources, old.get(PERTURBATION))
        gone = (source for name, source in old.items() if source is not self.sources.get(name))
        self.missed += sum(getattr(source, "missed", 0) for source in gone)

    def prepare(self, frame: int, loop: tuple[int, int] | None, seconds: float) -> None:
        """Have what is played next from `frame` at hand, where it has to be resampled first."""
        ahead, fade = round(seconds * self.sink.sample_rate), round(2 * FADE * self.sink.sample_rate)
        stretches = [(frame - fade, frame + ahead)]
        if loop:
            stretches.append((loop[0] - fade, loop[0] + ahead))
        for source in self.sources.values():
            if isinstance(source, Resampled):
                source.prepare(*stretches)

    @property
    def underruns(self) -> int:
        return self.sink.underruns + self.missed + sum(getattr(source, "missed", 0) for source in self.sources.values())


def _derive(sources: dict[str, Source], old: Source | None = None) -> None:
    """Where original and adversarial are there but no perturbation, that is their difference."""
    original, adversarial = sources.get(ORIGINAL), sources.get(ADVERSARIAL)
    if PERTURBATION in sources or original is None or adversarial is None or original.channels != adversarial.channels:
        return
    if isinstance(old, Difference) and (old.first, old.second) == (adversarial, original):
        sources[PERTURBATION] = old
    else:
        sources[PERTURBATION] = Difference(adversarial, original)


class Player:
    """Plays one of several sounds of the same length, and changes between them where it is.

    `device` is a name from `sinks.devices()`, None for the default. Nothing is opened before the first `play`,
    and the device is given back after half a minute of silence. `opener` makes the sink (tests bring their own).
    """

    def __init__(
        self, device: str | None = None, *, latency: float = LATENCY, opener: Opener = sinks.open_sink
    ) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._device, self._latency, self._opener = device, latency, opener
        self._sounds: dict[str, np.ndarray] = {}
        self._rate, self._frames = 0, 0
        self._selected = ORIGINAL
        self._playing = self._ended = False
        self._run = self._seek = 0
        self._rest = 0  # clip frame: where the last jump went, or where the sound was when its device was closed
        self._loop: tuple[int, int] | None = None
        self._volume, self._gain_db = 1.0, 0.0
        self._notice: str | None = None
        self._underruns = 0  # of outputs that are closed
        self._output: _Output | None = None
        self._kept: list[object] = []  # sounds that a fade may still be reading
        self._thread: threading.Thread | None = None
        self._busy = self._reopen = self._rescan = self._closing = False
        self._idle_since = 0.0

    # What there is to hear

    def load(self, sources: Mapping[str, np.ndarray], sample_rate: int) -> None:
        """Take sounds of one length and stop at their beginning.

        Each is float32 (channels, frames) or (frames,), 1 to 8 channels, full scale ±1, and is kept by reference:
        do not change it afterwards. With "original" and "adversarial" but no "perturbation", that is played as the
        difference of the two. Selected is "original", else the first. Raises UsageError.
        """
        sounds = {name: _samples(name, samples) for name, samples in sources.items()}
        if not sounds:
            raise UsageError("There is nothing to play; give at least one sound.")
        lengths = {samples.shape[1] for samples in sounds.values()}
        if len(lengths) > 1:
            raise UsageError(f"Sounds that are compared must have one length; these have {_listed(lengths)} frames.")
        if not (isinstance(sample_rate, (int, np.integer)) and sample_rate > 0):
            raise UsageError(f"A sample rate is a positive whole number of Hz, not {sample_rate}.")
        with self._lock:
            self._settle()
            self._keep()
            self._playing = self._ended = False
            if self._output is not None and self._output.clip_rate != sample_rate:
                self._reopen = True
            self._sounds, self._rate, self._frames = sounds, int(sample_rate), lengths.pop()
            self._selected = ORIGINAL if ORIGINAL in sounds else next(iter(sounds))
            self._loop = None
            self._jump(0)
            self._provide()

    def replace(self, name: str, samples: np.ndarray) -> None:
        """Put other samples in a sound's place, or add a sound; if it is playing, it is cross-faded into.

        Raises UsageError where the length differs from the other sounds'.
        """
        samples = _samples(name, samples)
        with self._lock:
            if not self._sounds:
                raise UsageError(f"There is no clip yet for the {name} sound; load a clip first.")
            if samples.shape[1] != self._frames:
                raise UsageError(
                    f"The {name} sound has {samples.shape[1]} frames but the clip has {self._frames}; "
                    "sounds that are compared must have one length."
                )
            self._keep()
            self._sounds = {**self._sounds, name: samples}
            self._provide()

    def remove(self, name: str) -> None:
        """Forget a sound; if it was selected, the first of the others is. The last one cannot be removed."""
        with self._lock:
            if name not in self._sounds:
                return
            if len(self._sounds) == 1:
                raise UsageError(f"The {name} sound is the only one; load another clip instead.")
            self._keep()
            self._sounds = {other: samples for other, samples in self._sounds.items() if other != name}
            self._provide()

    @property
    def names(self) -> tuple[str, ...]:
        """What can be selected now."""
        with self._lock:
            return tuple(self._at_clip_rate())

    @property
    def selected(self) -> str:
        return self._selected

    def select(self, name: str) -> None:
        """Go on with another sound at the same position. Raises UsageError where there is none of that name."""
        with self._lock:
            if name not in self.names:
                if name in (ADVERSARIAL, PERTURBATION):
                    raise UsageError(f"There is no {name} sound yet; run an attack first.")
                raise UsageError(f"There is no sound {name}; there are: {_listed(self.names) or 'none'}.")
            self._selected = name
            self._publish()

    @property
    def sample_rate(self) -> int:
        """Of the loaded sounds, in Hz; 0 while there are none."""
        return self._rate

    @property
    def duration(self) -> float:
        """Seconds; 0 while nothing is loaded."""
        return self._frames / self._rate if self._rate else 0.0

    # Moving through it

    def play(self) -> None:
        """Go on from where the sound is; at the end, from the beginning (of the loop, if there is one)."""
        with self._lock:
            if not self._sounds:
                raise UsageError("There is nothing to play yet; load a clip first.")
            self._settle()
            if self._playing:
                return
            if self._next() >= self._frames:
                self._jump(self._loop[0] if self._loop else 0)
            self._playing, self._ended = True, False
            self._run += 1
            self._publish()
            if self._thread is None:
                self._thread = threading.Thread(target=self._tend, name="mirguard-sound", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def pause(self) -> None:
        """Fall silent where it is."""
        with self._lock:
            self._settle()
            self._playing = False
            self._publish()

    def toggle(self) -> None:
        """Play if paused, pause if playing."""
        with self._lock:
            if self.playing:
                self.pause()
            else:
                self.play()

    def stop(self) -> None:
        """Fall silent and go back to the beginning (of the loop, if there is one)."""
        with self._lock:
            self._settle()
            self._playing = self._ended = False
            self._jump(self._loop[0] if self._loop else 0)
            self._publish()

    def seek(self, seconds: float) -> None:
        """Go to a time, playing or not; what lies outside the clip means its beginning or its end."""
        if not math.isfinite(seconds):
            raise UsageError(f"A position is a number of seconds, not {seconds}.")
        with self._lock:
            self._settle()
            self._ended = False
            self._jump(min(max(0, round(seconds * self._rate)), self._frames))
            self._publish()

    @property
    def playing(self) -> bool:
        """Whether sound is being played, until the clip's last sample was heard."""
        with self._lock:
            self._settle()
            return self._playing

    @property
    def ended(self) -> bool:
        """Whether the clip ran to its end, until the next play, seek, stop or load."""
        with self._lock:
            self._settle()
            return self._ended

    @property
    def position(self) -> float:
        """Seconds into the clip of what is heard now, which is later rendered than heard by the device's latency."""
        with self._lock:
            if not self._rate:
                return 0.0
            output = self._output
            if output is None or output.clip_rate != self._rate:
                return self._rest / self._rate
            frame = output.renderer.heard(output.sink.now())
            return min(output.clip_frame(frame), self._frames) / self._rate

    @property
    def loop(self) -> tuple[float, float] | None:
        """Start and end in seconds of what is repeated; None plays to the clip's end.

        Setting it from outside the loop moves to its start; a later seek outside it is free to leave it. The loop has
        exactly its own length: its last 10 ms are cross-faded into what lies before its start. Raises UsageError
        for a loop of less than 20 ms.
        """
        with self._lock:
            return (self._loop[0] / self._rate, self._loop[1] / self._rate) if self._loop else None

    @loop.setter
    def loop(self, loop: tuple[float, float] | None) -> None:
        with self._lock:
            if loop is None:
                self._loop = None
            else:
                if not self._sounds:
                    raise UsageError("There is nothing to loop yet; load a clip first.")
                start, end = loop
                if not (math.isfinite(start) and math.isfinite(end)):
                    raise UsageError(f"A loop goes from one time in seconds to another, not from {start} to {end}.")
                first, last = (min(max(0, round(time * self._rate)), self._frames) for time in (start, end))
                if last - first < min(MIN_LOOP * self._rate, self._frames):
                    raise UsageError(
                        f"A loop needs at least {MIN_LOOP * 1000:.0f} ms inside the clip of {self.duration:.2f} s; "
                        f"{start:.3f} to {end:.3f} s has less."
                    )
                self._loop = first, last
                if not first <= self._next() < last:
                    self._jump(first)
            self._publish()

    # How loud

    @property
    def volume(self) -> float:
        """Amplitude from 0 to 1, for every sound alike."""
        return self._volume

    @volume.setter
    def volume(self, volume: float) -> None:
        if not 0.0 <= volume <= 1.0:
            raise UsageError(f"Volume goes from 0 to 1, not {volume}.")
        with self._lock:
            self._volume = float(volume)
            self._publish()

    @property
    def perturbation_gain_db(self) -> float:
        """What the perturbation alone is made louder by, in dB; a limiter keeps it within full scale."""
        return self._gain_db

    @perturbation_gain_db.setter
    def perturbation_gain_db(self, gain_db: float) -> None:
        if not abs(gain_db) <= MAX_GAIN_DB:
            raise UsageError(f"The perturbation's gain goes from -{MAX_GAIN_DB:.0f} to {MAX_GAIN_DB:.0f} dB.")
        with self._lock:
            self._gain_db = float(gain_db)
            self._publish()

    def suggest_perturbation_gain_db(self) -> float:
        """The gain that makes the perturbation about as loud as the original, without the limiter: see `levels`.

        Looks at half a minute of sound at most, spread over the clip, so that it is quick for any clip. Raises
        UsageError where there is no perturbation.
        """
        with self._lock:
            sources = self._at_clip_rate()
        if PERTURBATION not in sources or ORIGINAL not in sources:
            raise UsageError("There is no perturbation yet; run an attack first.")
        return suggest_gain_db(sources[ORIGINAL], sources[PERTURBATION])

    @property
    def limiting(self) -> bool:
        """Whether the limiter had to act within the last half second: the gain is too high to hear it undistorted."""
        with self._lock:
            output = self._output
            return output is not None and output.sink.now() - output.renderer.limited < 0.5

    # The device

    @property
    def device(self) -> str | None:
        """The name of the device asked for; None for the default. Changing it while playing goes on playing: the
        old device plays until the new one has started, and stays if that does not start (`notice` says why)."""
        return self._device

    @device.setter
    def device(self, name: str | None) -> None:
        with self._lock:
            if name != self._device:
                self._device = name
                self._reopen = self._thread is not None
                self._changed.notify_all()

    def rescan(self) -> None:
        """Look for devices plugged in or out since the start; sound pauses for a moment."""
        with self._lock:
            if self._thread is None:
                sinks.rescan()
            else:
                self._rescan = True
                self._changed.notify_all()

    @property
    def output(self) -> str | None:
        """The name of the device that is open; None while none is."""
        output = self._output
        return output.sink.name if output else None

    @property
    def silent(self) -> bool:
        """Whether playing goes on without a sound, for want of a device."""
        output = self._output
        return output is not None and output.sink.silent

    @property
    def notice(self) -> str | None:
        """One sentence on what is the matter with the sound device; None while all is well."""
        return self._notice

    @property
    def underruns(self) -> int:
        """How many blocks of sound came too late for the device since the player was made: 0, or gaps were heard."""
        with self._lock:
            return self._underruns + (self._output.underruns if self._output else 0)

    def wait(self, timeout: float = 10.0) -> bool:
        """Wait until the device is open if it is needed, and every change of device is done; False if it is not."""
        with self._lock:
            return self._changed.wait_for(lambda: not self._busy and not self._task(), timeout)

    def close(self) -> None:
        """Fall silent and give the device back; the player can be used again by `play`."""
        with self._lock:
            self._settle()
            self._playing = False
            thread, self._thread = self._thread, None
            self._closing = thread is not None
            self._changed.notify_all()
        if thread is not None:
            thread.join(5.0)  # a device that hangs in opening is left to its own thread
        with self._lock:
            self._kept.clear()

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Within the lock

    def _at_clip_rate(self) -> dict[str, Source]:
        sources: dict[str, Source] = {name: Sound(samples) for name, samples in self._sounds.items()}
        _derive(sources)
        return sources

    def _settle(self) -> None:
        """Take note of the clip's having run out, once its last sample was heard."""
        output = self._output
        if self._playing and output is not None:
            run, when = output.renderer.ended
            if run == self._run and output.sink.now() >= when:
                self._playing, self._ended = False, True
                self._idle_since = time.monotonic()

    def _next(self) -> float:
        """The clip's frame that is rendered next."""
        output = self._output
        if output is None or output.clip_rate != self._rate:
            return self._rest
        return output.clip_frame(output.renderer.next)

    def _jump(self, frame: float) -> None:
        self._seek += 1
        self._rest = frame

    def _keep(self) -> None:
        """Hold on to the sounds of now: the callback may read them for a fade more, and is not to free them."""
        output = self._output
        if output is not None:
            self._kept.append((self._sounds, output.sources, output.renderer.wanted))

    def _provide(self) -> None:
        if self._selected not in self.names:
            self._selected = next(iter(self._sounds))
        if self._output is not None and self._output.clip_rate == self._rate:
            self._output.provide(self._sounds)
        self._publish()

    def _publish(self) -> None:
        """Tell the renderer in one assignment."""
        if not self._playing:
            self._idle_since = time.monotonic()
        output = self._output
        if output is not None:
            if output.clip_rate == self._rate:
                wanted = self._wanted(output)
                jumped = wanted.seek != output.renderer.wanted.seek
                output.prepare(wanted.frame if jumped else output.renderer.next, wanted.loop, AT_ONCE)
                output.renderer.wanted = wanted
            else:
                output.renderer.wanted = output.renderer.wanted._replace(playing=False)
        self._changed.notify_all()

    def _wanted(self, output: _Output) -> Wanted:
        gain = 10 ** (self._gain_db / 20) if self._selected == PERTURBATION else 1.0
        loop = (output.frame(self._loop[0]), output.frame(self._loop[1])) if self._loop else None
        return Wanted(
            output.sources[self._selected],
            gain,
            loop,
            self._playing,
            self._run,
            self._seek,
            output.frame(self._rest),
            self._volume,
        )

    # The player's own thread

    def _task(self) -> str | None:
        """What that thread has to do next."""
        if self._closing:
            return "close"
        if self._rescan:
            return "rescan"
        if self._reopen:
            return "reopen"
        if self._playing and self._output is None:
            return "open"
        return None

    def _tend(self) -> None:
        """Open, change, watch and close the device until the player is closed."""
        while True:
            with self._lock:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(self._task, TICK if self._output or self._kept else None)
                task = self._task()
                self._busy = task is not None
            if task == "close":
                self._drop()
                with self._lock:
                    self._closing = self._busy = False
                    self._changed.notify_all()
                return
            if task == "rescan":
                self._drop()
                sinks.rescan()
                self._rescan = False
            elif task == "reopen":
                self._reopen = False
                if self._playing or (self._output is not None and self._output.clip_rate == self._rate):
                    self._open()
                else:
                    self._drop()
            elif task == "open":
                self._open()
            else:
                self._watch()

    def _open(self) -> None:
        """Open the device asked for and hand over to it; the old one plays until the new one does."""
        with self._lock:
            rate, device, old = self._rate, self._device, self._output
        sink, notice = self._opener(rate, 2, device, self._latency)
        if old is not None and sink.silent and not old.sink.silent and old.clip_rate == rate:
            sink.close()
            self._notice = f"{notice} Still playing on {old.sink.name}."
            return
        output = _Output(sink, rate)
        try:
            sink.start(output.renderer.render)
            started = _happens(lambda: sink.blocks > 0, 3.0)
        except SoundError as error:
            started, notice = False, str(error)
        if not started:
            notice = notice or f"The sound device {sink.name} does not play; choose another device."
            sink.close()
            if old is not None and old.clip_rate == rate:
                self._notice = f"{notice} Still playing on {old.sink.name}."
                return
            sink = sinks.NullSink(rate)
            output = _Output(sink, rate)
            sink.start(output.renderer.render)
        with self._lock:
            if self._rate != rate:  # another clip was loaded meanwhile
                self._reopen = self._output is not None or self._playing
                stale: _Output | None = output
            else:
                self._settle()
                stale = self._output
                if stale is not None:
                    if stale.clip_rate == rate:
                        heard = stale.clip_frame(stale.renderer.heard(stale.sink.now()))
                        self._jump(heard if self._playing else self._next())
                    stale.renderer.wanted = stale.renderer.wanted._replace(playing=False)
                    self._underruns += stale.underruns
                self._output, self._notice = output, notice
                self._seek += 1  # the new renderer has not heard of the position
                output.provide(self._sounds)
                self._publish()
        if stale is not None:
            time.sleep(self._latency + 2 * FADE)  # let it fade out
            stale.sink.close()

    def _watch(self) -> None:
        with self._lock:
            output = self._output
            self._settle()
            if output is None or output.renderer.settled is output.renderer.wanted:
                forgotten, self._kept = self._kept, []
                del forgotten  # a long sound takes a while to be freed: here, not in the callback
            if output is None:
                return
            output.prepare(output.renderer.next, output.renderer.wanted.loop, AHEAD)
            failure = output.sink.failure
            idle = not self._playing and time.monotonic() - self._idle_since > IDLE
            if failure:
                self._playing, self._notice = False, failure
        if failure or idle:
            self._drop()

    def _drop(self) -> None:
        """Give the device back; the position stays."""
        with self._lock:
            output = self._output
            if output is None:
                return
            self._settle()
            sounding = self._playing
            if output.clip_rate == self._rate:
                self._rest = min(round(self._next()), self._frames)
            output.renderer.wanted = output.renderer.wanted._replace(playing=False)
            self._underruns += output.underruns
            self._output = None
        if sounding and not output.sink.failure:
            time.sleep(self._latency + 2 * FADE)  # let it fade out
        output.sink.close()


def _happens(what: Callable[[], bool], seconds: float) -> bool:
    """Whether it comes true within so many seconds."""
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def _samples(name: str, samples: np.ndarray) -> np.ndarray:
    array = np.asarray(samples)
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2 or array.shape[1] == 0 or not 1 <= array.shape[0] <= MAX_CHANNELS:
        raise UsageError(
            f"The {name} sound needs samples of shape (channels, frames) with 1 to {MAX_CHANNELS} channels, "
            f"not {np.shape(samples)}."
        )
    return array if array.dtype == np.float32 else array.astype(np.float32)


def _listed(items: Iterable[object]) -> str:
    return ", ".join(str(item) for item in sorted(items))
