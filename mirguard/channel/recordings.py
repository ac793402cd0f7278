"""Sounds that an effect takes from the user's files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import soxr
import torch

from mirguard.channel.transform import choice
from mirguard.clip import load_clip
from mirguard.errors import UsageError
from mirguard.sound_files import unlabelled_folder


def recording(source: str, sample_rate: int, generator: torch.Generator) -> torch.Tensor:
    """The down-mix `(n,)` at `sample_rate` of the file, or of one drawn from the folder."""
    files = unlabelled_folder(source)
    if not files:
        raise UsageError(f"There is no sound file in the folder {source}.")
    file = files[choice(len(files), generator)]
    return _loaded(file, file.stat().st_mtime_ns, sample_rate)


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # kept for attacks too, whoever asks first
def _loaded(file: Path, _changed: int, sample_rate: int) -> torch.Tensor:
    clip = load_clip(file)
    if not clip.samples.any():
        raise UsageError(f"{file.name} is silent; an effect needs a file with sound in it.")
    return torch.from_numpy(soxr.resample(clip.mono(), clip.sample_rate, sample_rate).copy())
