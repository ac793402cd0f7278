"""Learners without gradients as files: their arrays as safetensors beside a `model.toml` that says how to use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mirguard.errors import FileError, UsageError
from mirguard.models.arrays import read_arrays, write_arrays
from mirguard.models.backbone import WEIGHTS, find_backbone
from mirguard.models.contract import Classifier
from mirguard.models.decision import SINGLE_LABEL
from mirguard.models.file_hash import file_hash
from mirguard.models.learners.classifier import LearnerClassifier
from mirguard.models.learners.rules import CurvedSupportVectors, LinearRule, Nearest, Rule, StraightSupportVectors, Tree
from mirguard.models.learners.statistics import KIND, LAYER, Statistics
from mirguard.models.model_file import ModelFile

RULES: dict[str, tuple[type[Rule], ...]] = {
    "logistic-regression": (LinearRule,),
    "svm": (CurvedSupportVectors, StraightSupportVectors),
    "decision-tree": (Tree,),
    "nearest-neighbours": (Nearest,),
}


def save_learner(
    folder: Path,
    name: str,
    *,
    learner: str,
    source: Statistics | Classifier,
    read: Sequence[str],
    rule: Rule,
    labels: Sequence[str],
    title: str = "",
    note: str = "",
    card: Mapping[str, Any] | None = None,
) -> ModelFile:
    """Write `weights.safetensors` and `model.toml` into `folder`; FileError if it cannot be. `learner` is a key of `RULES`."""
    if isinstance(source, Statistics):
        features: dict[str, Any] = {"kind": KIND, **source.settings}
    else:
        features = {"backbone": source.name, "backbone_hash": source.hash, "layers": list(read)}
    file = ModelFile(
        folder=Path(folder),
        name=name,
        weights=WEIGHTS,
        sample_rate=source.sample_rate,
        window=source.window,
        task=SINGLE_LABEL,
        labels=tuple(labels),
        title=title,
        note=note,
        network={"name": learner, "features": features},
        card=dict(card or {}),
    )
    arrays = {key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in rule.arrays.items()}
    write_arrays(file.weights_path, arrays)
    file.write()
    return file


def load(file: ModelFile) -> LearnerClassifier:
    """The learner that a model.toml describes; FileError with one sentence if it or its arrays are not what they should be."""
    source, read = _source(file)
    arrays = {key: _numbers(key, value, file) for key, value in read_arrays(file).items()}
    kinds = RULES[file.network["name"]]
    kind = next((kind for kind in kinds if set(kind.NAMES) <= set(arrays)), kinds[0])
    try:
        rule = kind(arrays, len(file.labels))
        classifier = LearnerClassifier(file.name, source, read, rule, file.labels, title=file.title, note=file.note)
    except UsageError as error:
        raise FileError(f"{file.name}: {file.weights} cannot be used: {str(error).rstrip('.')}.") from error
    if (file.sample_rate, file.window, file.task) != (source.sample_rate, source.window, SINGLE_LABEL):
        raise FileError(
            f"{file.name}: what it hears through takes windows of {source.window} samples at {source.sample_rate} Hz and decides "
            "for one label; its model.toml says something else."
        )
    with torch.inference_mode():
        size = classifier.represent(torch.zeros(1, file.window)).shape[1]
    if size != rule.size:
        raise FileError(f"{file.name}: it decides on {rule.size} features, and {size} are heard.")
    classifier.hash = file_hash(file)
    return classifier


def _source(file: ModelFile) -> tuple[Statistics | Classifier, tuple[str, ...]]:
    features = file.network.get("features")
    if not isinstance(features, dict):
        raise FileError(f"{file.name}: its model.toml must say which features it decides on.")
    if "backbone" in features:
        source, read = find_backbone(file.name, features)
        strange = [layer for layer in read if layer not in (*source.layers, "logits")]
        if strange:
            raise FileError(
                f"{file.name}: {source.name} has no layer {strange[0]!r}; it has {', '.join(source.layers)}."
            )
        return source, read
    if features.get("kind") != KIND:
        raise FileError(
            f"{file.name}: features are of kind {KIND!r}, or name a backbone; got {features.get('kind')!r}."
        )
    try:
        settings = {key: value for key, value in features.items() if key != "kind"}
        return Statistics(file.sample_rate, file.window, settings), (LAYER,)
    except UsageError as error:
        raise FileError(f"{file.name}: {error}") from error


def _numbers(key: str, value: torch.Tensor, file: ModelFile) -> np.ndarray:
    if value.dtype not in (torch.float16, torch.float32, torch.float64, torch.int32, torch.int64):
        raise FileError(f"{file.name}: array {key} in {file.weights} holds {value.dtype}, which is none of its kinds.")
    return value.numpy()
