"""A piece of sound: samples, rate, where it came from; loading and saving it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from mirguard.errors import FileError, UsageError
from mirguard.files import beside, replacing

MIN_RATE, MAX_RATE = 8_000, 192_000
MAX_CHANNELS = 8
LONGEST = 24 * 3600  # seconds; a header that says more is wrong (a streamed FLAC says 2^63 frames)
BLOCK = 1 << 18  # frames read at a time, so that loading needs no second copy of the file

# What a result can be exported as: file suffix -> libsndfile format, and the bits of each subtype.
FORMATS = {".wav": "WAV", ".flac": "FLAC"}
WAV_LIMIT = (1 << 32) - (1 << 16)  # bytes that WAV's 32-bit sizes can hold; beyond, the same with 64 bits (RF64)
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
        given = np.asarray(self.samples)
        if given.ndim not in (1, 2) or given.size == 0:
            raise UsageError(f"A clip needs samples of shape (channels, frames); got {given.shape}.")
        if given.dtype.kind != "f":
            raise UsageError(f"A clip's samples are floats in full scale ±1, not {given.dtype}; divide integers first.")
        if not self.sample_rate > 0:
            raise UsageError(f"A clip's sample rate is a number of Hz; got {self.sample_rate!r}.")
        samples = np.ascontiguousarray(np.atleast_2d(given), dtype=np.float32).view()
        # Minimum and maximum hand on NaN and need no array of their own.
        if not (np.isfinite(samples.min()) and np.isfinite(samples.max())):
            raise UsageError("The samples hold NaN or infinite values; repair the sound before using it.")
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


def peak(samples: np.ndarray) -> float:
    """Largest |x|, without an array of the |x|."""
    return float(max(samples.max(), -samples.min()))


def load_clip(path: str | os.PathLike) -> Clip:
    """Read WAV, FLAC, OGG, MP3 or AIFF: 1 to 8 channels, 8 to 192 kHz.

    Samples beyond full scale (decoded MP3s have some) are clipped to ±1, as any export would clip them,
    and counted in `provenance["clipped_samples"]`; what an adversarial file says of itself is in `["made_by"]`.
    Raises FileError with the reason.
    """
    path = Path(os.path.expanduser(path))
    _check_readable(path)
    try:
        with soundfile.SoundFile(_native(path)) as file:
            _check_header(path, file)
            samples, beyond = _read(path, file)
            about: dict[str, object] = {"format": file.format, "subtype": file.subtype, **_made_by(file.comment)}
    except soundfile.LibsndfileError as error:
        reason = error.error_string.strip().rstrip(".") or "its data is damaged"
        raise FileError(f"{path.name} cannot be read as WAV, FLAC, OGG, MP3 or AIFF: {reason}.") from error
    except MemoryError as error:
        raise FileError(f"{path.name} does not fit into this machine's memory; cut it into pieces.") from error
    if beyond:
        about["clipped_samples"] = beyond
    return Clip(samples, file.samplerate, path, about)


def _native(path: Path) -> str | bytes:
    """A path as libsndfile takes it: on POSIX the bytes themselves, since old music has names in old encodings."""
    return str(path) if os.name == "nt" else os.fsencode(path)


def _check_readable(path: Path) -> None:
    try:
        if path.is_dir():
            raise FileError(f"{path} is a folder; name a sound file in it.")
        with path.open("rb") as file:
            empty = not file.peek(1)
    except FileNotFoundError as error:
        raise FileError(f"There is no file {path}.") from error
    except PermissionError as error:
        raise FileError(f"{path} may not be read; check its permissions.") from error
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be read: {_reason(error)}.") from error
    if empty:
        raise FileError(f"{path.name} is empty (0 bytes).")
    if path.suffix.lower() == ".raw":
        raise FileError(f"{path.name}: raw samples say neither their rate nor their format; save them as WAV first.")


def _reason(error: Exception) -> str:
    """The system's or libsndfile's own words, without numbers and paths."""
    words = getattr(error, "strerror", None) or getattr(error, "error_string", None) or str(error)
    return words.strip().rstrip(".") or "the disk may be full"


# libsndfile shortens a torn WAV or AIFF without an error and says so in its log only.
_TORN = re.compile(r"(?:data|SSND) *: (\d+) \(should be (\d+)\)|does not match value from 'ds64' chunk")
STREAMED = 0x7FFFF000  # this size of data and more is what programs write that do not know the length beforehand


def _check_header(path: Path, file: soundfile.SoundFile) -> None:
    if file.frames == 0:
        raise FileError(f"{path.name} holds no samples.")
    if not 1 <= file.channels <= MAX_CHANNELS:
        raise FileError(f"{path.name} has {file.channels} channels; at most {MAX_CHANNELS} can be used.")
    if not MIN_RATE <= file.samplerate <= MAX_RATE:
        raise FileError(
            f"{path.name} has a sample rate of {file.samplerate} Hz; rates from {MIN_RATE} to {MAX_RATE} Hz can be used."
        )
    if file.frames > LONGEST * file.samplerate:
        raise FileError(
            f"{path.name} does not say how long it is (it was streamed or never finished); "
            "save it again in an audio editor first."
        )
    torn = _TORN.search(file.extra_info)
    if torn and not (torn[1] and int(torn[1]) >= STREAMED):
        raise _ends_early(path)


def _ends_early(path: Path) -> FileError:
    return FileError(
        f"{path.name} ends early or is damaged: not all the sound that its header promises can be read. "
        "Get a whole copy of it."
    )


def _read(path: Path, file: soundfile.SoundFile) -> tuple[np.ndarray, int]:
    """Samples `(channels, frames)` within full scale, and how many lay beyond it."""
    samples, done, beyond = np.empty((file.channels, file.frames), np.float32), 0, 0
    while done < file.frames:
        try:
            block = file.read(min(BLOCK, file.frames - done), dtype="float32", always_2d=True).T
        except soundfile.LibsndfileError as error:
            raise _ends_early(path) from error
        if not block.size:
            break
        if not np.isfinite(block).all():
            raise FileError(f"{path.name} holds NaN or infinite samples; repair it in an audio editor first.")
        beyond += int(np.count_nonzero(np.abs(block) > 1.0))
        done += block.shape[1]
        np.clip(block, -1.0, 1.0, out=samples[:, done - block.shape[1] : done])
    # An MP3's header may promise a few frames more than its decoder gives; anything else is a torn file.
    if done < file.frames and not (file.format == "MP3" and file.frames - done <= 4 * 1152):
        raise _ends_early(path)
    return samples[:, :done], beyond


def _made_by(comment: str) -> dict[str, object]:
    """What `write` put into the file's comment, if it is one of ours."""
    try:
        found = json.loads(comment)
    except (ValueError, RecursionError):
        return {}
    return {"made_by": found} if isinstance(found, dict) and "version" in found else {}


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


