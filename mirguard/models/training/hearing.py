"""Labelled sounds as a model hears them: loaded, resampled and cut into windows on the path that `classify` takes.

What a clip gave is kept (`cache`). A file that cannot be read is named and left out, the others go on. Of a long clip only so many
windows are heard, in pairs of neighbours spread over its length.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from mirguard.clip import Clip, load_clip
from mirguard.errors import Cancelled, FileError, MirguardError
from mirguard.models.contract import Classifier
from mirguard.models.tracks import Track
from mirguard.models.training.cache import Cache, key_of

VERSION = 1  # goes up when the same file gives other numbers
WINDOWS = 20  # of one clip, unless told otherwise
_BLOCK = 8  # windows that are resampled at a time


def blocks(windows: int, most: int) -> list[tuple[int, int]]:
    """Which windows `[first, last)` of a clip are heard: all of them if there are at most `most`, else pairs of neighbours spread
    evenly over the clip (a single one for an odd `most`)."""
    if windows <= most:
        return [(0, windows)]
    pairs = max(1, most // 2)
    length = 2 if most > 1 else 1
    firsts = np.linspace(0, windows - length, pairs).round().astype(int).tolist()
    return [(first, first + length) for first in firsts]


class Ear:
    """What hearing needs besides the items: the cache, and whom to ask between windows whether to go on.

    `progress(done, of, name)` is told before each clip."""

    def __init__(
        self,
        *,
        most: int = WINDOWS,
        cache: Cache | None = None,
        progress: Callable[[int, int, str], None] | None = None,
        cancel: threading.Event | None = None,
        rest: Callable[[], None] | None = None,
    ) -> None:
        self.most, self.cache = most, cache or Cache()
        self._progress, self._cancel, self._rest = progress, cancel, rest

    def pause(self) -> None:
        """Between windows: let more urgent work pass; Cancelled if somebody asked to stop."""
        if self._rest:
            self._rest()
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled("Training was cancelled.")

    def each(self, items: Sequence[Any], hear: Callable[[Any], Any], skipped: list[str]) -> Iterator[tuple[int, Any]]:
        """The number of each item that could be heard and what `hear` made of it; the others' sentences go into `skipped`."""
        for number, item in enumerate(items):
            self.pause()
            if self._progress:
                self._progress(number, len(items), item.path.name)
            try:
                yield number, hear(item)
            except MirguardError as error:
                said = str(error)
                skipped.append(said if item.path.name in said else f"{item.path.name}: {said}")
        self.cache.prune()


def identity(item: Any) -> str:
    """The file and the part of it that an item names; another file of that name, size and time of change is not expected."""
    try:
        about = os.stat(item.path)
    except OSError as error:
        raise FileError(f"{item.path} cannot be read: {error.strerror}.") from error
    part = (getattr(item, "start", None), getattr(item, "seconds", None))
    return key_of(os.path.abspath(item.path), about.st_size, about.st_mtime_ns, *part)


def sound_of(item: Any) -> Clip:
    """The item's sound: its file, or the part between `start` and `start + seconds`. FileError where there is none."""
    clip = load_clip(item.path)
    start, seconds = getattr(item, "start", None) or 0.0, getattr(item, "seconds", None)
    if start or seconds is not None:
        first = round(start * clip.sample_rate)
        last = clip.frames if seconds is None else min(clip.frames, first + round(seconds * clip.sample_rate))
        if not 0 <= first < last:
            raise FileError(f"{item.path.name} is {clip.duration:.1f} s long and has nothing at {start:g} s.")
        clip = Clip(clip.samples[:, first:last], clip.sample_rate, clip.source)
    if not np.any(clip.samples):
        raise FileError(f"{item.path.name} is silent.")
    return clip


# -- Features ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Features:
    """Features `(windows, d)`, the clip that each window belongs to (a number into `items`), the items that could be heard and one
    sentence for each that could not."""

    items: tuple[Any, ...]
    features: np.ndarray
    clip: np.ndarray
    skipped: tuple[str, ...]


def hear_features(
    items: Sequence[Any], model: Classifier, layers: Sequence[str], ear: Ear, also: Sequence[str] = ()
) -> Features:
    """Every item through the model: `layers` side by side. `also` names layers to keep in the cache in the same pass."""

    def hear(item: Any) -> np.ndarray:
        file = identity(item)
        keys = {
            layer: key_of("features", VERSION, file, model.hash, model.sample_rate, model.window, ear.most, layer)
            for layer in dict.fromkeys([*layers, *also])
        }
        found = {layer: ear.cache.get(keys[layer]) for layer in layers}
        if not _belong_together(found):
            made = _features(sound_of(item), model, list(keys), ear)
            for layer, values in made.items():
                ear.cache.put(keys[layer], values)
            found = made
        return np.concatenate([found[layer] for layer in layers], 1)

    heard, parts, clip, skipped = [], [], [], []
    for number, features in ear.each(items, hear, skipped):
        if not np.isfinite(features).all():
            skipped.append(f"{items[number].path.name}: {model.name} gives NaN or infinite features for it.")
            continue
        clip += [len(heard)] * len(features)
        heard.append(items[number])
        parts.append(features)
    features = np.concatenate(parts) if parts else np.empty((0, 0), np.float32)
    return Features(tuple(heard), features, np.asarray(clip, np.int64), tuple(skipped))


def _belong_together(found: dict[str, np.ndarray | None]) -> bool:
    arrays = list(found.values())
    if any(array is None or array.ndim != 2 or array.dtype != np.float32 for array in arrays):
        return False
    return len({len(array) for array in arrays}) == 1


