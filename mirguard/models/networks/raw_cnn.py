"""A convolutional network on the waveform itself, end to end, in the manner of SampleCNN.

Lee, Park, Kim and Nam, "Sample-level deep convolutional neural networks for music auto-tagging using raw waveforms", SMC 2017
(arXiv 1703.01789): a strided convolution on samples, then many short convolutions with maximum pooling between them, nothing of the
front end given. Here the first kernel is as long as a short frame (Dieleman and Schrauwen, ICASSP 2014), since SampleCNN's kernels
of three samples cost a CPU many times as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from mirguard.models.networks.settings import width, widths

CHANNELS = (32, 48, 64, 64, 96, 96, 128)
KERNEL, STRIDE = 64, 16  # samples
HIDDEN = 128


class Block(nn.Module):
    """Convolution over 3 steps, batch normalisation, ReLU, the larger of each two neighbours."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.max_pool1d(F.relu(self.norm(self.convolution(x))), 2, ceil_mode=True)


class RawCnn(nn.Module):
    """`(batch, samples)` in ±1 -> logits `(batch, labels)`. `channels` are the first layer's and then one a block."""

    def __init__(
        self,
        labels: int,
        channels: Sequence[int] = CHANNELS,
        kernel: int = KERNEL,
        stride: int = STRIDE,
        hidden: int = HIDDEN,
    ) -> None:
        super().__init__()
        channels, hidden = widths("channels", channels), width("hidden", hidden)
        kernel, stride = width("kernel", kernel), width("stride", stride)
        self.settings: dict[str, Any] = {
            "channels": list(channels), "kernel": kernel, "stride": stride, "hidden": hidden,
        }  # fmt: skip
        self.first = nn.Conv1d(1, channels[0], kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm1d(channels[0])
        self.blocks = nn.Sequential(*(Block(a, b) for a, b in pairwise(channels)))
        self.hidden = nn.Sequential(nn.Linear(2 * channels[-1], hidden), nn.ReLU())
        self.out = nn.Linear(hidden, labels)

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        x = self.blocks(F.relu(self.norm(self.first(waveform[:, None]))))
        return self.out(self.hidden(torch.cat([x.mean(2), x.amax(2)], 1)))
