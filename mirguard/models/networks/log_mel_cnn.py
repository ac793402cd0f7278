"""A small convolutional network on log-mel spectrograms, the usual kind in music tagging.

Four blocks of convolution, batch normalisation and ReLU with average pooling between them, in the manner of Choi, Fazekas and
Sandler, "Automatic tagging using deep convolutional neural networks", ISMIR 2016 (arXiv 1606.00298); the mean and the maximum over
time and frequency; one hidden layer, which is what detectors read. Average pooling and the power spectrum keep gradients with
respect to the waveform useful everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from mirguard.models.networks.settings import width, widths

CHANNELS = (16, 32, 64, 96)
HIDDEN = 96


class Block(nn.Module):
    """Convolution 3×3, batch normalisation, ReLU, and average pooling by 2×2 unless it is the last."""

    def __init__(self, inputs: int, outputs: int, pool: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.pool = pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.convolution(x)))
        return F.avg_pool2d(x, 2) if self.pool else x


class LogMelCnn(nn.Module):
    """`(batch, frames, mel bands)` -> logits `(batch, labels)`."""

    def __init__(self, labels: int, channels: Sequence[int] = CHANNELS, hidden: int = HIDDEN) -> None:
        super().__init__()
        channels, hidden = widths("channels", channels), width("hidden", hidden)
        self.settings: dict[str, Any] = {"channels": list(channels), "hidden": hidden}
        self.norm = nn.BatchNorm2d(1)
        last = len(channels) - 1
        self.taps = {f"block-{n}": f"blocks.{n - 1}" for n in range(max(1, last), last + 2)} | {"hidden": "hidden"}
        shapes = enumerate(pairwise((1, *channels)))
        self.blocks = nn.Sequential(*(Block(a, b, pool=number < last) for number, (a, b) in shapes))
        self.hidden = nn.Sequential(nn.Linear(2 * channels[-1], hidden), nn.ReLU())
        self.out = nn.Linear(hidden, labels)

    def forward(self, representation: torch.Tensor) -> torch.Tensor:
        # Channels last: convolutions with few channels run up to twice as fast on CPU.
        x = self.norm(representation[:, None]).contiguous(memory_format=torch.channels_last)
        x = self.blocks(x)
        return self.out(self.hidden(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)))
