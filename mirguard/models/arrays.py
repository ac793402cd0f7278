"""Arrays of models as safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from mirguard.errors import FileError
from mirguard.files import write_whole
from mirguard.models.model_file import ModelFile

_TINY = torch.finfo(torch.float32).tiny * 1e6


def kept(value: torch.Tensor) -> torch.Tensor:
    """A network's array as it is kept: float32 without denormal numbers, which make a pass on a CPU many times slower."""
    value = value.detach().cpu().float()
    return torch.where(value.abs() < _TINY, torch.zeros_like(value), value).contiguous()


def write_arrays(path: Path, arrays: Mapping[str, torch.Tensor]) -> None:
    """FileError if they cannot be written; then nothing is changed."""
    try:
        write_whole(path, save(dict(arrays)))
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror}.") from error


def read_arrays(file: ModelFile) -> dict[str, torch.Tensor]:
    """All arrays of a model's weights, finite; FileError otherwise."""
    try:
        arrays = load(file.weights_path.read_bytes())
    except OSError as error:
        raise FileError(f"{file.name}: {file.weights} cannot be read: {error.strerror}.") from error
    except (SafetensorError, KeyError, ValueError) as error:
        raise FileError(f"{file.name}: {file.weights} cannot be read as safetensors: {error}.") from error
    for key, value in arrays.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise FileError(f"{file.name}: array {key} in {file.weights} holds NaN or infinite numbers.")
    return arrays
