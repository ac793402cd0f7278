"""A small network attached to an inner layer of another, which says whether what it sees is adversarial.

Metzen, Genewein, Fischer and Bischoff, "On detecting adversarial perturbations", ICLR 2017 (arXiv 1702.04267): the classifier is
frozen and convolutions with pooling between them, then the mean over all places, read one of its layers. Here it is small enough
to cost little, the maximum stands beside the mean, and the input is normalised.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from mirguard.errors import UsageError
from mirguard.models.networks.settings import width, widths

LAYER = "subnetwork"
REPRESENTATION = "representation"
CHANNELS = (16, 24, 24)
_KEYS = ("layer", "shape", "channels")


class Detector(nn.Module):
    """What a layer of `shape` (without the batch: channels, rows and columns; channels and steps; or units) gives ->
    `(batch, 1)`, the log-odds that it is adversarial (or that many logits `outputs`). `channels` are those of its convolutions (or
    units of its layers)."""

    def __init__(self, shape: tuple[int, ...], channels: tuple[int, ...], outputs: int = 1) -> None:
        super().__init__()
        dimensions = len(shape) - 1
        convolution, norm, pool = (
            (nn.Conv2d, nn.BatchNorm2d, nn.AvgPool2d),
            (nn.Conv1d, nn.BatchNorm1d, nn.AvgPool1d),
            (nn.Linear, nn.BatchNorm1d, None),
        )[2 - dimensions]
        around = {"kernel_size": 3, "padding": 1} if dimensions else {}
        layers: list[nn.Module] = [norm(shape[0])]
        rest = min(shape[1:], default=0)  # what pooling leaves of the shortest side
        for number, (before, after) in enumerate(pairwise((shape[0], *channels))):
            layers += [convolution(before, after, bias=False, **around), norm(after), nn.ReLU()]
            if pool is not None and number < 2 and rest >= 4:
                layers.append(pool(2))
                rest //= 2
        self.layers = nn.Sequential(*layers)
        self.out = nn.Linear(channels[-1] * (2 if dimensions else 1), outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layers(x)
        if x.ndim > 2:
            x = torch.cat([x.flatten(2).mean(2), x.flatten(2).amax(2)], 1)
        return self.out(x)


class WithSubnetwork(nn.Module):
    """`network`, which stays as it is, and layer "subnetwork" `(batch, 1)`: the log-odds that a window is adversarial, as a
    `Detector` judges from its layer `layer` ("representation": from what the network takes).

    `shape` is that layer's, without the batch; a representation `(frames, bands)` is one channel. Training mode reaches the
    detector alone: the classifier's running statistics stay what they are.
    """

    def __init__(self, network: nn.Module, layer: str, shape: Any, channels: Any = CHANNELS) -> None:
        super().__init__()
        if layer != REPRESENTATION and layer not in network.taps:
            known = ", ".join((REPRESENTATION, *network.taps))
            raise UsageError(f"A subnetwork can be attached to {known}; not to {layer!r}.")
        shape, channels = widths("subnetwork's shape", shape), widths("subnetwork's channels", channels)
        if not 1 <= len(shape) <= 3:
            raise UsageError("The network's subnetwork reads a layer of one to three dimensions.")
        if layer == REPRESENTATION and len(shape) == 1:
            raise UsageError("A subnetwork cannot read samples; attach it to a layer of the network.")
        self.network, self.layer = network, layer
        own = {"layer": layer, "shape": list(shape), "channels": list(channels)}
        self.settings: dict[str, Any] = {**network.settings, LAYER: own}
        self.taps = {LAYER: "detector"} | {name: f"network.{place}" for name, place in network.taps.items()}
        self.detector = Detector((1, *shape) if layer == REPRESENTATION else shape, channels)

    @classmethod
    def from_settings(cls, network: nn.Module, settings: Any) -> WithSubnetwork:
        """From the table of a model.toml; UsageError for one that makes no sense."""
        if not isinstance(settings, Mapping) or not {"layer", "shape"} <= set(settings) <= set(_KEYS):
            raise UsageError(f"The network's subnetwork is a table with {', '.join(_KEYS)}.")
        if not isinstance(settings["layer"], str):
            raise UsageError("The network's subnetwork names the layer that it reads.")
        return cls(network, **settings)

    def forward(self, representation: torch.Tensor) -> torch.Tensor:
        return self.both(representation)[0]

    def both(self, representation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The labels' logits `(batch, K)` and the log-odds of being adversarial `(batch, 1)`."""
        if self.layer == REPRESENTATION:
            return self.network(representation), self.detector(representation[:, None])
        found = []
        module = self.network.get_submodule(self.network.taps[self.layer])
        handle = module.register_forward_hook(lambda _module, _inputs, out: found.append(out))
        try:
            logits = self.network(representation)
        finally:
            handle.remove()
        return logits, self.detector(found[0])

    def train(self, mode: bool = True) -> WithSubnetwork:
        super().train(mode)
        self.network.eval()
        return self


def shape_of(network: nn.Module, layer: str, representation: torch.Tensor) -> tuple[int, ...]:
    """The shape of a layer without the batch, as the network gives it for a representation `(1, ...)`; UsageError for one that
    there is not."""
    if layer == REPRESENTATION:
        return tuple(representation.shape[1:])
    if layer not in network.taps:
        raise UsageError(
            f"A subnetwork can be attached to {', '.join((REPRESENTATION, *network.taps))}; not to {layer!r}."
        )
    found = []
    handle = network.get_submodule(network.taps[layer]).register_forward_hook(
        lambda _module, _inputs, out: found.append(tuple(out.shape[1:]))
    )
    try:
        with torch.inference_mode():
            network(representation)
    finally:
        handle.remove()
    return tuple(width("layer", n) for n in found[0])