def write(clip: Clip, file: BinaryIO | str | bytes, format: str, subtype: str) -> None:
    """Encode the clip into an open binary file or a named one; what made it goes into the file's comment, as JSON."""
    bits = SUBTYPES[subtype] or 32
    if format == "WAV" and clip.samples.size * bits // 8 > WAV_LIMIT:
        format = "RF64"
    with soundfile.SoundFile(file, "w", clip.sample_rate, clip.channels, subtype, format=format) as out:
        if "version" in clip.provenance:
            out.software = "MIRGuard"
            out.comment = json.dumps(dict(clip.provenance), ensure_ascii=False, default=str)
        for start in range(0, clip.frames, BLOCK):
            out.write(quantise(clip.samples[:, start : start + BLOCK].T, subtype))


def check_export(path: str | os.PathLike, subtype: str = "PCM_16") -> Path:
    """The path, if a sound can be exported there in that format; raises FileError or UsageError otherwise."""
    path = Path(os.path.expanduser(path))
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path.name}: exports are .wav or .flac files.")
    if subtype not in SUBTYPES or (path.suffix.lower() == ".flac" and SUBTYPES[subtype] is None):
        raise UsageError(f"{path.suffix[1:].upper()} cannot hold {subtype}; choose PCM_16 or PCM_24.")
    try:
        if path.is_dir():
            raise FileError(f"{path} is a folder; name a file in it.")
        if not path.parent.is_dir():
            raise FileError(f"There is no folder {path.parent} to write {path.name} into.")
        if path.exists() and not os.access(path, os.W_OK):
            raise FileError(f"{path.name} is there already and write-protected; choose another name.")
        # Trying is the only way to know: permissions, read-only disks, quotas and containers all have a say.
        trial = beside(path)
        trial.touch(exist_ok=False)
        trial.unlink()
    except (OSError, ValueError) as error:
        raise FileError(
            f"{path.name} cannot be written into {path.parent}: {_reason(error)}. Choose another folder."
        ) from error
    return path


def save_clip(clip: Clip, path: str | os.PathLike, subtype: str = "PCM_16") -> Path:
    """Write WAV or FLAC, whole or not at all: a temporary file beside it is synced and renamed."""
    path = check_export(path, subtype)
    try:
        with replacing(path) as temporary:
            # libsndfile opens the file itself: through a Python file object it cannot be told of a full disk.
            write(clip, _native(temporary), FORMATS[path.suffix.lower()], subtype)
    except (OSError, soundfile.LibsndfileError) as error:
        raise FileError(f"{path.name} cannot be written: {_reason(error)}.") from error
    return path
