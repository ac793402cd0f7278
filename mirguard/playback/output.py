"""One open sink with its renderer, and the sounds at its rate."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mirguard.playback.renderer import FADE, Renderer, Wanted
from mirguard.playback.sinks import Sink
from mirguard.playback.sounds import PERTURBATION, derive
from mirguard.playback.sources import Resampled, Sound, Source


class Output:
    """Plays the sounds of a clip of `clip_rate` Hz on `sink`, whose rate may be another."""

    def __init__(self, sink: Sink, clip_rate: int) -> None:
        self.sink, self.clip_rate = sink, clip_rate
        self.renderer = Renderer(sink.sample_rate, sink.channels, Wanted())
        self.sources: dict[str, Source] = {}
        self._missed = 0  # of sources that are no longer played

    def frame(self, clip_frame: float) -> int:
        """The sink's frame for one of the clip's."""
        return round(clip_frame * self.sink.sample_rate / self.clip_rate)

    def clip_frame(self, frame: float) -> float:
        """The clip's frame for one of the sink's."""
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
        derive(self.sources, old.get(PERTURBATION))
        gone = (source for name, source in old.items() if source is not self.sources.get(name))
        self._missed += sum(getattr(source, "missed", 0) for source in gone)

    def prepare(self, frame: int, loop: tuple[int, int] | None, seconds: float) -> None:
        """Have what is played next from `frame` at hand, where it has to be resampled first."""
        ahead, fade = round(seconds * self.sink.sample_rate), round(2 * FADE * self.sink.sample_rate)
        stretches = [(frame - fade, frame + ahead)]
        if loop:
            stretches.append((loop[0] - fade, loop[0] + ahead))
        for source in self.sources.values():
            if isinstance(source, Resampled):
                source.prepare(*stretches)

    def silence(self) -> None:
        """Fade out and stay silent."""
        self.renderer.wanted = self.renderer.wanted._replace(playing=False)

    @property
    def underruns(self) -> int:
        """Blocks that came too late for the sink, or whose samples did for the block."""
        missed = sum(getattr(source, "missed", 0) for source in self.sources.values())
        return self.sink.underruns + self._missed + missed
