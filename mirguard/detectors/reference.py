"""The clean reference of a detector: the last hidden layer of many clean clips, as one model hears them.

Kept as safetensors with the model's hash: shipped for the toy model, built from a folder of the user's for any other.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as encode

from mirguard.clip import Clip, load_clip
from mirguard.errors import Cancelled, FileError, MirguardError, UsageError
from mirguard.files import write_whole
from mirguard.models.contract import Classifier
from mirguard.models.decision import decide
from mirguard.models.tracks import Track
from mirguard.resources import data_folder, resource
from mirguard.sound_files import unlabelled_folder

LONGEST = 40  # windows of one clip that are kept: a long track must not outweigh the others


@dataclass(frozen=True, eq=False)
class Reference:
    """Features `(windows, d)` of `layer`, the clip each window belongs to, and per clip its name and predicted label."""

    features: np.ndarray
    clip_of_window: np.ndarray
    names: tuple[str, ...]
    labels: tuple[str, ...]
    layer: str
    task: str
    model: str
    model_hash: str
    source: str
    skipped: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Clips."""
        return len(self.names)

    @classmethod
    def from_clips(
        cls,
        model: Classifier,
        clips: Iterable[Clip],
        source: str,
        *,
        skipped: tuple[str, ...] = (),
        rest: Callable[[], None] | None = None,
    ) -> Reference:
        """Hear every clip once; silent ones are left out, since they say nothing of clean music."""
        parts, clip_of, names, labels = [], [], [], []
        for clip in clips:
            if not np.any(clip.samples):
                skipped += (f"{clip.name}: silent",)
                continue
            heard, decision = hear(model, clip, rest)
            chosen = np.unique(np.linspace(0, len(heard) - 1, min(len(heard), LONGEST)).round().astype(int))
            parts.append(heard[chosen])
            clip_of += [len(names)] * len(chosen)
            names.append(clip.name)
            labels.append(decision.label)
        if not parts:
            raise UsageError(f"{source} holds no clip that can be used as a clean reference.")
        return cls(
            # In the precision they are kept in, so that a reference scores the same before and after saving.
            np.concatenate(parts).astype(np.float16).astype(np.float32),
            np.asarray(clip_of, np.int64),
            tuple(names),
            tuple(labels),
            model.layers[-1],
            model.task,
            model.name,
            model.hash,
            source,
            skipped,
        )

    def save(self, path: Path) -> None:
        """Write whole or not at all."""
        about = {
            key: getattr(self, key)
            for key in ("names", "labels", "layer", "task", "model", "model_hash", "source", "skipped")
        }
        data = encode(
            {"features": self.features.astype(np.float16), "clip_of_window": self.clip_of_window},
            metadata={"about": json.dumps(about)},
        )
        try:
            write_whole(path, data)
        except OSError as error:
            raise FileError(f"The reference cannot be kept in {path.parent}: {error.strerror}.") from error

    @classmethod
    def load(cls, path: Path) -> Reference:
        try:
            with safe_open(path, "numpy") as file:
                about = json.loads(file.metadata()["about"])
                features, clip_of = file.get_tensor("features").astype(np.float32), file.get_tensor("clip_of_window")
            return cls(features, clip_of, **{key: tuple(v) if isinstance(v, list) else v for key, v in about.items()})
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise FileError(f"{path.name} is not a detector's reference; build it again.") from error


def hear(model: Classifier, clip: Clip, rest: Callable[[], None] | None = None):
    """The last hidden layer `(windows, d)` of a clip and the model's decision, in one pass."""
    track, features, logits = Track(clip, model), [], []
    layer = model.layers[-1]
    for first in range(0, track.windows, model.micro_batch):
        if rest:
            rest()  # outside of inference mode: whoever is served may need gradients
        with torch.inference_mode():
            seen, z = model.features(track.piece(first, min(first + model.micro_batch, track.windows)), (layer,))
            features.append(seen[layer].float().cpu().numpy())
            logits.append(z.cpu())
    return np.concatenate(features), decide(torch.cat(logits), model.labels, model.task)


def _kept(model: Classifier) -> Path:
    return data_folder() / "references" / f"{model.name}-{model.hash[:16]}.safetensors"


def reference_for(model: Classifier) -> Reference | None:
    """The reference last built for exactly this model, else the shipped one, else None."""
    places = [_kept(model)]
    with contextlib.suppress(FileError):  # only the bundled models come with one
        places.append(resource("references", f"{model.name}.safetensors"))
    for place in places:
        if place.exists():
            reference = Reference.load(place)
            if reference.model_hash == model.hash:
                return reference
    return None


def build_reference(
    model: Classifier,
    folder: str | Path,
    *,
    progress: Callable[[int, int, str], None] | None = None,
    cancel: threading.Event | None = None,
    rest: Callable[[], None] | None = None,
) -> Reference:
    """Hear every sound file below `folder`, keep the result for this model, return it; unreadable files are named in `skipped`.

    `progress(done, total, name)` is called before each file."""
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileError(f"There is no folder {folder}.")
    files = unlabelled_folder(folder)
    if not files:
        raise FileError(f"{folder} holds no WAV, FLAC, OGG, MP3 or AIFF files.")
    skipped: list[str] = []

    def clips() -> Iterable[Clip]:
        for done, path in enumerate(files):
            if cancel is not None and cancel.is_set():
                raise Cancelled
            if progress:
                progress(done, len(files), path.name)
            try:
                yield load_clip(path)
            except MirguardError as error:
                skipped.append(str(error))

    reference = Reference.from_clips(model, clips(), str(folder), rest=rest)
    reference = Reference(**{**reference.__dict__, "skipped": reference.skipped + tuple(skipped)})
    reference.save(_kept(model))
    return reference
