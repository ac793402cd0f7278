"""Which layers of a model are maps: rows of channels, each with a value at many places."""

from __future__ import annotations

import math

import torch

from mirguard.detectors.sample import Sample
from mirguard.models.contract import REPRESENTATION
from mirguard.models.networks.hardened import ADDED


def shapes(sample: Sample) -> dict[str, tuple[int, ...]]:
    """The shape of one window in what the network takes and in each of the model's layers, less those that defences have added."""
    model = sample.model
    layers = (REPRESENTATION, *(layer for layer in model.layers if layer not in ADDED))
    with torch.no_grad():
        heard, _logits = model.activations(sample.waveforms(slice(0, 1)).to(model.device), layers)
    return {layer: tuple(heard[layer].shape[1:]) for layer in layers}


def maps_among(found: dict[str, tuple[int, ...]]) -> tuple[str, ...]:
    """Those layers that are maps: a representation of frames and bands, and inner layers with channels at more than one place."""
    return tuple(layer for layer, shape in found.items() if len(shape) > 1 and math.prod(shape[1:]) > 1)


def with_channels(layer: str, activations: torch.Tensor) -> torch.Tensor:
    """Activations `(m, ...)` with channels at 1: a representation of frames and bands is a picture of one channel."""
    picture = layer == REPRESENTATION and activations.ndim == 3
    return activations[:, None] if picture else activations
