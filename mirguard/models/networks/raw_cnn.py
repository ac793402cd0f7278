"""A convolutional network on the waveform itself, end to end, in the manner of SampleCNN.

Lee, Park, Kim and Nam, "Sample-level deep convolutional neural networks for music auto-tagging using raw waveforms", SMC 2017
(arXiv 1703.01789): a strided convolution on samples, then convolutions over 3 steps with maximum pooling between them, nothing of
the front end given. Here the first kernels are as long as a frame, since SampleCNN's, three samples long, cost a CPU many times
as much. They come in pairs whose power is compressed, and start as windowed sines and cosines along the mel scale, as in Zeghidour
et al., "Learning filterbanks from raw speech for phone recognition", ICASSP 2018 (arXiv 1711.01161); from there they are learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mirguard.models.front_end import hz_to_mel, mel_to_hz
from mirguard.models.networks.level import without_level
from mirguard.models.networks.settings import width, widths

CHANNELS = (64, 96, 96, 96)
KERNEL, STRIDE = 512, 128  # samples
HIDDEN = 96
GAIN = 1e7  # −70 dB below full scale: below that, the power of a filter's output is hardly compressed
LOWEST_HZ, NOMINAL_RATE = 40.0, 16_000  # of the sines that the kernels start as


class Block(nn.Module):
    """Convolution over 3 steps, batch normalisation, ReLU, the larger of each two neighbours."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.max_pool1d(F.relu(self.norm(self.convolution(x))), 2, ceil_mode=True)


class RawCnn(nn.Module):
    """`(batch, samples)` in ±1 -> logits `(batch, labels)`. `channels` are the pairs of filters and then one a block.

    The outputs y, y' of a pair become log10(1 + gain · (y² + y'²)), which is smooth at silence, less the mean of the window. They
    are scaled so that the kernels have values around 1, since a step of the optimiser is as large for small weights as for others.
    """

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
        kernel, stride = width("kernel", kernel, 4), width("stride", stride)
        self.settings: dict[str, Any] = {
            "channels": list(channels), "kernel": kernel, "stride": stride, "hidden": hidden,
        }  # fmt: skip
        first = max(1, len(channels) - 2)
        self.taps = {f"block-{n}": f"blocks.{n - 1}" for n in range(first, len(channels))} | {"hidden": "hidden"}
        self.gain = GAIN * (4 / kernel) ** 2  # 2 / Σ window
        self.first = nn.Conv1d(1, 2 * channels[0], kernel, stride, padding=kernel // 2, bias=False)
        if not self.first.weight.is_meta:
            with torch.no_grad():
                self.first.weight.copy_(_waves(channels[0], kernel)[:, None])
        self.norm = nn.BatchNorm1d(channels[0])
        self.blocks = nn.Sequential(*(Block(a, b) for a, b in pairwise(channels)))
        self.hidden = nn.Sequential(nn.Linear(2 * channels[-1], hidden), nn.ReLU())
        self.out = nn.Linear(hidden, labels)

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        power = self.first(waveform[:, None]).square().unflatten(1, (2, -1)).sum(1)
        x = self.blocks(self.norm(without_level(torch.log10(1 + self.gain * power))))
        return self.out(self.hidden(torch.cat([x.mean(2), x.amax(2)], 1)))


def _waves(count: int, length: int) -> torch.Tensor:
    """Windowed cosines, then sines, `(2 · count, length)`."""
    hz = mel_to_hz(np.linspace(hz_to_mel(LOWEST_HZ), hz_to_mel(0.48 * NOMINAL_RATE), count))
    window = np.hanning(length + 2)[1:-1]
    phase = 2 * np.pi * hz[:, None] * (np.arange(length) / NOMINAL_RATE)
    waves = window * np.concatenate([np.cos(phase), np.sin(phase)])
    return torch.from_numpy(waves).float()
