"""Does a model hear here what it heard where it was trained (SC-15)?

A model.toml may name an .npz as `parity`: `waveform (n, window)` with the `logits (n, K)`, the `representation (n, ...)` or both,
as they came out there. More than 1e-3 apart from what comes out here is a failure: another window, padding, scale or rate.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch

from mirguard.errors import FileError
from mirguard.models.contract import Classifier
from mirguard.models.imports.archives import Archive, refusing_damage
from mirguard.models.model_file import ModelFile

PASS, FAIL, NONE = "pass", "fail", "none"
LARGEST_DIFFERENCE = 1e-3
LARGEST = 256 << 20  # bytes
MOST_WINDOWS = 256


@dataclass(frozen=True)
class Parity:
    """`difference` is the largest one found: of logits, and of representations as they are or, where those are magnitudes or powers
    that were not compressed, in dB."""

    verdict: str
    difference: float
    sentence: str


def check_parity(model: Classifier, file: ModelFile) -> Parity:
    """Compare the model with its reference; FileError with one sentence if that cannot be read or does not fit the model."""
    difference, unit = _difference(model, file)
    found = f"{difference:.2g}{unit}"
    if difference <= LARGEST_DIFFERENCE:
        return Parity(
            PASS, difference, f"What comes out here is what came out where the model was trained, to {found}."
        )
    sentence = (
        f"What comes out here differs from what came out where the model was trained by up to {found}, where 0.001 would be fine: "
        "its front end, its rate or its weights are not the same."
    )
    return Parity(FAIL, difference, sentence)


def _difference(model: Classifier, file: ModelFile) -> tuple[float, str]:
    """The largest difference, and its unit."""
    arrays = _read(file)
    pieces = torch.from_numpy(arrays["waveform"]).split(model.micro_batch)
    found: dict[str, np.ndarray] = {}
    with torch.no_grad():
        for key, give in (("representation", model.represent), ("logits", model.logits)):
            if key in arrays:
                found[key] = torch.cat([give(piece.to(model.device)).cpu() for piece in pieces]).double().numpy()
    worst, unit = 0.0, ""
    for key, here in found.items():
        there = arrays[key].astype(np.float64)
        if here.shape != there.shape:
            raise FileError(
                f"{file.name}: {key} in {file.parity} is of shape {there.shape}; the model gives {here.shape}."
            )
        decibels = key == "representation" and _is_linear(there)
        if decibels:
            here, there = _decibels(here, there.max()), _decibels(there, there.max())
        difference = float(np.abs(here - there).max())
        if difference >= worst:
            worst, unit = difference, " dB" if decibels else ""
    return worst, unit


def _is_linear(values: np.ndarray) -> bool:
    """Whether this is a spectrum that was not compressed: nothing below 0, and little of it near its largest value."""
    return bool(values.min() >= 0 and np.median(values) < 1e-2 * values.max())


def _decibels(values: np.ndarray, loudest: float) -> np.ndarray:
    """Below −50 dB of the loudest is its rounding, and does not count."""
    return 20 * np.log10(np.maximum(values / loudest, 10 ** (-50 / 20)))


def _read(file: ModelFile) -> dict[str, np.ndarray]:
    """The arrays: numbers only, never a pickle."""
    path, what = file.folder / file.parity, f"{file.name}: {file.parity}"
    if not path.is_file():
        raise FileError(f"{what} is not there, which its model.toml names as parity.")
    with Archive(path, what) as archive, refusing_damage(what):
        wanted = [key for key in ("waveform", "logits", "representation") if f"{key}.npy" in archive]
        if sum(archive.size(f"{key}.npy") for key in wanted) > LARGEST:
            raise FileError(f"{what} is larger than {LARGEST >> 20} MB; a few windows are enough.")
        if wanted[:1] != ["waveform"] or len(wanted) < 2:
            raise FileError(f"{what} must hold waveform, and logits or representation or both.")
        arrays = {key: _array(archive.read(f"{key}.npy"), f"{what}: {key}") for key in wanted}
    windows = arrays["waveform"]
    if windows.ndim != 2 or windows.shape[1] != file.window or not 1 <= len(windows) <= MOST_WINDOWS:
        raise FileError(
            f"{what}: waveform must be of shape (1 to {MOST_WINDOWS}, {file.window}); it is of shape {windows.shape}."
        )
    if any(value.shape[:1] != windows.shape[:1] for value in arrays.values()):
        raise FileError(f"{what} must hold as many rows of each array.")
    return arrays | {"waveform": windows.astype(np.float32)}


def _array(data: bytes, what: str) -> np.ndarray:
    try:
        value = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, MemoryError, SyntaxError, TypeError, OverflowError) as error:
        raise FileError(f"{what} must be an array of numbers.") from error
    if (
        not isinstance(value, np.ndarray)
        or value.dtype.kind not in "fiu"
        or not np.isfinite(value).all()
        or not value.size
    ):
        raise FileError(f"{what} must be an array of finite numbers.")
    return value
