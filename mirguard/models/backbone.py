"""Classifiers on a backbone: the inner layers of a model of the catalogue and a last layer of their own.

Kept is the last layer (and what of the backbone was tuned); the backbone itself is named with its hash, and a classifier whose
backbone is missing or another one is refused, since its last layer would mean nothing there. Gradients go through to the waveform.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mirguard.errors import FileError, MirguardError, UsageError
from mirguard.models.arrays import kept, read_arrays, write_arrays
from mirguard.models.contract import Classifier, TorchClassifier
from mirguard.models.decision import SINGLE_LABEL
from mirguard.models.file_hash import file_hash
from mirguard.models.model_file import ModelFile

NETWORK = "backbone"
WEIGHTS = "weights.safetensors"
LOGITS = "logits"
FEATURES = "features"  # the layer that the new last layer reads: all that it reads, side by side
_TUNED = "backbone."

# The last stages of networks whose layers are no submodules with arrays of their own: what their names begin with.
_LAST_STAGES = {"Musicnn": ("middle.", "dense_")}
_STAGES = 2  # of other networks: the last two layers that have a name


class Headed(nn.Module):
    """A backbone's network up to some of its layers, and a linear layer on those: representation -> logits.

    `places` are the names of the submodules whose outputs are read ("" for the network's own output).
    """

    def __init__(self, backbone: nn.Module, places: Sequence[str], head: nn.Linear) -> None:
        super().__init__()
        self.backbone, self.places = backbone, tuple(places)
        self.features = nn.Identity()
        self.head = head

    def forward(self, representation: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(self.heard(representation)))

    def heard(self, representation: torch.Tensor) -> torch.Tensor:
        """What the last layer reads, `(batch, d)`."""
        found: dict[str, torch.Tensor] = {}
        handles = []
        for place in self.places:
            if place:
                module = self.backbone.get_submodule(place)
                handles.append(
                    module.register_forward_hook(lambda _m, _i, out, place=place: found.__setitem__(place, out))
                )
        try:
            out = self.backbone(representation)
        finally:
            for handle in handles:
                handle.remove()
        return torch.cat([(found[place] if place else out).flatten(1) for place in self.places], 1)

    def train(self, mode: bool = True) -> Headed:
        """Training mode reaches the last layer alone: a backbone's statistics stay those of all that it has ever heard."""
        super().train(mode)
        self.backbone.eval()
        return self


class BackboneClassifier(TorchClassifier):
    """A classifier with the front end and inner layers of `backbone` and `head` on its `read` layers.

    `layers` are the backbone's and, last, "features": what the head reads. `tuned` are arrays of the backbone's network by
    name that take the place of its own, in a copy.
    """

    def __init__(
        self,
        name: str,
        backbone: TorchClassifier,
        read: Sequence[str],
        head: nn.Linear,
        labels: Sequence[str],
        *,
        tuned: Mapping[str, torch.Tensor] | None = None,
        title: str = "",
        note: str = "",
    ) -> None:
        check_backbone(backbone)
        network = backbone.network
        if tuned:
            network = copy.deepcopy(network)
            _replace(network, tuned, name)
        self.backbone, self.read, self.tuned = backbone, tuple(read), dict(tuned or {})
        super().__init__(
            name,
            backbone.front_end,
            Headed(network, places_of(backbone, read), head),
            sample_rate=backbone.sample_rate,
            window=backbone.window,
            labels=labels,
            task=SINGLE_LABEL,
            taps=taps_of(backbone),
            title=title,
            note=note,
            micro_batch=backbone.micro_batch,
            graph_windows=backbone.graph_windows,
        )
        self.differentiable = backbone.differentiable
        self.device = backbone.device


def check_backbone(model: Classifier) -> TorchClassifier:
    """Itself, if its layers can be read and built upon; UsageError otherwise."""
    if not isinstance(model, TorchClassifier):
        raise UsageError(f"{model.name} is no network whose inner layers can be built upon; choose another backbone.")
    return model


def places_of(backbone: TorchClassifier, layers: Sequence[str]) -> tuple[str, ...]:
    """Where in the backbone's network its layers come out; UsageError for a layer that it has not."""
    places = []
    for layer in layers:
        if layer != LOGITS and layer not in backbone._taps:
            raise UsageError(f"{backbone.name} has no layer {layer!r}; it has {', '.join(backbone.layers)}.")
        places.append("" if layer == LOGITS else backbone._taps[layer])
    if not places:
        raise UsageError(f"Which layers of {backbone.name} are to be read?")
    return tuple(places)


def taps_of(backbone: TorchClassifier) -> dict[str, str]:
    """The layers of a classifier on this backbone."""
    own = {layer: f"backbone.{place}" for layer, place in backbone._taps.items() if layer != FEATURES}
    return own | {FEATURES: "features"}


def make_head(weight: np.ndarray, bias: np.ndarray) -> nn.Linear:
    """The linear layer with these `(K, d)` weights and `(K,)` biases."""
    head = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    head.weight = nn.Parameter(torch.from_numpy(np.ascontiguousarray(weight, np.float32)))
    head.bias = nn.Parameter(torch.from_numpy(np.ascontiguousarray(bias, np.float32)))
    return head


# -- Tuning ------------------------------------------------------------------------------------------------------------


def last_stage(backbone: TorchClassifier) -> tuple[str, ...]:
    """Names of the arrays of the backbone's last layers, those that fine-tuning may change; UsageError where there are none."""
    beginnings = _LAST_STAGES.get(type(backbone.network).__name__)
    if beginnings is None:
        own = [place for place in backbone._taps.values() if any(_arrays(backbone.network, f"{place}."))]
        beginnings = tuple(f"{place}." for place in own[-_STAGES:])
    names = tuple(name for beginning in beginnings for name in _arrays(backbone.network, beginning))
    if not names:
        raise UsageError(f"{backbone.name} shows no layers of its own that could be fine-tuned.")
    return names


def unfreeze(network: nn.Module, names: Sequence[str]) -> dict[str, nn.Parameter]:
    """Make these arrays of a network parameters that can be trained (some networks keep them as buffers), by name. Running
    statistics of normalisations stay what they are."""
    found = {}
    for name in names:
        place, _, own = name.rpartition(".")
        module = network.get_submodule(place)
        if own in module._buffers:
            if own.startswith(("running_", "num_batches")):
                continue
            value = module._buffers.pop(own)
            module.register_parameter(own, nn.Parameter(value.detach().clone()))
        found[name] = module._parameters[own].requires_grad_(True)
    return found


def _arrays(network: nn.Module, beginning: str) -> list[str]:
    return [
        name
        for name, value in network.state_dict().items()
        if name.startswith(beginning)
        and value.is_floating_point()
        and not name.rpartition(".")[2].startswith("running_")
    ]


def _replace(network: nn.Module, tuned: Mapping[str, torch.Tensor], name: str) -> None:
    own = network.state_dict()
    for key, value in tuned.items():
        if key not in own or tuple(own[key].shape) != tuple(value.shape):
            raise FileError(f"{name}: its tuned array {key} does not fit its backbone.")
    network.load_state_dict(dict(tuned), strict=False)


# -- Files -------------------------------------------------------------------------------------------------------------


def save_backbone(
    folder: Path,
    name: str,
    *,
    backbone: TorchClassifier,
    layers: Sequence[str],
    head: nn.Linear,
    labels: Sequence[str],
    tuned: Mapping[str, torch.Tensor] | None = None,
    title: str = "",
    note: str = "",
    card: Mapping[str, Any] | None = None,
) -> ModelFile:
    """Write the head and what was tuned as `weights.safetensors`, and `model.toml`, into `folder`; FileError if it cannot be."""
    arrays = {"head.weight": head.weight, "head.bias": head.bias}
    arrays |= {f"{_TUNED}{key}": value for key, value in (tuned or {}).items()}
    file = ModelFile(
        folder=Path(folder),
        name=name,
        weights=WEIGHTS,
        sample_rate=backbone.sample_rate,
        window=backbone.window,
        task=SINGLE_LABEL,
        labels=tuple(labels),
        title=title,
        note=note,
        network={
            "name": NETWORK,
            "backbone": backbone.name,
            "backbone_hash": backbone.hash,
            "layers": list(layers),
        },
        card=dict(card or {}),
    )
    write_arrays(file.weights_path, {key: kept(value) for key, value in arrays.items()})
    file.write()
    return file


_loading = threading.local()


def find_backbone(
    name: str, network: Mapping[str, Any], window: int | None = None
) -> tuple[Classifier, tuple[str, ...]]:
    """The backbone that a model.toml's table names in `backbone`, `backbone_hash` and `layers`, and the layers; FileError says
    what is wrong with it. `name` is the model's whose backbone is looked for."""
    from mirguard.models.catalogue import load_model

    wanted, wanted_hash, layers = (network.get(key) for key in ("backbone", "backbone_hash", "layers"))
    if not isinstance(wanted, str) or not isinstance(wanted_hash, str):
        raise FileError(f"{name}: its model.toml must name its backbone, and backbone_hash.")
    if not isinstance(layers, list) or not layers or not all(isinstance(layer, str) for layer in layers):
        raise FileError(f"{name}: its model.toml must name the layers of {wanted} that it reads.")
    stack = _loading.__dict__.setdefault("stack", [])
    if name in stack or wanted == name:
        raise FileError(f"{name} is built upon itself, so it cannot be loaded.")
    stack.append(name)
    try:
        backbone = load_model(wanted)
    except MirguardError as error:
        raise FileError(f"{name} is built on {wanted}, which cannot be had: {error}") from error
    finally:
        stack.pop()
    if backbone.hash != wanted_hash:
        raise FileError(
            f"{name} was trained on another {wanted} than the one here (its hash differs), so it would hear nonsense; "
            f"train it again, or bring back that {wanted}."
        )
    return backbone, tuple(layers)


def load(file: ModelFile) -> BackboneClassifier:
    """The classifier that a model.toml with `network.name = "backbone"` describes; FileError with one sentence if it cannot be."""
    backbone, layers = find_backbone(file.name, file.network)
    try:
        check_backbone(backbone)
        places_of(backbone, layers)
    except UsageError as error:
        raise FileError(f"{file.name}: {error}") from error
    if (file.sample_rate, file.window, file.task) != (backbone.sample_rate, backbone.window, SINGLE_LABEL):
        raise FileError(
            f"{file.name}: a classifier on {backbone.name} is single-label and hears windows of {backbone.window} samples at "
            f"{backbone.sample_rate} Hz; its model.toml says something else."
        )
    arrays = read_arrays(file)
    weight, bias = arrays.pop("head.weight", None), arrays.pop("head.bias", None)
    classes = len(file.labels)
    if weight is None or bias is None or weight.ndim != 2 or len(weight) != classes or bias.shape != (classes,):
        raise FileError(f"{file.name}: {file.weights} holds no last layer for {classes} labels.")
    strange = [key for key in arrays if not key.startswith(_TUNED)]
    if strange:
        raise FileError(f"{file.name}: {file.weights} holds an array {strange[0]} that belongs nowhere.")
    head = nn.Linear(1, 1)
    head.weight, head.bias = nn.Parameter(weight.float()), nn.Parameter(bias.float())
    head.in_features, head.out_features = weight.shape[1], classes
    tuned = {key.removeprefix(_TUNED): value.float() for key, value in arrays.items()}
    classifier = BackboneClassifier(
        file.name, backbone, layers, head, file.labels, tuned=tuned, title=file.title, note=file.note
    )
    with torch.inference_mode():
        heard = classifier.network.heard(classifier.represent(torch.zeros(1, file.window)))
    if heard.shape[1] != head.in_features:
        raise FileError(
            f"{file.name}: its last layer reads {head.in_features} features; the layers {', '.join(layers)} of "
            f"{backbone.name} give {heard.shape[1]}."
        )
    classifier.hash = file_hash(file)
    return classifier
