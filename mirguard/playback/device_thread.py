"""The thread that opens, changes, watches and closes the sound device: all of that may take long or hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from mirguard.playback import sinks
from mirguard.playback.output import Output
from mirguard.playback.renderer import FADE
from mirguard.playback.sinks import Sink, SoundError
from mirguard.playback.transport import Transport

IDLE = 30.0  # seconds of silence after which the device is given back
AHEAD = 3.0  # seconds that are kept ready where the device needs another rate
TICK = 0.25  # seconds between looks at the device
PATIENCE = 3.0  # seconds in which a device that was started has to ask for sound

Opener = Callable[[int, int, str | None, float], tuple[Sink, str | None]]
"""Sample rate, channels, name of the device or None, latency -> a sink, and a sentence if it is not the one asked for."""


class DeviceThread:
    """Keeps a device open for the transport while one is needed. All methods return at once but `wait` and `stop`."""

    def __init__(self, transport: Transport, device: str | None, latency: float, opener: Opener) -> None:
        self.device = device
        self.notice: str | None = None
        self._transport, self._latency, self._opener = transport, latency, opener
        self._underruns = 0  # of outputs that are closed
        self._thread: threading.Thread | None = None
        self._busy = self._reopen = self._rescan = self._closing = False

    # Everybody else's side

    def start(self) -> None:
        """Run, if it does not yet: the device is opened as soon as something plays."""
        with self._transport.lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._tend, name="mirguard-sound", daemon=True)
                self._thread.start()
            self._transport.changed.notify_all()

    def change(self, device: str | None) -> None:
        """Play on another device."""
        with self._transport.lock:
            if device != self.device:
                self.device = device
                self._reopen = self._thread is not None
                self._transport.changed.notify_all()

    def follow(self, rate: int) -> None:
        """Open the device anew if it was opened for a clip of another rate."""
        output = self._transport.output
        if output is not None and output.clip_rate != rate:
            self._reopen = True

    def rescan(self) -> None:
        """Look for devices plugged in or out."""
        with self._transport.lock:
            if self._thread is None:
                sinks.rescan()
            else:
                self._rescan = True
                self._transport.changed.notify_all()

    @property
    def underruns(self) -> int:
        """Of all outputs there were."""
        with self._transport.lock:
            output = self._transport.output
            return self._underruns + (output.underruns if output else 0)

    def wait(self, timeout: float) -> bool:
        """Wait until nothing is left to do; False if something still is."""
        with self._transport.lock:
            return self._transport.changed.wait_for(lambda: not self._busy and not self._task(), timeout)

    def stop(self) -> None:
        """Close the device and end."""
        with self._transport.lock:
            thread, self._thread = self._thread, None
            self._closing = thread is not None
            self._transport.changed.notify_all()
        if thread is not None:
            thread.join(5.0)  # a device that hangs in opening is left to its own thread

    # The thread itself

    def _task(self) -> str | None:
        """What it has to do next."""
        if self._closing:
            return "close"
        if self._rescan:
            return "rescan"
        if self._reopen:
            return "reopen"
        if self._transport.playing and self._transport.output is None:
            return "open"
        return None

    def _tend(self) -> None:
        transport = self._transport
        while True:
            with transport.lock:
                self._busy = False
                transport.changed.notify_all()
                transport.changed.wait_for(self._task, TICK if transport.output or transport.kept else None)
                task = self._task()
                self._busy = task is not None
            if task == "close":
                self._drop()
                with transport.lock:
                    self._closing = self._busy = False
                    transport.changed.notify_all()
                return
            if task == "rescan":
                self._drop()
                sinks.rescan()
                self._rescan = False
            elif task == "reopen":
                self._reopen = False
                if transport.playing or transport.fitting is not None:
                    self._open()
                else:
                    self._drop()
            elif task == "open":
                self._open()
            else:
                self._watch()

    def _open(self) -> None:
        """Open the device asked for and hand over to it; the old one plays until the new one does."""
        transport = self._transport
        with transport.lock:
            rate, device, old = transport.rate, self.device, transport.output
        sink, notice = self._opener(rate, 2, device, self._latency)
        if old is not None and sink.silent and not old.sink.silent and old.clip_rate == rate:
            sink.close()
            self.notice = f"{notice} Still playing on {old.sink.name}."
            return
        output = Output(sink, rate)
        try:
            sink.start(output.renderer.render)
            started = _happens(lambda: sink.blocks > 0, PATIENCE)
        except SoundError as error:
            started, notice = False, str(error)
        if not started:
            notice = notice or f"The sound device {sink.name} does not play; choose another device."
            sink.close()
            if old is not None and old.clip_rate == rate:
                self.notice = f"{notice} Still playing on {old.sink.name}."
                return
            sink = sinks.NullSink(rate)
            output = Output(sink, rate)
            sink.start(output.renderer.render)
        with transport.lock:
            if transport.rate != rate:  # another clip was loaded meanwhile
                self._reopen = transport.output is not None or transport.playing
                stale: Output | None = output
            else:
                stale = transport.hand_over(output)
                self.notice = notice
                if stale is not None:
                    self._underruns += stale.underruns
        if stale is not None:
            self._let_fade()
            stale.sink.close()

    def _watch(self) -> None:
        """Prepare what comes next, free what was played, notice a device that failed or is no longer needed."""
        transport = self._transport
        with transport.lock:
            output = transport.output
            transport.settle()
            if output is None or output.renderer.settled is output.renderer.wanted:
                forgotten, transport.kept = transport.kept, []
                del forgotten  # a long sound takes a while to be freed: here, not in the callback
            if output is None:
                return
            output.prepare(output.renderer.next, output.renderer.wanted.loop, AHEAD)
            failure = output.sink.failure
            idle = not transport.playing and time.monotonic() - transport.silent_since > IDLE
            if failure:
                transport.playing, self.notice = False, failure
        if failure or idle:
            self._drop()

    def _drop(self) -> None:
        """Give the device back; the position stays."""
        with self._transport.lock:
            output = self._transport.leave()
            if output is None:
                return
            sounding = self._transport.playing
            self._underruns += output.underruns
        if sounding and not output.sink.failure:
            self._let_fade()
        output.sink.close()

    def _let_fade(self) -> None:
        time.sleep(self._latency + 2 * FADE)


def _happens(what: Callable[[], bool], seconds: float) -> bool:
    """Whether it comes true within so many seconds."""
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True
