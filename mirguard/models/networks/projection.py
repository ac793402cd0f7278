"""Principal components in front of a network: it hears what a few of them can say.

Bhagoji, Cullina and Mittal, "Dimensionality reduction as a defense against evasion attacks on machine learning classifiers", 2017
(arXiv 1704.02654): x̂ = μ + AᵀA(x − μ), A the first k principal components of the training data. There x is the whole input; here it
is a few frames of the representation at a time, so that windows of any length fit. The map is linear and gradients go through it:
an attacker who knows the model knows of the projection (the "strategic" attack of that paper).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from mirguard.errors import UsageError
from mirguard.models.networks.settings import width

LAYER = "projection"
MOST_VALUES = 50_000_000  # numbers in the components
_KEYS = ("components", "frames", "bands")


class Projection(nn.Module):
    """`(batch, frames, bands)` -> the same shape: every `block` of consecutive frames is projected on `components` orthonormal rows
    and back. The last frame is repeated to fill the last block, and what was added is cut off again."""

    def __init__(self, components: int, block: int, bands: int) -> None:
        super().__init__()
        self.block = block
        self.mean = nn.Buffer(torch.zeros(block * bands))
        self.components = nn.Buffer(torch.zeros(components, block * bands))

    def forward(self, representation: torch.Tensor) -> torch.Tensor:
        batch, frames, bands = representation.shape
        x = blocks(representation, self.block) - self.mean
        back = (x @ self.components.T) @ self.components + self.mean
        return back.reshape(batch, -1, bands)[:, :frames]


def blocks(representation: torch.Tensor, block: int) -> torch.Tensor:
    """`(batch, frames, bands)` -> `(batch, blocks, block · bands)`, the last frame repeated as often as is needed."""
    batch, frames, _bands = representation.shape
    missing = -frames % block
    if missing:
        representation = F.pad(representation.transpose(1, 2), (0, missing), mode="replicate").transpose(1, 2)
    return representation.reshape(batch, (frames + missing) // block, -1)


class Projected(nn.Module):
    """`network` behind a `Projection`; layer "projection" is what it hears."""

    def __init__(self, network: nn.Module, components: Any, frames: Any, bands: Any) -> None:
        super().__init__()
        components, frames, bands = (
            width("projection's components", components),
            width("projection's frames", frames, 1, 1024),
            width("projection's bands", bands),
        )
        if components > frames * bands or components * frames * bands > MOST_VALUES:
            raise UsageError(
                f"A projection of {frames} frames of {bands} bands has at most {frames * bands} components; got {components}."
            )
        self.network = network
        self.projection = Projection(components, frames, bands)
        own = {"components": components, "frames": frames, "bands": bands}
        self.settings: dict[str, Any] = {**network.settings, LAYER: own}
        self.taps = {LAYER: LAYER} | {name: f"network.{place}" for name, place in network.taps.items()}

    @classmethod
    def from_settings(cls, network: nn.Module, settings: Any) -> Projected:
        """From the table of a model.toml; UsageError for one that makes no sense."""
        if not isinstance(settings, Mapping) or set(settings) != set(_KEYS):
            raise UsageError(f"The network's projection is a table with {', '.join(_KEYS)}.")
        return cls(network, **settings)

    def forward(self, representation: torch.Tensor) -> torch.Tensor:
        return self.network(self.projection(representation))


def keep_projection(network: nn.Module, other: nn.Module) -> None:
    """Give a network the projection of another one that has the same settings; nothing happens where there is none."""
    if isinstance(other, Projected):
        network.projection.load_state_dict(other.projection.state_dict())
