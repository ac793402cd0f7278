"""A convolutional network on magnitude spectrograms, after Kereliuk, Sturm and Larsen, made small.

"Deep Learning and Music Adversaries", IEEE Transactions on Multimedia 17(11), 2015 (arXiv 1507.04761): a first layer of kernels
that are few frames and hundreds of bins large, so that each spans whole spectra of sounds; pooling 4 × 4 by steps of 2; a second
convolution 8 × 8, pooled in the same way; fifty rectified units. Here kernels are half as long and the first ones move on by 28
bins at a time, pooling is the mean and over time alone, the level is taken off, batches are normalised, and the hidden layer sees
the mean and the maximum over time, so that any number of frames fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from mirguard.models.networks.level import without_level
from mirguard.models.networks.settings import width, widths

BINS = 513
CHANNELS = (48, 64)
KERNEL = (2, 400)  # frames, bins
STEP = 28  # bins
HIDDEN = 64
SECOND = (8, 3)  # frames, steps of the first layer
POOL = 4  # frames, moved on by 2


class MagnitudeCnn(nn.Module):
    """`(batch, frames, bins)` -> logits `(batch, labels)`."""

    def __init__(
        self,
        labels: int,
        bins: int = BINS,
        channels: Sequence[int] = CHANNELS,
        kernel: Sequence[int] = KERNEL,
        step: int = STEP,
        hidden: int = HIDDEN,
    ) -> None:
        super().__init__()
        (first, second), (frames, wide) = widths("channels", channels, 2), widths("kernel", kernel, 2)
        bins, step, hidden = width("bins", bins, wide), width("step", step), width("hidden", hidden)
        self.settings: dict[str, Any] = {
            "bins": bins, "channels": [first, second], "kernel": [frames, wide], "step": step, "hidden": hidden,
        }  # fmt: skip
        self.taps = {"spectra": "first", "patterns": "second", "hidden": "hidden"}
        self.norm = nn.BatchNorm1d(bins)
        self.first = nn.Sequential(
            nn.Conv2d(1, first, (frames, wide), stride=(1, step), padding=(frames // 2, 0), bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.AvgPool2d((POOL, 1), (2, 1), padding=(POOL // 2, 0)),
        )
        self.second = nn.Sequential(
            nn.Conv2d(first, second, SECOND, padding=(SECOND[0] // 2, SECOND[1] // 2), bias=False),
            nn.BatchNorm2d(second),
            nn.ReLU(),
            nn.AvgPool2d((POOL, 1), (2, 1), padding=(POOL // 2, 0)),
        )
        rows = (bins - wide) // step + 1
        self.hidden = nn.Sequential(nn.Linear(2 * second * rows, hidden), nn.ReLU())
        self.out = nn.Linear(hidden, labels)

    def forward(self, representation: torch.Tensor) -> torch.Tensor:
        x = self.norm(without_level(representation).transpose(1, 2)).transpose(1, 2)[:, None]
        x = self.second(self.first(x))
        return self.out(self.hidden(torch.cat([x.mean(2), x.amax(2)], 1).flatten(1)))
