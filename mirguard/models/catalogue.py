"""All models by name: the bundled ones, musicnn, and those of plug-ins (entry points "mirguard.models").

Listing is quick and needs no torch; loading does.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from mirguard.errors import FileError, MirguardError, UsageError
from mirguard.models import bundled, fetch
from mirguard.models.musicnn_weights import RATE, VARIANTS, WINDOW
from mirguard.resources import data_folder, resource

if TYPE_CHECKING:
    from mirguard.models.contract import Classifier

__all__ = ["READY", "TO_BE_FETCHED", "UNUSABLE", "Entry", "ModelInfo", "default_model", "find_model"]
__all__ += ["list_models", "load_model"]

READY, TO_BE_FETCHED, UNUSABLE = "ready", "to be fetched", "unusable"
ENTRY_POINTS = "mirguard.models"

Report = Callable[[str, float | None], None]


@dataclass(frozen=True)
class ModelInfo:
    """What a list shows of a model. `state` is "ready", "to be fetched" or "unusable"; `how` says what to do about the
    latter two."""

    name: str
    title: str
    task: str
    sample_rate: int  # Hz
    window: int  # samples
    labels: tuple[str, ...]
    note: str = ""
    state: str = READY
    how: str = ""


@dataclass(frozen=True)
class Entry:
    """A model in the catalogue: what is known of it, and how to get it. A plug-in's entry point names one of these (and
    should import torch no earlier than in `load`, which is given the progress report)."""

    info: ModelInfo
    load: Callable[[Report | None], Classifier]


def list_models() -> list[ModelInfo]:
    """Every model there is, the most useful ones first."""
    return [entry.info for entry in _entries().values()]


def find_model(name: str) -> ModelInfo:
    """What is known of one model; UsageError names the ones there are."""
    return _find(name).info


def load_model(name: str, progress: Report | None = None) -> Classifier:
    """The classifier of that name, the same object every time.

    `progress(text, fraction or None)` hears of what takes long; what it raises stops that. UsageError for an unknown
    name; MirguardError with one sentence if the model's weights cannot be had.
    """
    entry = _find(name)
    if entry.info.state == UNUSABLE:
        raise MirguardError(entry.info.how)
    key = (name, str(data_folder()))
    with _lock:
        if key not in _loaded:
            _loaded[key] = entry.load(progress)
        return _loaded[key]


def default_model() -> str:
    """The model to start with: musicnn if its weights are there or can be asked for, else the bundled one. Callers fall
    back on the bundled one as well if fetching fails."""
    return "musicnn-mtt" if fetch.is_ready("musicnn-mtt") or fetch.can_be_fetched() else bundled.NAME


_loaded: dict[tuple[str, str], Classifier] = {}
_lock = threading.Lock()


def _find(name: str) -> Entry:
    entries = _entries()
    if name in entries:
        return entries[name]
    close = get_close_matches(name.lower(), entries, 1, 0.5)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(entries)}."
    raise UsageError(f"There is no model {name!r}; {hint}")


def _entries() -> dict[str, Entry]:
    entries = {name: _musicnn(name) for name in VARIANTS}
    entries[bundled.NAME] = _toy()
    for point in entry_points(group=ENTRY_POINTS):
        entry = _plugged(point)
        entries.setdefault(entry.info.name, entry)  # a plug-in cannot pass itself off as one of ours
    return entries


def _musicnn(name: str) -> Entry:
    def load(progress: Report | None) -> Classifier:
        variables = fetch.musicnn_variables(name, progress)
        from mirguard.models.musicnn import musicnn

        return musicnn(name, variables)

    variant = VARIANTS[name]
    ready = fetch.is_ready(name)
    info = ModelInfo(name, variant.title, "tagging", RATE, WINDOW, variant.labels, variant.note)
    return Entry(info if ready else replace(info, state=TO_BE_FETCHED, how=fetch.how_to_get()), load)


def _toy() -> Entry:
    def load(progress: Report | None) -> Classifier:
        from mirguard.models.toy import load_toy

        return load_toy()

    info = ModelInfo(bundled.NAME, bundled.TITLE, "single-label", 16_000, 32_000, (), bundled.NOTE)
    try:
        path = resource(*bundled.WEIGHTS)
        with safe_open(path, framework="np") as file:
            settings = json.loads(file.metadata()["settings"])
        info = replace(
            info,
            task=settings["task"],
            sample_rate=settings["front_end"]["sample_rate"],
            window=settings["window"],
            labels=tuple(settings["labels"]),
        )
    except FileError as error:
        info = replace(info, state=UNUSABLE, how=str(error))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        info = replace(
            info, state=UNUSABLE, how=f"The installation is damaged: {path} cannot be read. Install MIRGuard again."
        )
    return Entry(info, load)


def _plugged(point) -> Entry:
    """A plug-in's entry; one that cannot be loaded is listed with the reason, and spoils nothing else."""
    try:
        entry = point.load()
        if not isinstance(entry, Entry):
            raise TypeError(f"{point.value} is not a mirguard.models.catalogue.Entry")
        return entry
    except Exception as error:
        how = f"The plug-in of model {point.name} cannot be loaded: {str(error).rstrip('.') or type(error).__name__}."
        info = ModelInfo(point.name, point.name, "single-label", 0, 0, (), "", UNUSABLE, how)

        def refuse(progress: Report | None, how: str = how) -> Classifier:
            raise MirguardError(how)

        return Entry(info, refuse)
