"""A convolutional recurrent network on log-mel spectrograms.

Choi, Fazekas, Sandler and Cho, "Convolutional recurrent neural networks for music classification", ICASSP 2017 (arXiv 1609.04243):
convolutions with pooling until the frequency axis is gone, then gated recurrent units over time, whose last state decides. Here
smaller, one layer of units in place of two, with ReLU for ELU and mean pooling in the blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from mirguard.models.networks.settings import width, widths

BANDS = 64
CHANNELS = (16, 32, 48, 64)
# (frames, bands) that each block takes the mean of: time is shortened to an eighth, 64 bands to one.
POOLS = ((2, 2), (2, 4), (2, 4), (1, 2))
UNITS = 96


class Block(nn.Module):
    """Convolution 3×3, batch normalisation, ReLU, mean over `pool` (frames, bands)."""

    def __init__(self, inputs: int, outputs: int, pool: tuple[int, int]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.pool = pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(F.relu(self.norm(self.convolution(x))), self.pool)


class Crnn(nn.Module):
    """`(batch, frames, bands)` -> logits `(batch, labels)`. `channels` are four, one a block; at least 8 frames, 64 bands."""

    def __init__(self, labels: int, bands: int = BANDS, channels: Sequence[int] = CHANNELS, units: int = UNITS) -> None:
        super().__init__()
        bands, channels, units = (
            width("bands", bands, 64),
            widths("channels", channels, len(POOLS)),
            width("units", units),
        )
        self.settings: dict[str, Any] = {"bands": bands, "channels": list(channels), "units": units}
        self.taps = {"convolutions": "blocks", "hidden": "hidden"}
        self.norm = nn.BatchNorm2d(1)
        shapes = zip(pairwise((1, *channels)), POOLS, strict=True)
        self.blocks = nn.Sequential(*(Block(a, b, pool) for (a, b), pool in shapes))
        self.recurrent = nn.GRU(channels[-1] * (bands // 64), units, batch_first=True)
        self.hidden = nn.Identity()
        self.out = nn.Linear(units, labels)

    def forward(self, representation: torch.Tensor) -> torch.Tensor:
        # Channels last: convolutions with few channels run up to twice as fast on CPU.
        x = self.norm(representation[:, None]).contiguous(memory_format=torch.channels_last)
        x = self.blocks(x).permute(0, 2, 1, 3).flatten(2)  # (batch, steps, channels · bands left)
        with torch.backends.cudnn.flags(enabled=False):  # cuDNN gives a network that is not being trained no gradient
            _, last = self.recurrent(x)
        return self.out(self.hidden(last[0]))
