"""A piece of sound: samples, rate, where it came from; loading and saving it."""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from mirguard.errors import FileError, UsageError

MIN_RATE, MAX_RATE = 8_000, 192_000
MAX_CHANNELS = 8
BLOCK = 1 << 18  # frames read at a time, so that loading needs no second copy of the file

# What a result can be exported as: file suffix -> libsndfile format, and the bits of each subtype.
FORMATS = {".wav": "WAV", ".flac": "FLAC"}
SUBTYPES = {"PCM_16": 16, "PCM_24": 24, "FLOAT": None}


@dataclass(frozen=True, eq=False)
class Clip:
    """Samples `(channels, frames)` in float32, full scale ±1, at `sample_rate` Hz.

    `source` is the file it was read from, if any; `provenance` says what made it (for an adversarial
    clip: version, model, attack, parameters, seed).
    """

    samples: np.ndarray
    sample_rate: int
    source: Path | None = None
    provenance: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        samples = np.ascontiguousarray(self.samples, dtype=np.float32)
        if samples.ndim == 1:
            samples = samples[None]
        if samples.ndim != 2 or samples.shape[1] == 0:
            raise UsageError(f"A clip needs samples of shape (channels, frames); got {np.shape(self.samples)}.")
        if not np.isfinite(samples).all():
            raise UsageError("The samples hold NaN or infinite values; repair the sound before using it.")
        if samples is self.samples or samples.base is self.samples:
            samples = samples.view()
        samples.flags.writeable = False
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "sample_rate", int(self.sample_rate))

    @property
    def channels(self) -> int:
        return self.samples.shape[0]

    @property
    def frames(self) -> int:
        return self.samples.shape[1]

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.frames / self.sample_rate

    @property
    def name(self) -> str:
        return self.source.name if self.source else str(self.provenance.get("name", "untitled"))

    @cached_property
    def hash(self) -> str:
        """SHA-256 of rate, shape and samples: the same sound has the same hash wherever it lies."""
        digest = hashlib.sha256(f"{self.sample_rate} {self.samples.shape} ".encode())
        digest.update(self.samples.data)
        return digest.hexdigest()

    def mono(self) -> np.ndarray:
        """The mean of the channels `(frames,)`: what every model hears."""
        return self.samples[0] if self.channels == 1 else self.samples.mean(axis=0, dtype=np.float32)


def energy(samples: np.ndarray) -> float:
    """Σx² over all channels, in double precision a block at a time, so that an hour needs no second copy."""
    blocks = (
        row[start : start + BLOCK].astype(np.float64)
        for row in np.atleast_2d(samples)
        for start in range(0, len(row), BLOCK)
    )
    return float(sum(np.dot(block, block) for block in blocks))


def rms(samples: np.ndarray) -> float:
    """Root mean square over all channels."""
    return math.sqrt(energy(samples) / np.size(samples))


