"""How well a model that watches itself (an outlier class, a subnetwork) tells attacked sounds from clean ones."""

from __future__ import annotations

import torch

from mirguard.models.contract import Classifier
from mirguard.models.networks import outlier, subnetwork


def watching_layer(model: Classifier) -> str:
    """The layer that gives the log-odds of being adversarial; "" where the model has none."""
    return next((layer for layer in (outlier.LAYER, subnetwork.LAYER) if layer in model.layers), "")


def log_odds(model: Classifier, x: torch.Tensor) -> torch.Tensor:
    """What the model's watching layer says of windows `(rows, window)`: `(rows,)`."""
    layer = watching_layer(model)
    with torch.inference_mode():
        return torch.cat([model.features(part, (layer,))[0][layer][:, 0] for part in x.split(model.micro_batch)])


def auc(model: Classifier, clean: torch.Tensor, attacked: torch.Tensor) -> float:
    """The probability that an attacked window `(rows, window)` gets higher log-odds than a clean one; ties count half (the area
    under the ROC curve)."""
    high, low = log_odds(model, attacked)[:, None], log_odds(model, clean)[None]
    return float((high > low).float().mean() + (high == low).float().mean() / 2)
