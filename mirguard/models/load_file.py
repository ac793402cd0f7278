"""From a model.toml to a classifier: each kind of weights has one module that knows how."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from mirguard.errors import FileError
from mirguard.models.model_file import EXPORTED, ONNX, TORCHSCRIPT, ModelFile, read_model_file

if TYPE_CHECKING:
    from mirguard.models.contract import Classifier

_NETWORKS, _LEARNERS = "mirguard.models.networks.saved", "mirguard.models.learners.saved"
_BACKBONE = "mirguard.models.backbone"
# Networks whose arrays are kept as safetensors -> the module whose `load(ModelFile) -> Classifier` makes them.
BY_NETWORK = {
    "log-mel-cnn": _NETWORKS,
    "magnitude-mlp": _NETWORKS,
    "magnitude-cnn": _NETWORKS,
    "raw-cnn": _NETWORKS,
    "crnn": _NETWORKS,
    "logistic-regression": _LEARNERS,
    "svm": _LEARNERS,
    "decision-tree": _LEARNERS,
    "nearest-neighbours": _LEARNERS,
    "backbone": _BACKBONE,
}
BLACK_BOXES = {name for name, module in BY_NETWORK.items() if module == _LEARNERS}
BY_KIND = {
    EXPORTED: "mirguard.models.imports.exported",
    TORCHSCRIPT: "mirguard.models.imports.exported",
    ONNX: "mirguard.models.imports.onnx",
}


def load_model_file(file: ModelFile | str | Path) -> Classifier:
    """The classifier that a model.toml describes; FileError with one sentence if it or its weights are not what they should be."""
    if not isinstance(file, ModelFile):
        file = read_model_file(file)
    if not file.weights_path.is_file():
        raise FileError(f"{file.name}: its weights {file.weights} are not in {file.folder}.")
    if file.network:
        name = file.network["name"]
        if name not in BY_NETWORK:
            raise FileError(f"{file.name}: there is no network {name!r}; there are {', '.join(BY_NETWORK)}.")
        module = BY_NETWORK[name]
    else:
        module = BY_KIND[file.kind]
    return import_module(module).load(file)


def is_black_box(file: ModelFile) -> bool:
    """Whether what is described gives no gradients by its nature."""
    return file.kind == ONNX or file.network.get("name") in BLACK_BOXES