def load_clip(path: str | os.PathLike) -> Clip:
    """Read WAV, FLAC, OGG, MP3 or AIFF: 1 to 8 channels, 8 to 192 kHz.

    Samples beyond full scale (decoded MP3s have some) are clipped to ±1, as any export would clip them,
    and counted in `provenance["clipped_samples"]`. Raises FileError with the reason.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise FileError(f"There is no file {path}.")
    if path.is_dir():
        raise FileError(f"{path} is a folder; name a sound file in it.")
    if not os.access(path, os.R_OK):
        raise FileError(f"{path} may not be read; check its permissions.")
    if path.stat().st_size == 0:
        raise FileError(f"{path.name} is empty (0 bytes).")
    try:
        with soundfile.SoundFile(path) as file:
            _check_header(path, file)
            samples = _read(path, file)
            about = {"format": file.format, "subtype": file.subtype}
    except soundfile.LibsndfileError as error:
        raise FileError(
            f"{path.name} cannot be read as WAV, FLAC, OGG, MP3 or AIFF: {error.error_string.strip().rstrip('.')}."
        ) from error
    if not np.isfinite(samples).all():
        raise FileError(f"{path.name} holds NaN or infinite samples; repair it in an audio editor first.")
    beyond = int(np.count_nonzero(np.abs(samples) > 1.0))
    if beyond:
        np.clip(samples, -1.0, 1.0, out=samples)
        about["clipped_samples"] = beyond
    return Clip(samples, file.samplerate, path, about)


def _check_header(path: Path, file: soundfile.SoundFile) -> None:
    if file.frames == 0:
        raise FileError(f"{path.name} holds no samples.")
    if not 1 <= file.channels <= MAX_CHANNELS:
        raise FileError(f"{path.name} has {file.channels} channels; at most {MAX_CHANNELS} can be used.")
    if not MIN_RATE <= file.samplerate <= MAX_RATE:
        raise FileError(
            f"{path.name} has a sample rate of {file.samplerate} Hz; rates from {MIN_RATE} to {MAX_RATE} Hz can be used."
        )


def _read(path: Path, file: soundfile.SoundFile) -> np.ndarray:
    samples = np.empty((file.channels, file.frames), np.float32)
    done = 0
    while done < file.frames:
        block = file.read(min(BLOCK, file.frames - done), dtype="float32", always_2d=True)
        if not len(block):
            break
        samples[:, done : done + len(block)] = block.T
        done += len(block)
    # An MP3's header may promise a few frames more than its decoder gives; anything else is a torn file.
    if done < file.frames and not (file.format == "MP3" and file.frames - done <= 4 * 1152):
        raise FileError(
            f"{path.name} ends early: {done / file.samplerate:.2f} s of the {file.frames / file.samplerate:.2f} s "
            "that its header promises can be read."
        )
    return samples[:, :done]


def quantise(samples: np.ndarray, subtype: str) -> np.ndarray:
    """Samples clipped to full scale and rounded to the integers that `subtype` stores (float32 for "FLOAT").

    One step is 2^-(bits-1) of full scale, the same when reading, so that a 16-bit file loaded and saved
    is the same to the bit (libsndfile's own scaling of floats by 32767 is not).
    """
    bits = SUBTYPES[subtype]
    if bits is None:
        return np.clip(samples, -1.0, 1.0).astype(np.float32)
    top = 1 << (bits - 1)
    steps = np.clip(np.rint(samples.astype(np.float64) * top), -top, top - 1)
    return steps.astype(np.int16) if bits == 16 else steps.astype(np.int32) << 8


def step_of(subtype: str) -> float:
    """The quantising step of an export format as a fraction of full scale; 0 for float."""
    bits = SUBTYPES[subtype]
    return 0.0 if bits is None else 2.0 ** (1 - bits)


def write(clip: Clip, file: BinaryIO, format: str, subtype: str) -> None:
    """Encode the clip into an open binary file."""
    with soundfile.SoundFile(file, "w", clip.sample_rate, clip.channels, subtype, format=format) as out:
        for start in range(0, clip.frames, BLOCK):
            out.write(quantise(clip.samples[:, start : start + BLOCK].T, subtype))


def check_export(path: str | os.PathLike, subtype: str = "PCM_16") -> Path:
    """The path, if a sound can be exported there in that format; raises FileError or UsageError otherwise."""
    path = Path(path).expanduser()
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path.name}: exports are .wav or .flac files.")
    if subtype not in SUBTYPES or (path.suffix.lower() == ".flac" and SUBTYPES[subtype] is None):
        raise UsageError(f"{path.suffix[1:].upper()} cannot hold {subtype}; choose PCM_16 or PCM_24.")
    if path.is_dir():
        raise FileError(f"{path} is a folder; name a file in it.")
    if not path.parent.is_dir():
        raise FileError(f"There is no folder {path.parent} to write {path.name} into.")
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise FileError(f"{path.name} cannot be written: {path.parent} is read-only for you. Choose another folder.")
    return path


def save_clip(clip: Clip, path: str | os.PathLike, subtype: str = "PCM_16") -> Path:
    """Write WAV or FLAC, whole or not at all: a temporary file beside it is synced and renamed."""
    path = check_export(path, subtype)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=".mirguard-", suffix=path.suffix, delete=False
        ) as file:
            temporary = file.name
            write(clip, file, FORMATS[path.suffix.lower()], subtype)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
    except (OSError, soundfile.LibsndfileError) as error:
        raise FileError(f"{path.name} cannot be written: {error}.") from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