def _features(clip: Clip, model: Classifier, layers: list[str], ear: Ear) -> dict[str, np.ndarray]:
    track, parts = Track(clip, model), {layer: [] for layer in layers}
    for first, last in blocks(track.windows, ear.most):
        for start in range(first, last, model.micro_batch):
            ear.pause()
            with torch.inference_mode():
                windows = track.piece(start, min(start + model.micro_batch, last))
                found, _ = model.features(windows, layers)
            for layer, values in found.items():
                parts[layer].append(values.flatten(1).float().cpu().numpy())
    return {layer: np.concatenate(values) for layer, values in parts.items()}


# -- Sounds ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Block:
    """A stretch of neighbouring windows of one clip, in the cache or (where nothing can be written) in memory."""

    key: str
    samples: int
    kept: np.ndarray | None


class Sounds:
    """The heard stretches of labelled clips at a model's rate, read from the cache as they are needed.

    `items` could be heard, `skipped` has a sentence for each that could not. Every window lies within its own clip.
    """

    def __init__(self, items: Sequence[Any], sample_rate: int, window: int, ear: Ear) -> None:
        self.sample_rate, self.window, self._ear = sample_rate, window, ear
        # Whatever Track asks of a model that is still to be made.
        self._like = SimpleNamespace(sample_rate=sample_rate, window=window, device=torch.device("cpu"))
        self._blocks: list[list[_Block]] = []
        heard, skipped = [], []
        for number, found in ear.each(items, self._hear, skipped):
            heard.append(items[number])
            self._blocks.append(found)
        self.items, self.skipped = tuple(heard), tuple(skipped)

    def windows(self, clip: int) -> np.ndarray:
        """The windows `(n, window)` of one clip, the last one zero-padded, as `classify` hears them."""
        parts = []
        for number, block in enumerate(self._blocks[clip]):
            sound = self._cut(clip, number, 0, block.samples)
            count = -(-block.samples // self.window)
            parts.append(np.pad(sound, (0, count * self.window - block.samples)).reshape(count, self.window))
        return np.concatenate(parts)

    def excerpts(self, clips: Sequence[int] | None = None) -> Excerpts:
        """What windows are cut from in training: every two neighbouring windows of these clips (by default of all)."""
        places = []
        for clip in range(len(self.items)) if clips is None else clips:
            for number, block in enumerate(self._blocks[clip]):
                last = max(1, -(-block.samples // self.window) - 1)
                for first in range(last):
                    start = first * self.window
                    places.append((clip, number, start, min(2 * self.window, block.samples - start)))
        return Excerpts(self, places)

    def _hear(self, item: Any) -> list[_Block]:
        file = identity(item)
        about = key_of("sound", VERSION, file, self.sample_rate, self.window, self._ear.most)
        lengths = self._ear.cache.get(about)
        if lengths is not None and lengths.ndim == 1 and lengths.dtype == np.int64:
            found = [self._ear.cache.get(key_of(about, number)) for number in range(len(lengths))]
            whole = (part is not None and part.shape == (n,) for part, n in zip(found, lengths, strict=True))
            if len(lengths) and all(whole):
                return [_Block(key_of(about, number), int(n), None) for number, n in enumerate(lengths)]
        return self._resample(item, about)

    def _resample(self, item: Any, about: str) -> list[_Block]:
        track, found = Track(sound_of(item), self._like), []
        for first, last in blocks(track.windows, self._ear.most):
            parts = []
            for start in range(first, last, _BLOCK):
                self._ear.pause()
                parts.append(track.piece(start, min(start + _BLOCK, last)).flatten().numpy())
            sound = np.concatenate(parts)
            # Without the padding of a last, partial window, so that no training window is cut from silence that is not there.
            sound = sound[: max(self.window, min(len(sound), track.heard - first * self.window))]
            key = key_of(about, len(found))
            kept = self._ear.cache.put(key, np.ascontiguousarray(sound, np.float32))
            found.append(_Block(key, len(sound), None if kept else sound))
        self._ear.cache.put(about, np.array([block.samples for block in found], np.int64))
        return found

    def _cut(self, clip: int, number: int, start: int, count: int) -> np.ndarray:
        block = self._blocks[clip][number]
        if block.kept is not None:
            return block.kept[start : start + count]
        sound = self._ear.cache.cut(block.key, start, count)
        if sound is None or sound.dtype != np.float32:  # another program made room in the cache meanwhile
            self._blocks[clip] = self._hear(self.items[clip])
            again = self._blocks[clip][number]
            whole = again.kept if again.kept is not None else self._ear.cache.get(again.key)
            if whole is None:
                raise FileError(
                    f"{self.items[clip].path.name} could not be kept while it was needed; is the disk full?"
                )
            sound = whole[start : start + count]
        return sound


class Excerpts:
    """Sounds of at least a window each, for `loop.train`: `lengths (n,)` in samples, `cut` reads from one of them. `clip (n,)` says
    which clip each comes from."""

    def __init__(self, sounds: Sounds, places: list[tuple[int, int, int, int]]) -> None:
        self._sounds, self._places = sounds, places
        self.lengths = np.array([place[3] for place in places], np.int64)
        self.clip = np.array([place[0] for place in places], np.int64)

    def __len__(self) -> int:
        return len(self._places)

    def cut(self, index: int, start: int, count: int) -> np.ndarray:
        """`count` samples from `start` on, float32."""
        clip, number, first, _ = self._places[index]
        return self._sounds._cut(clip, number, first + start, count)
