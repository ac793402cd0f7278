"""All models by name: published ones, the bundled ones, the user's own, and those of plug-ins (entry points "mirguard.models").

Listing is quick and needs no torch; loading does.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirguard.errors import FileError, MirguardError, UsageError
from mirguard.models import bundled
from mirguard.models.load_file import is_black_box, load_model_file
from mirguard.models.model_file import FILE, ModelFile, read_model_file
from mirguard.models.published import crepe_facts, fetch
from mirguard.models.published.musicnn_weights import RATE, VARIANTS, WINDOW
from mirguard.resources import data_folder, resource

if TYPE_CHECKING:
    import numpy as np

    from mirguard.models.contract import Classifier

READY, TO_BE_FETCHED, UNUSABLE = "ready", "to be fetched", "unusable"
PUBLISHED, BUNDLED, YOURS, PLUG_IN = "published", "bundled", "yours", "plug-in"
ENTRY_POINTS = "mirguard.models"

Report = Callable[[str, float | None], None]


@dataclass(frozen=True)
class ModelInfo:
    """What a list shows of a model. `state` is "ready", "to be fetched" or "unusable"; `how` says what to do about the
    latter two. `kind` says where it comes from: "published", "bundled", "yours" or "plug-in"; `gradients` whether one reaches
    the waveform; `card` how it came about and how good it is; `path` its model.toml, where it has one."""

    name: str
    title: str
    task: str
    sample_rate: int  # Hz
    window: int  # samples
    labels: tuple[str, ...]
    note: str = ""
    state: str = READY
    how: str = ""
    kind: str = PLUG_IN
    gradients: bool = True
    card: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""


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
    """The classifier of that name, the same object every time; the name may also be a path to a model.toml or its folder.

    `progress(text, fraction or None)` hears of what takes long; what it raises stops that. UsageError for an unknown
    name; MirguardError with one sentence if the model's weights cannot be had.
    """
    entry = _find(name)
    if entry.info.state == UNUSABLE:
        raise MirguardError(entry.info.how)
    key = (entry.info.path or name, str(data_folder()))
    with _lock:
        if key not in _loaded:
            _loaded[key] = entry.load(progress)
        return _loaded[key]


def forget(name: str) -> None:
    """Let a loaded model go, because its files have changed or are gone."""
    with _lock:
        for key in [key for key, model in _loaded.items() if model.name == name]:
            del _loaded[key]


def own_folder(name: str) -> Path:
    """Where a model of the user's with that name is kept."""
    return fetch.models_folder() / name


def default_model() -> str:
    """The model to start with: musicnn if its weights are there or can be asked for, else the bundled one. Callers fall
    back on the bundled one as well if fetching fails."""
    return "musicnn-mtt" if fetch.is_ready("musicnn-mtt") or fetch.can_be_fetched("musicnn-mtt") else bundled.NAME


_loaded: dict[tuple[str, str], Classifier] = {}
_lock = threading.RLock()  # a model on a backbone loads that while it is being loaded


def _find(name: str) -> Entry:
    entries = _entries()
    if name in entries:
        return entries[name]
    if name.endswith(".toml") or os.sep in name or "/" in name:
        return _kept(Path(name).expanduser(), YOURS)
    close = get_close_matches(name.lower(), entries, 1, 0.6)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(entries)}."
    raise UsageError(f"There is no model {name!r}; {hint}")


def _entries() -> dict[str, Entry]:
    entries = {name: _musicnn(name) for name in VARIANTS}
    entries |= {name: _bundled(name) for name in bundled.NAMES}
    entries[crepe_facts.NAME] = _crepe()
    for entry in (*_own(), *(_plugged(point) for point in entry_points(group=ENTRY_POINTS))):
        entries.setdefault(entry.info.name, entry)  # none can pass itself off as one of ours
    return entries


def _musicnn(name: str) -> Entry:
    def make(arrays: dict[str, np.ndarray]) -> Classifier:
        from mirguard.models.published.musicnn import musicnn

        return musicnn(name, arrays)

    variant = VARIANTS[name]
    info = ModelInfo(name, variant.title, "tagging", RATE, WINDOW, variant.labels, variant.note, card=variant.card)
    return _published(info, make)


def _crepe() -> Entry:
    def make(arrays: dict[str, np.ndarray]) -> Classifier:
        from mirguard.models.published.crepe import crepe

        return crepe(arrays)

    facts = crepe_facts
    info = ModelInfo(
        facts.NAME, facts.TITLE, "tagging", facts.RATE, facts.WINDOW, facts.LABELS, facts.NOTE, card=facts.CARD
    )
    return _published(info, make)


def _published(info: ModelInfo, make: Callable[[dict[str, np.ndarray]], Classifier]) -> Entry:
    """A model whose weights are fetched when it is first loaded."""

    def load(progress: Report | None) -> Classifier:
        return make(fetch.published_weights(info.name, progress))

    info = replace(info, kind=PUBLISHED)
    if not fetch.is_ready(info.name):
        info = replace(info, state=TO_BE_FETCHED, how=fetch.how_to_get(info.name))
    return Entry(info, load)


def _bundled(name: str) -> Entry:
    try:
        entry = _kept(resource("models", name), BUNDLED)
        if entry.info.name != name:
            raise FileError(f"{entry.info.path} names another model")
        return entry
    except FileError as error:
        how = f"The installation is damaged: {str(error).rstrip('.')}. Install MIRGuard again."
        return _unusable(name, how, BUNDLED)


def _own() -> Iterator[Entry]:
    """The user's models; a damaged one is listed with what is wrong with it, and spoils nothing else."""
    folder = fetch.models_folder()
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not place.name.startswith(".") and (place / FILE).is_file():
            try:
                yield _kept(place, YOURS)
            except FileError as error:
                yield _unusable(place.name, str(error), YOURS)


def _kept(place: Path, kind: str) -> Entry:
    file = read_model_file(place)
    if not file.weights_path.is_file():
        raise FileError(f"{file.name}: its weights {file.weights} are not in {file.folder}.")

    def load(_progress: Report | None) -> Classifier:
        return load_model_file(file)

    return Entry(info_of(file, kind), load)


def info_of(file: ModelFile, kind: str = YOURS) -> ModelInfo:
    """What a model.toml tells a list."""
    return ModelInfo(
        file.name,
        file.title or file.name,
        file.task,
        file.sample_rate,
        file.window,
        file.labels,
        file.note,
        kind=kind,
        gradients=not is_black_box(file) and bool(file.card.get("gradient", {}).get("reaches", True)),
        card=file.card,
        path=str((file.folder / file.called).resolve()),
    )


def _unusable(name: str, how: str, kind: str) -> Entry:
    def refuse(_progress: Report | None) -> Classifier:
        raise MirguardError(how)

    return Entry(ModelInfo(name, name, "single-label", 0, 0, (), "", UNUSABLE, how, kind), refuse)


def _plugged(point) -> Entry:
    """A plug-in's entry; one that cannot be loaded is listed with the reason, and spoils nothing else."""
    try:
        entry = point.load()
        if not isinstance(entry, Entry):
            raise TypeError(f"{point.value} is not a mirguard.models.catalogue.Entry")
        return entry
    except Exception as error:
        how = f"The plug-in of model {point.name} cannot be loaded: {str(error).rstrip('.') or type(error).__name__}."
        return _unusable(point.name, how, PLUG_IN)
