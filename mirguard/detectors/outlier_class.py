"""One class more than the model has labels: what is adversarial.

Grosse, Manoharan, Papernot, Backes and McDaniel 2017 (arXiv:1702.06280, §6): a model is trained anew with a class K +
1 that adversarial examples belong to. The score of a window is z_{K+1} − log Σ_{k≤K} exp z_k, the log-odds of that
class.

- Here the model is frozen. A second network, of the subnetwork's kind, reads what the model's network takes and is trained with
  K + 1 classes: clean and noisy windows are of the class that the model hears them as, attacked ones of class K + 1, which is
  as heavy as all others together. A last layer on the model's last hidden one, which is what there is for models whose layers
  are no maps, sees much less: traces that the model itself does not look at are gone there.
- A model that was made with the class (layer "outlier", by the defence of this name) says the log-odds itself: those
  are read, and nothing is fitted but the threshold.
- Tags do not exclude each other, so there is no K + 1 of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F

from mirguard.detectors.fitted import About, Fitted
from mirguard.detectors.learning import balance, require_attacked
from mirguard.detectors.sample import Sample
from mirguard.detectors.subnetwork import (
    BATCH,
    SEED,
    channels_last,
    choose_layer,
    examples,
    kept_arrays,
    make_network,
    network_of,
    read,
)
from mirguard.models.contract import Classifier
from mirguard.models.networks.outlier import LAYER
from mirguard.models.networks.subnetwork import Detector


class OutlierClass(Fitted):
    """`network` of K + 1 classes reads `layer`; where the model has an outlier class, that is the layer and there is none."""

    name = "outlier-class"

    def __init__(self, layer: str, network: Detector | None = None) -> None:
        self.layers = (layer,)
        self.network = None if network is None else network.cpu().eval().requires_grad_(False)

    @classmethod
    def fit(cls, clean: Sample, noisy: Sample | None, adversarial: Sample | None, values: Mapping[str, Any]) -> Self:
        model = clean.model
        if LAYER in model.layers:
            return cls(LAYER)
        require_attacked(cls.name, adversarial)
        layer, shape = choose_layer(clean, None)
        x, attacked, logits = examples(layer, shape, clean, noisy, adversarial)
        k = logits.shape[1]
        classes = torch.where(attacked == 1, k, logits.argmax(1))
        weight = torch.from_numpy(balance(attacked.numpy())).float()
        network, draw = make_network(tuple(x.shape[1:]), k + 1), torch.Generator().manual_seed(SEED)
        optimiser = torch.optim.Adam(network.parameters(), lr=values["learning_rate"])
        network.train()
        for _epoch in range(values["epochs"]):
            for some in torch.randperm(len(x), generator=draw).split(BATCH):
                clean.pause()
                if len(some) < 2:  # has no variance to normalise by
                    continue
                loss = F.cross_entropy(network(channels_last(x[some])), classes[some], reduction="none")
                optimiser.zero_grad()
                (loss * weight[some]).mean().backward()
                optimiser.step()
        return cls(layer, network)

    def digest(self, heard: Mapping[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        """The log-odds of class K + 1, `(m, 1)`."""
        if self.network is None:
            return heard[LAYER].flatten(1)
        z = self.network(read(self.layers[0], heard).cpu()).to(logits.device)
        return z[:, -1:] - torch.logsumexp(z[:, :-1], 1, keepdim=True)

    def window_scores(self, digests: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        return digests[..., 0]

    def arrays(self) -> dict[str, np.ndarray]:
        return {} if self.network is None else kept_arrays(self.layers[0], self.network)

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], about: About, model: Classifier) -> Self:
        if LAYER in model.layers:
            return cls(LAYER)
        return cls(*network_of(arrays, len(about.labels) + 1))
