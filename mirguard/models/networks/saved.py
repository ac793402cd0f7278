"""Networks of our own as files: arrays as safetensors beside a `model.toml` that says which network they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from mirguard.errors import FileError, UsageError
from mirguard.models.architectures import find_architecture
from mirguard.models.arrays import kept, write_arrays
from mirguard.models.contract import TorchClassifier
from mirguard.models.decision import SINGLE_LABEL
from mirguard.models.file_hash import file_hash
from mirguard.models.front_ends import make_front_end
from mirguard.models.model_file import ModelFile
from mirguard.models.networks.hardened import build

WEIGHTS = "weights.safetensors"
MICRO_BATCH = 16  # windows: some 0.1 s forward and backward on one thread
COUNTERS = "num_batches_tracked"  # of batch normalisation; used in training only


class OwnNetwork(TorchClassifier):
    """A classifier whose network can be built anew and trained further: `architecture` is its name, `network.settings` what it is
    built from, `representation` what it hears, as a model.toml keeps it."""

    architecture: str
    representation: str | Mapping[str, Any]


def save_network(
    folder: Path,
    name: str,
    *,
    architecture: str,
    network: nn.Module,
    representation: str | Mapping[str, Any],
    sample_rate: int,
    window: int,
    labels: Sequence[str],
    task: str = SINGLE_LABEL,
    title: str = "",
    note: str = "",
    card: Mapping[str, Any] | None = None,
) -> ModelFile:
    """Write `weights.safetensors` and `model.toml` into `folder`, the model's own, and return what the latter says.

    `network` is one that `find_architecture(architecture).build` made, trained; its arrays are kept as float32 without denormal
    numbers, which make a pass on a CPU many times slower. `window` is in samples at `sample_rate` Hz. FileError if the folder
    cannot be written.
    """
    file = ModelFile(
        folder=Path(folder),
        name=name,
        weights=WEIGHTS,
        sample_rate=sample_rate,
        window=window,
        task=task,
        labels=tuple(labels),
        title=title,
        note=note,
        representation=representation if isinstance(representation, str) else dict(representation),
        network={"name": find_architecture(architecture).name, **network.settings},
        card=dict(card or {}),
    )
    arrays = network.state_dict().items()
    write_arrays(file.weights_path, {key: kept(value) for key, value in arrays if value.is_floating_point()})
    file.write()
    return file


def load(file: ModelFile) -> OwnNetwork:
    """The classifier that a model.toml with a network of ours describes; FileError with one sentence if it cannot be built.

    Settings are checked before anything is allocated: the network is laid out without memory and takes the file's arrays as its
    own, once their names and shapes are the right ones.
    """
    try:
        architecture = find_architecture(file.network["name"])
        front_end = make_front_end(file.representation, file.sample_rate, file.window)
        with torch.device("meta"):
            settings = {key: value for key, value in file.network.items() if key != "name"}
            network = build(architecture, len(file.labels), settings)
        network.load_state_dict(_weights(file, network), assign=True)
        if architecture.channels_last:
            network.to(memory_format=torch.channels_last)
        classifier = OwnNetwork(
            file.name,
            front_end,
            network,
            sample_rate=file.sample_rate,
            window=file.window,
            labels=file.labels,
            task=file.task,
            taps=network.taps,
            title=file.title,
            note=file.note,
            micro_batch=MICRO_BATCH,
        )
    except UsageError as error:
        raise FileError(f"{file.name}: {error}") from error
    classifier.architecture, classifier.representation = architecture.name, file.representation
    # Of the files, not of tensors: the mel filters are computed here, and another processor may round them otherwise.
    classifier.hash = file_hash(file)
    _try(classifier)
    return classifier


def _weights(file: ModelFile, network: nn.Module) -> dict[str, torch.Tensor]:
    """The arrays of the file, exactly those that the network has, in the right shapes and finite."""
    path = file.weights_path
    wanted = network.state_dict()
    counters = {key for key in wanted if key.endswith(COUNTERS)}
    try:
        with safe_open(path, framework="pt") as stored:
            shapes = {key: tuple(stored.get_slice(key).get_shape()) for key in stored.keys()}  # noqa: SIM118
            missing = sorted(set(wanted) - counters - set(shapes))
            unexpected = sorted(set(shapes) - set(wanted))
            if missing or unexpected:
                what = (
                    f"has no array {missing[0]}" if missing else f"has an array {unexpected[0]}, which is none of its"
                )
                raise FileError(f"{file.name}: {path.name} {what}; it belongs to another network or other settings.")
            for key, shape in shapes.items():
                if key not in counters and shape != tuple(wanted[key].shape):
                    raise FileError(
                        f"{file.name}: array {key} in {path.name} is of shape {shape} where its settings and labels need "
                        f"{tuple(wanted[key].shape)}."
                    )
            weights = {key: stored.get_tensor(key) for key in shapes if key not in counters}
    except (SafetensorError, OSError) as error:
        raise FileError(f"{file.name}: {path.name} cannot be read as safetensors: {error}.") from error
    for key, value in weights.items():
        if not value.is_floating_point() or not torch.isfinite(value).all():
            raise FileError(f"{file.name}: array {key} in {path.name} holds what are not finite numbers.")
    floats = {key: value.float() for key, value in weights.items()}
    return floats | {key: torch.zeros((), dtype=torch.int64) for key in counters}


def _try(classifier: TorchClassifier) -> None:
    """One pass over quiet noise: front end and network must fit each other."""
    heard = 0.01 * torch.randn(1, classifier.window, generator=torch.Generator().manual_seed(0))
    try:
        with torch.inference_mode():
            logits = classifier.logits(heard)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise FileError(
            f"{classifier.name}: its network does not take what its representation gives: {reason}."
        ) from error
    if tuple(logits.shape) != (1, len(classifier.labels)) or not torch.isfinite(logits).all():
        raise FileError(f"{classifier.name}: its network gives no finite logits for quiet noise.")
