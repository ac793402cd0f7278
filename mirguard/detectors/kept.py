"""Fitted detectors as files: arrays and what they rest on, with the model's hash. Shipped for the bundled models, fitted by the
user for any other."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as encode

from mirguard.detectors.catalogue import find_detector, list_detectors
from mirguard.detectors.fitted import About, Fitted
from mirguard.errors import FileError, UsageError
from mirguard.files import write_whole
from mirguard.models.contract import Classifier
from mirguard.resources import data_folder, resource

SUFFIX = ".safetensors"


def keep(detector: Fitted, path: Path | None = None) -> Path:
    """Write whole or not at all, by default among the user's for its model."""
    path = path or _folder(detector.about.model, detector.about.model_hash) / f"{detector.name}{SUFFIX}"
    arrays = {
        key: np.ascontiguousarray(array) for key, array in detector.arrays().items()
    }  # it writes memory as it lies
    about = json.dumps({"detector": detector.name, "clean_scores": detector.clean_scores, **asdict(detector.about)})
    try:
        write_whole(path, encode(arrays, metadata={"about": about}))
    except OSError as error:
        raise FileError(f"The detector cannot be kept in {path.parent}: {error.strerror}.") from error
    return path


def load(path: Path, model: Classifier) -> Fitted:
    """The detector in a file, for the model it was fitted on; UsageError where that is another one, FileError for other files."""
    try:
        with safe_open(path, "numpy") as file:
            found = json.loads(file.metadata()["about"])
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        name, scores = found.pop("detector"), tuple(found.pop("clean_scores"))
        about = About(**{key: tuple(value) if isinstance(value, list) else value for key, value in found.items()})
        if about.model_hash != model.hash:
            raise UsageError(f"This detector was fitted on {about.model}, not on this {model.name}; fit it anew.")
        if not np.isfinite(scores).all() or not scores:
            raise ValueError("no finite clean scores")
        detector = find_detector(name).type().restore(arrays, about, model)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileError(f"{path.name} is not a fitted detector; fit it again.") from error
    detector.about, detector.clean_scores = about, scores
    return detector


def fitted_for(model: Classifier, name: str) -> Fitted | None:
    """The detector last fitted on exactly this model, else the one shipped for it, else None."""
    for path in _places(model, name):
        with contextlib.suppress(UsageError):  # of another version of the model
            return load(path, model)
    return None


def names_fitted_for(model: Classifier) -> tuple[str, ...]:
    """The detectors that there are for this model, in the order of the catalogue."""
    return tuple(
        detector.name
        for detector in list_detectors()
        if any(_is_of(path, model) for path in _places(model, detector.name))
    )


def _places(model: Classifier, name: str) -> Iterator[Path]:
    own = _folder(model.name, model.hash) / f"{name}{SUFFIX}"
    if own.exists():
        yield own
    with contextlib.suppress(FileError):  # only the bundled models come with some
        shipped = resource("detectors", model.name, f"{name}{SUFFIX}")
        if shipped.exists():
            yield shipped


def _is_of(path: Path, model: Classifier) -> bool:
    try:
        with safe_open(path, "numpy") as file:
            return json.loads(file.metadata()["about"])["model_hash"] == model.hash
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return False


def _folder(model: str, model_hash: str) -> Path:
    return data_folder() / "detectors" / f"{model}-{model_hash[:16]}"
