"""A network with one class more than it has labels: what is adversarial.

Grosse, Manoharan, Papernot, Backes and McDaniel, "On the (statistical) detection of adversarial examples", 2017 (arXiv 1702.06280),
§6. The labels' logits come out as of any network, so that it can be attacked and compared like its parent; what it says of the
class more is its layer "outlier".
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

LAYER = "outlier"


class WithOutlier(nn.Module):
    """`network` gives `(batch, K + 1)`; this gives the first K. Layer "outlier" `(batch, 1)`: z_{K+1} − log Σ_{k≤K} exp z_k, the
    log-odds that a window is adversarial."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.outlier = nn.Identity()
        self.settings: dict[str, Any] = {**network.settings, LAYER: True}
        # First, since the last one is the last hidden layer.
        self.taps = {LAYER: LAYER} | {layer: f"network.{place}" for layer, place in network.taps.items()}

    def forward(self, representation: torch.Tensor) -> torch.Tensor:
        z = self.network(representation)
        labels = z[:, :-1]
        self.outlier(z[:, -1:] - torch.logsumexp(labels, 1, keepdim=True))
        return labels
