"""A player that tests can hear: it plays into a NullSink that is pumped by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from mirguard.playback.player import Player
from mirguard.playback.renderer import FADE
from mirguard.playback.sinks import NullSink


class Device(NullSink):
    """A pumped sink that counts as a real device."""

    silent = False

    def __init__(self, rate: int, channels: int = 2, name: str = "speakers") -> None:
        super().__init__(rate, channels, manual=True)
        self.name = name
        self.closed = False
        self.lag = 0.0  # seconds from handing over to hearing

    def now(self) -> float:
        return super().now() - self.lag

    def close(self) -> None:
        self.closed = True
        super().close()


class Listener:
    """Loads sounds into a player, and pumps what it plays."""

    def __init__(self, sounds: dict[str, np.ndarray], rate: int, device_rate: int | None, outputs: int) -> None:
        self.opened: list[Device] = []
        self.device_rate, self.outputs = device_rate, outputs
        self.player = Player(opener=self._open, latency=0.0)
        self.player.load(sounds, rate)

    def _open(self, rate: int, channels: int, device: str | None, latency: float) -> tuple[Device, None]:
        self.opened.append(Device(self.device_rate or rate, min(channels, self.outputs), device or "speakers"))
        return self.opened[-1], None

    def play(self) -> None:
        self.player.play()
        assert self.player.wait()

    def hear(self, frames: int, block: int = 600) -> np.ndarray:
        """The next frames (channels, frames), asked for in blocks as a device would."""
        sink = self.opened[-1]
        blocks = [sink.pump(min(block, frames - done)) for done in range(0, frames, block)]
        return np.concatenate(blocks).T if blocks else np.zeros((sink.channels, 0), np.float32)


@contextmanager
def listen(
    sounds: dict[str, np.ndarray], rate: int = 8000, device_rate: int | None = None, outputs: int = 2
) -> Iterator[Listener]:
    listener = Listener(sounds, rate, device_rate, outputs)
    del sounds  # the player alone holds them
    with listener.player:
        yield listener


def fade(rate: int) -> int:
    """Frames of the player's cross-fades."""
    return round(FADE * rate)


def largest_step(samples: np.ndarray) -> float:
    """Between neighbouring samples of any channel."""
    return float(np.abs(np.diff(samples.astype(np.float64))).max())
