"""The representation projected on its first principal components, so that a perturbation off them is not heard.

Bhagoji, Cullina and Mittal, "Dimensionality reduction as a defense against evasion attacks on machine learning classifiers", 2017
(arXiv 1704.02654). In audio it has been seen to fail (Alparslan et al. 2020).
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch

from mirguard.defences.job import Hardened, Job
from mirguard.errors import Cancelled, UsageError
from mirguard.models.backbone import BackboneClassifier
from mirguard.models.networks import projection
from mirguard.models.networks.projection import Projected, blocks
from mirguard.models.training.loop import Excerpts, labels_objective

MOST_BLOCKS = 40_000  # that components are computed from
_BATCH = 32


def pca_projection(job: Job) -> Hardened:
    """x̂ = μ + AᵀA(x − μ) in front of the parent's network ("reconstruct"), which may then be trained further behind it
    ("retrain"). A classifier on a backbone has its features projected in place of the representation, see `_of_features`."""
    if isinstance(job.parent, BackboneClassifier):
        return _of_features(job, job.parent)
    parent, values = job.parent, job.values
    if projection.LAYER in parent.network.settings:
        raise UsageError(
            f"{parent.name} hears through a projection already; project the model that it was made of instead."
        )
    with torch.inference_mode():
        heard = parent.represent(torch.zeros(1, parent.window))
    if heard.ndim != 3:
        raise UsageError(
            f"{parent.name} hears the samples themselves; principal components are taken of a spectrogram's frames, so choose "
            "a model that hears one."
        )
    frames, bands = min(values["frames"], heard.shape[1]), heard.shape[2]
    count = values["components"]
    if count > frames * bands:
        raise UsageError(f"{frames} frames of {bands} bands have {frames * bands} components at most; got {count}.")
    x = _representations(job, lambda heard: blocks(heard, frames).flatten(0, 1))
    mean, components, explained = principal_components(x, count)
    network = Projected(job.network(), count, frames, bands)
    network.projection.mean.copy_(torch.from_numpy(mean))
    network.projection.components.copy_(torch.from_numpy(components))
    if values["retrain"]:
        job.train(network, labels_objective(job.front_end, network, job.task, job.recipe().label_smoothing))
    remark = f"It hears {count} principal components of every {frames} frames, {explained:.1%} of their variance."
    return Hardened(network, (remark,), {"frames": frames, "explained": round(explained, 4)})


def principal_components(x: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Of rows `x (n, d)`: their mean `(d,)`, the `count` orthonormal directions of largest variance `(count, d)`, and the share of
    the variance that they hold. Computed in double precision; the sign of a direction makes its largest value positive."""
    mean = x.mean(0, dtype=np.float64)
    centred = x - mean
    variances, directions = np.linalg.eigh(centred.T @ centred / len(x))
    components = directions[:, ::-1][:, :count].T
    largest = np.abs(components).argmax(1)
    components = components * np.sign(components[np.arange(count), largest])[:, None]
    total = float(variances.clip(0).sum())
    explained = float(variances[::-1][:count].clip(0).sum()) / total if total else 1.0
    return mean.astype(np.float32), np.ascontiguousarray(components, np.float32), explained


def _of_features(job: Job, parent: BackboneClassifier) -> Hardened:
    """A linear layer on projected features is a linear layer: z = W(μ + AᵀA(h − μ)) + b = (W·AᵀA)·h + b + W(μ − AᵀAμ).

    So the backbone stays as it is, and there is nothing to train again."""
    network, count = copy.deepcopy(parent.network), job.values["components"]
    features = network.head.in_features
    if count > features:
        raise UsageError(f"{parent.name} has {features} features, and so many components at most; got {count}.")
    mean, components, explained = principal_components(_representations(job, network.heard), count)
    mean, a = torch.from_numpy(mean).double(), torch.from_numpy(components).double()
    w = network.head.weight.detach().double()
    network.head.weight.copy_(w @ a.T @ a)
    network.head.bias.add_(w @ (mean - a.T @ (a @ mean)))
    remark = f"Its last layer reads {count} principal components of the backbone's features, {explained:.1%} of their variance."
    return Hardened(network, (remark,), {"explained": round(explained, 4)})


def _representations(job: Job, rows: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray:
    """`rows(representation) (n, d)` of one window of each training sound, evenly taken if there are very many."""
    rng, window = np.random.default_rng(job.seed), job.parent.window
    parts = []
    for first in range(0, len(job.sounds), _BATCH):
        if job.rest:
            job.rest()
        if job.cancel is not None and job.cancel.is_set():
            raise Cancelled("Training was cancelled.")
        cut = [_window(job.sounds, index, window, rng) for index in range(first, min(first + _BATCH, len(job.sounds)))]
        with torch.inference_mode():
            parts.append(rows(job.parent.represent(torch.from_numpy(np.stack(cut).astype(np.float32)))).numpy())
    every = np.concatenate(parts)
    return every[:: -(-len(every) // MOST_BLOCKS)]


def _window(sounds: np.ndarray | Excerpts, index: int, window: int, rng: np.random.Generator) -> np.ndarray:
    if isinstance(sounds, np.ndarray):
        start = int(rng.integers(0, sounds.shape[1] - window + 1))
        return sounds[index, start : start + window]
    start = int(rng.integers(0, int(sounds.lengths[index]) - window + 1))
    return sounds.cut(index, start, window)
