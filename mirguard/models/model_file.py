"""A `model.toml` beside its weights: how every model is kept, those that are shipped, trained here and brought by a user.

Read, checked and written without torch, so that a catalogue of many is listed at once.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from mirguard.errors import FileError
from mirguard.files import name_trouble, write_whole

FILE = "model.toml"
TASKS = ("single-label", "tagging")
OUTPUTS = ("logits", "probabilities")
WAVEFORM = "waveform"
LARGEST = 1 << 20  # bytes of a model.toml: real ones have some thousands
MOST_LABELS = 10_000
LONGEST_WINDOW = 10_000_000  # samples

# What the weights are, by the end of their file's name. Safetensors hold arrays alone and need the name of a network.
SAFETENSORS, EXPORTED, TORCHSCRIPT, ONNX = "safetensors", "exported program", "TorchScript", "ONNX"
KINDS = {
    ".safetensors": SAFETENSORS,
    ".pt2": EXPORTED,
    ".pt": TORCHSCRIPT,
    ".ts": TORCHSCRIPT,
    ".torchscript": TORCHSCRIPT,
    ".jit": TORCHSCRIPT,
    ".onnx": ONNX,
}
KEYS = {
    "name", "title", "note", "weights", "sample_rate", "window", "task", "labels", "representation", "output", "batch",
    "features", "network", "parity", "card",
}  # fmt: skip


@dataclass(frozen=True)
class ModelFile:
    """What a model.toml says. `folder` is where it lies; `weights` and `parity` are relative to it.

    `representation` is "waveform" or a table of our front end's settings (with `kind`, see `front_ends.make_front_end`);
    `batch` None where any number of windows goes through at once. `network` (for safetensors) is a table with the `name` of a
    network known here and its settings. `parity` may name an .npz with `waveform (n, window)` and the `logits (n, K)` and / or
    `representation` that the model gave where it was trained (SC-15). `card` is free: how the model came about, how good it is.
    """

    folder: Path
    name: str
    weights: str
    sample_rate: int  # Hz
    window: int  # samples
    task: str
    labels: tuple[str, ...]
    title: str = ""
    note: str = ""
    representation: str | Mapping[str, Any] = WAVEFORM
    output: str = "logits"
    batch: int | None = None
    features: tuple[str, ...] = ()
    network: Mapping[str, Any] = field(default_factory=dict)
    parity: str = ""
    card: Mapping[str, Any] = field(default_factory=dict)
    called: str = FILE  # the name of the file itself

    @property
    def weights_path(self) -> Path:
        return self.folder / self.weights

    @property
    def kind(self) -> str:
        """SAFETENSORS, EXPORTED, TORCHSCRIPT or ONNX."""
        return KINDS[Path(self.weights).suffix.lower()]

    def document(self) -> dict[str, Any]:
        """The table that the file holds; what is at its default is left out."""
        found: dict[str, Any] = {"name": self.name}
        found |= {key: getattr(self, key) for key in ("title", "note") if getattr(self, key)}
        found |= {"weights": self.weights, "sample_rate": self.sample_rate, "window": self.window, "task": self.task}
        found["labels"] = list(self.labels)
        if self.batch:
            found["batch"] = self.batch
        if self.output != "logits":
            found["output"] = self.output
        if self.features:
            found["features"] = list(self.features)
        if self.parity:
            found["parity"] = self.parity
        found["representation"] = (
            self.representation if isinstance(self.representation, str) else dict(self.representation)
        )
        found |= {key: dict(getattr(self, key)) for key in ("network", "card") if getattr(self, key)}
        return found

    def write(self, path: Path | None = None) -> Path:
        """Write whole or not at all, by default where it was read; FileError says why it cannot be."""
        path = path or self.folder / self.called
        data = tomli_w.dumps(self.document()).encode()
        try:
            write_whole(path, data)
        except OSError as error:
            raise FileError(f"{path} cannot be written: {error.strerror}.") from error
        return path


def read_model_file(path: str | Path) -> ModelFile:
    """What a model.toml says, checked; `path` may also be the folder it lies in. FileError with one sentence otherwise."""
    path = Path(path).expanduser()
    if path.is_dir():
        path = path / FILE
    try:
        if not path.is_file():
            raise FileError(f"There is no {path.name} in {path.parent}.")
        if path.stat().st_size > LARGEST:
            raise FileError(f"{path} is far too large for a model.toml.")
        document = tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is not a text file in UTF-8, so it is no model.toml.") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise FileError(f"{path} is not valid TOML: {str(error).rstrip('.')}.") from error
    return _checked(document, path)


def _checked(document: dict[str, Any], path: Path) -> ModelFile:
    where = path.name if path.name != FILE else f"{path.parent.name}/{FILE}"

    def wrong(what: str) -> FileError:
        return FileError(f"{where}: {what}.")

    unknown = sorted(set(document) - KEYS)
    if unknown:
        raise wrong(f"there is no key {unknown[0]!r}; the keys are {', '.join(sorted(KEYS))}")
    missing = [key for key in ("name", "weights", "sample_rate", "window", "task", "labels") if key not in document]
    if missing:
        raise wrong(f"{missing[0]} is missing")

    def text(key: str, default: str = "") -> str:
        value = document.get(key, default)
        if not isinstance(value, str) or (key not in ("title", "note", "parity") and not value.strip()):
            raise wrong(f"{key} must be a text in quotes")
        return value

    def number(key: str, least: int, most: int) -> int:
        value = document[key]
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise wrong(f"{key} must be a whole number from {least:,} to {most:,}")
        return value

    name = text("name")
    if trouble := name_trouble(name):
        raise wrong(f"{name!r} cannot be a model's name: {trouble}")
    for key in ("weights", "parity"):
        _inside(text(key), key, wrong)
    suffix = Path(text("weights")).suffix.lower()
    if suffix not in KINDS:
        raise wrong(
            f"weights of kind {suffix or 'without a suffix'!r} cannot be read; export the model as .pt2, TorchScript (.pt), "
            "ONNX, or as safetensors of a network known here"
        )
    if text("task") not in TASKS:
        raise wrong(f"task is one of {', '.join(TASKS)}")
    if text("output", "logits") not in OUTPUTS:
        raise wrong(f"output is one of {', '.join(OUTPUTS)}")
    labels = _texts(document, "labels", wrong)
    if not 2 <= len(labels) <= MOST_LABELS or len(set(labels)) != len(labels):
        raise wrong("labels must be at least two different names")
    batch = document.get("batch", "dynamic")
    if batch != "dynamic" and (not isinstance(batch, int) or isinstance(batch, bool) or not 1 <= batch <= 4096):
        raise wrong('batch is "dynamic" or a whole number from 1 to 4096')
    representation = document.get("representation", WAVEFORM)
    if representation != WAVEFORM and not isinstance(representation, dict):
        raise wrong('representation is "waveform" or a table with the settings of a front end')
    network = document.get("network", {})
    if isinstance(network, str):
        network = {"name": network}
    if not isinstance(network, dict) or (network and not isinstance(network.get("name"), str)):
        raise wrong("network is the name of a network, or a table with a name")
    if (KINDS[suffix] == SAFETENSORS) != bool(network):
        raise wrong(
            "safetensors hold arrays alone: say in [network] which network they belong to"
            if not network
            else f"network goes with safetensors only, not with {KINDS[suffix]}"
        )
    card = document.get("card", {})
    if not isinstance(card, dict):
        raise wrong("card must be a table")
    return ModelFile(
        folder=path.parent,
        name=name,
        weights=text("weights"),
        sample_rate=number("sample_rate", 1_000, 192_000),
        window=number("window", 16, LONGEST_WINDOW),
        task=text("task"),
        labels=labels,
        title=text("title"),
        note=text("note"),
        representation=representation,
        output=text("output", "logits"),
        batch=None if batch == "dynamic" else batch,
        features=_texts(document, "features", wrong),
        network=network,
        parity=text("parity"),
        card=card,
        called=path.name,
    )


def _texts(document: dict[str, Any], key: str, wrong) -> tuple[str, ...]:
    value = document.get(key, [])
    if not isinstance(value, list) or not all(isinstance(entry, str) and entry.strip() for entry in value):
        raise wrong(f"{key} must be a list of names")
    return tuple(value)


def _inside(place: str, key: str, wrong) -> None:
    """A file named by a model.toml lies beside it or below: nothing on the machine is read because a stranger's file says so."""
    path = Path(place)
    if path.is_absolute() or ".." in path.parts or "\\" in place or ":" in place or "\0" in place:
        raise wrong(f"{key} must name a file beside this one")
