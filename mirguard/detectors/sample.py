"""Clips as one model hears them: what detectors are fitted on, and held to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from mirguard.clip import Clip
from mirguard.errors import UsageError
from mirguard.models.contract import Classifier
from mirguard.models.decision import Decision, decide, track_logits
from mirguard.models.evadable import Probe
from mirguard.models.tracks import Track

LONGEST = 60  # windows of one clip that are kept: a long track must not outweigh the others
FULL_SCALE = 32767.0  # windows are kept as 16-bit files would keep them, in half the memory

Pause = Callable[[], None]


def no_pause() -> None:
    """Nobody else is waiting."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Windows `(n, window)` of clips (16 bits), the clip each belongs to `(n,)`, and of each clip its name and its hash.

    `logits (n, K)` is what the model says of each window. `pause` is called between micro-batches and may raise Cancelled.
    Activations are heard anew when they are asked for, since those of all layers together would be too many to keep."""

    model: Classifier
    windows: np.ndarray
    clip_of: np.ndarray
    names: tuple[str, ...]
    hashes: tuple[str, ...]
    logits: np.ndarray
    source: str = ""
    skipped: tuple[str, ...] = ()
    pause: Pause = no_pause

    @classmethod
    def of(
        cls, model: Classifier, clips: Iterable[Clip], source: str, *, most: int = LONGEST, pause: Pause = no_pause
    ) -> Sample:
        """Hear every clip once, at the most `most` windows of each; silent ones are left out, since they say nothing of clean
        music. UsageError where none is left."""
        windows, clip_of, names, hashes, skipped = [], [], [], [], []
        for clip in clips:
            pause()
            if not np.any(clip.samples):
                skipped.append(f"{clip.name}: silent")
                continue
            track = Track(clip, model)
            chosen = np.unique(np.linspace(0, track.windows - 1, min(track.windows, most)).round().astype(int))
            windows += [_kept(track.piece(number, number + 1)) for number in chosen.tolist()]
            clip_of += [len(names)] * len(chosen)
            names.append(clip.name)
            hashes.append(clip.hash)
        if not windows:
            raise UsageError(f"{source} holds no clip that can be used as a clean reference.")
        heard = np.concatenate(windows)
        return cls(
            model,
            heard,
            np.asarray(clip_of, np.int64),
            tuple(names),
            tuple(hashes),
            _logits(model, heard, pause),
            source,
            tuple(skipped),
            pause,
        )

    @property
    def size(self) -> int:
        """Clips."""
        return len(self.names)

    @property
    def said(self) -> np.ndarray:
        """The class `(clips,)` that the model hears each clip as."""
        heard = [torch.from_numpy(self.logits[self.clip_of == clip])[None] for clip in range(self.size)]
        return torch.cat([track_logits(windows, self.model.task) for windows in heard]).argmax(1).numpy()

    def waveforms(self, chosen: slice | np.ndarray = slice(None)) -> torch.Tensor:
        """Windows `(m, window)` in ±1."""
        return torch.from_numpy(self.windows[chosen].astype(np.float32) / FULL_SCALE)

    def digests(self, probe: Probe) -> np.ndarray:
        """What a probe makes of every window, `(n, d)`."""
        return self.heard(probe.layers, probe.digest)

    def heard(
        self, layers: Sequence[str], make: Callable[[dict[str, torch.Tensor], torch.Tensor], torch.Tensor]
    ) -> np.ndarray:
        """`make(activations by layer, logits)` of every window, joined: `(n, ...)` float32."""
        parts = []
        for first in range(0, len(self.windows), self.model.micro_batch):
            self.pause()
            with torch.no_grad():
                some = self.waveforms(slice(first, first + self.model.micro_batch)).to(self.model.device)
                parts.append(make(*self.model.activations(some, layers)).float().cpu().numpy())
        return np.concatenate(parts)

    def activations(self, layer: str) -> np.ndarray:
        """One layer of every window in its own shape, `(n, d)` or `(n, channels, ...)`."""
        return self.heard((layer,), lambda heard, _logits: heard[layer])

    def part(self, clips: np.ndarray) -> Sample:
        """The clips of these numbers, in this order of numbers."""
        clips = np.sort(np.asarray(clips))
        number = np.full(self.size, -1)
        number[clips] = np.arange(len(clips))
        mine = number[self.clip_of] >= 0
        return replace(
            self,
            windows=self.windows[mine],
            clip_of=number[self.clip_of[mine]],
            names=tuple(self.names[clip] for clip in clips),
            hashes=tuple(self.hashes[clip] for clip in clips),
            logits=self.logits[mine],
        )

    def divided(self, share: float, seed: int = 0) -> tuple[Sample, Sample]:
        """Two samples of different clips, drawn by chance, the second with that share of them (at least one in each)."""
        order = np.random.default_rng(seed).permutation(self.size)
        away = min(max(1, round(share * self.size)), self.size - 1)
        return self.part(order[away:]), self.part(order[:away])

    def changed(self, windows: torch.Tensor, chosen: np.ndarray | None = None) -> Sample:
        """The same clips sounding differently: other windows `(m, window)` in ±1 in the place of those numbered `chosen (m,)`, the
        only ones that are left (default: all)."""
        chosen = np.arange(len(self.windows)) if chosen is None else np.asarray(chosen)
        clips = np.unique(self.clip_of[chosen])
        number = np.full(self.size, -1)
        number[clips] = np.arange(len(clips))
        heard = _kept(windows)
        return replace(
            self,
            windows=heard,
            clip_of=number[self.clip_of[chosen]],
            names=tuple(self.names[clip] for clip in clips),
            hashes=tuple(self.hashes[clip] for clip in clips),
            logits=_logits(self.model, heard, self.pause),
        )


def hear(
    model: Classifier, clip: Clip, probes: Sequence[Probe], rest: Pause | None = None
) -> tuple[tuple[torch.Tensor, ...], Decision]:
    """What each probe makes of a clip's windows `(windows, d)`, and the model's decision, from a single pass."""
    layers = tuple(dict.fromkeys(layer for probe in probes for layer in probe.layers))
    track, found, logits = Track(clip, model), [[] for _ in probes], []
    for first in range(0, track.windows, model.micro_batch):
        if rest:
            rest()  # with gradients on: whoever is served may need them
        with torch.no_grad():
            heard, z = model.activations(track.piece(first, min(first + model.micro_batch, track.windows)), layers)
            for parts, probe in zip(found, probes, strict=True):
                parts.append(probe.digest(heard, z).cpu())
            logits.append(z.cpu())
    return tuple(torch.cat(parts) for parts in found), decide(torch.cat(logits), model.labels, model.task)


def _kept(windows: torch.Tensor) -> np.ndarray:
    return (windows.detach().cpu().clamp(-1.0, 1.0) * FULL_SCALE).round().to(torch.int16).numpy()


def _logits(model: Classifier, windows: np.ndarray, pause: Pause) -> np.ndarray:
    parts = []
    for first in range(0, len(windows), model.micro_batch):
        pause()
        with torch.no_grad():
            some = torch.from_numpy(windows[first : first + model.micro_batch].astype(np.float32) / FULL_SCALE)
            parts.append(model.logits(some.to(model.device)).float().cpu().numpy())
    return np.concatenate(parts)
