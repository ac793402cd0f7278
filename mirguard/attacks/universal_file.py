"""Universal perturbations as files: v as safetensors with all that is known of it, shipped or the user's own.

Listing loads no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as encode

from mirguard.attacks.budget import LINF
from mirguard.errors import FileError, UsageError
from mirguard.files import name_trouble, write_whole
from mirguard.intervals import wilson
from mirguard.resources import data_folder, resource

SUFFIX = ".safetensors"
FOLDER = "universal"
FORMAT = 1  # of these files


@dataclass(frozen=True)
class Fooling:
    """Of `clips` clips that `model` heard with v on them, `fooled` changed their label (or took the target); `noise` of them did so
    with white noise of the same size. `held_out` clips had no part in the making. `snr_db` is the median over the clips."""

    model: str
    model_hash: str
    clips: int
    fooled: int
    noise: int
    snr_db: float
    held_out: bool

    @property
    def rate(self) -> float:
        return self.fooled / self.clips if self.clips else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, 95 %."""
        return wilson(self.fooled, self.clips)

    @property
    def sentence(self) -> str:
        low, high = self.interval
        seen = "held-out clips" if self.held_out else "clips it was made from"
        return (
            f"{self.model}: fools {self.rate:.1%} of {self.clips} {seen} (95 % interval {low:.1%} to {high:.1%}) at "
            f"{self.snr_db:.1f} dB SNR; white noise of the same size {self.noise / max(1, self.clips):.1%}"
        )

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "rate": self.rate, "interval": list(self.interval)}


@dataclass(frozen=True, eq=False)
class Universal:
    """v `(window,)` float32 in full scale at `sample_rate` Hz, to be looped over any clip, and how it came about.

    `reference_rms` is the level of the clips it was made from; where it `follows` a clip's level, v is laid on at the same distance
    below every clip, else as loud as it is. `target` is the label it brings out (None: any other); `rates` what it achieved."""

    name: str
    v: np.ndarray
    sample_rate: int
    model: str
    model_hash: str
    method: str
    norm: str
    epsilon: float
    reference_rms: float
    follows: bool
    target: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    source: str = ""
    rates: tuple[Fooling, ...] = ()
    version: str = ""

    @property
    def rms(self) -> float:
        return float(np.sqrt(np.mean(np.square(self.v, dtype=np.float64))))

    @property
    def size(self) -> float:
        """In the measure of its norm: the RMS, or the largest sample."""
        return float(np.abs(self.v).max()) if self.norm == LINF else self.rms

    def to_json(self) -> dict[str, Any]:
        """All but the samples."""
        about = {key: value for key, value in vars(self).items() if key not in ("v", "rates")}
        return {**about, "parameters": dict(self.parameters), "rates": [rate.to_json() for rate in self.rates]}


def rounded(v: np.ndarray) -> np.ndarray:
    """v as a file keeps it: half precision relative to its largest sample, which is finer than the 16 bits of a sound."""
    peak = np.float32(np.abs(v).max()) or np.float32(1.0)
    return (v / peak).astype(np.float16).astype(np.float32) * peak


def save_universal(universal: Universal, path: str | Path) -> Path:
    """Write it whole or not at all; a path without an ending gets `.safetensors`."""
    path = Path(path).expanduser()
    path = path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)
    peak = np.float32(np.abs(universal.v).max()) or np.float32(1.0)
    about = {**universal.to_json(), "format": FORMAT, "peak": float(peak)}
    data = encode({"v": (universal.v / peak).astype(np.float16)}, metadata={"universal": json.dumps(about)})
    try:
        write_whole(path, data)
    except OSError as error:
        raise FileError(f"The universal perturbation cannot be kept as {path}: {error.strerror}.") from error
    return path


def load_universal(name: str | Path) -> Universal:
    """One of `list_universals` by its name, or any file; UsageError lists the names there are, FileError says what is wrong."""
    own = str(name)
    path = Path(own).expanduser()
    if path.suffix != SUFFIX and not path.is_file():
        files = _files()
        if own not in files:
            there = ", ".join(files) or "none yet"
            raise UsageError(
                f"There is no universal perturbation {own!r}; there are {there} (or name a {SUFFIX} file)."
            )
        path = files[own]
    try:
        with safe_open(path, "numpy") as file:
            about = _about(file.metadata())
            unit = file.get_tensor("v")
        if unit.ndim != 1 or unit.size < 2 or not np.isfinite(unit).all():
            raise ValueError("its samples are not finite numbers in a row")
        v = unit.astype(np.float32) * np.float32(about["peak"])
        return Universal(v=v, **{**_fields(about), "name": path.stem})  # none can pass itself off as another
    except FileNotFoundError as error:
        raise FileError(f"There is no file {path}.") from error
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise FileError(f"{path.name} is not a universal perturbation, or is damaged: {error}.") from error


def list_universals() -> tuple[Universal, ...]:
    """The shipped ones, then the user's own; a damaged file is left out."""
    found = []
    for path in _files().values():
        try:
            found.append(load_universal(path))
        except FileError:
            continue
    return tuple(found)


def universal_names() -> tuple[str, ...]:
    """What can be asked for by name, the shipped ones first; no file is opened."""
    return tuple(_files())


def own_path(name: str) -> Path:
    """Where the user's perturbation of that name is kept; UsageError for what is no name."""
    if trouble := name_trouble(name):
        raise UsageError(f"{name!r} cannot be a perturbation's name: {trouble}.")
    if name in _shipped():
        raise UsageError(f"{name} is a shipped universal perturbation; choose another name.")
    return data_folder() / FOLDER / f"{name}{SUFFIX}"


def _shipped() -> dict[str, Path]:
    try:
        return _in(resource(FOLDER))
    except FileError:
        return {}


def _files() -> dict[str, Path]:
    """Name -> file, the shipped ones first; none of the user's takes the place of one of these."""
    shipped = _shipped()
    return {**shipped, **_in(data_folder() / FOLDER), **shipped}


def _in(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))} if folder.is_dir() else {}


def _about(metadata: Mapping[str, str] | None) -> dict[str, Any]:
    about = json.loads((metadata or {})["universal"])
    if not isinstance(about, dict) or about.pop("format") != FORMAT:
        raise ValueError("it is of a version that this program does not know")
    return about


def _fields(about: dict[str, Any]) -> dict[str, Any]:
    """The record's fields as JSON gave them, checked for what is calculated with."""
    rates = tuple(
        Fooling(**{key: value for key, value in rate.items() if key not in ("rate", "interval")})
        for rate in about.pop("rates")
    )
    about.pop("peak")
    for key in ("sample_rate", "epsilon", "reference_rms"):
        if not about[key] > 0:
            raise ValueError(f"its {key} is {about[key]}")
    return {**about, "rates": rates}
