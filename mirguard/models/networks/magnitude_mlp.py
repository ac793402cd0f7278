"""A frame-wise network on magnitude spectra whose frames vote, after Kereliuk, Sturm and Larsen.

"Deep Learning and Music Adversaries", IEEE Transactions on Multimedia 17(11), 2015 (arXiv 1507.04761): every frame of the
magnitude spectrogram, standardised bin by bin, goes through three layers of rectified linear units, and the file is given to the
class with the largest sum of the frames' posteriors. No frame knows of another, so the network hears spectra and no rhythm or
envelope. Added here: the level of the window is taken off, and batch normalisation takes the place of the paper's
standardisation by the training set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from mirguard.errors import UsageError
from mirguard.models.networks.level import without_level
from mirguard.models.networks.settings import width, widths

BINS = 1025
HIDDEN = (192, 192, 192)
VOTES = ("posteriors", "logits")


class MagnitudeMlp(nn.Module):
    """`(batch, frames, bins)` -> logits `(batch, labels)`.

    `voting` is "posteriors", the paper's (logits are the logarithm of the frames' mean softmax), or "logits" (their mean; the only
    one that suits tags). The layer "hidden" is the mean over frames of the last hidden layer: with voting by logits, one linear
    layer follows it.
    """

    def __init__(
        self,
        labels: int,
        bins: int = BINS,
        hidden: Sequence[int] = HIDDEN,
        voting: str = "logits",
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        bins, hidden = width("bins", bins), widths("hidden", hidden)
        if voting not in VOTES:
            raise UsageError(f"The network's voting is one of {', '.join(VOTES)}; got {voting!r}.")
        if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
            raise UsageError("The network's dropout must be a number from 0 to below 1.")
        self.settings: dict[str, Any] = {"bins": bins, "hidden": list(hidden), "voting": voting, "dropout": dropout}
        self.taps = {"hidden": "hidden"}
        self.voting = voting
        self.norm = nn.BatchNorm1d(bins)
        layers: list[nn.Module] = []
        for inputs, outputs in zip((bins, *hidden), hidden, strict=False):
            layers += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(dropout)]
        self.frames = nn.Sequential(*layers)
        self.hidden = nn.Identity()
        self.out = nn.Linear(hidden[-1], labels)

    def forward(self, representation: torch.Tensor) -> torch.Tensor:
        batch, frames, bins = representation.shape
        x = self.frames(self.norm(without_level(representation).reshape(-1, bins)))
        mean = self.hidden(x.view(batch, frames, -1).mean(1))
        if self.voting == "logits":
            return self.out(mean)
        posteriors = F.log_softmax(self.out(x).view(batch, frames, -1), -1)
        return torch.logsumexp(posteriors, 1) - math.log(frames)
