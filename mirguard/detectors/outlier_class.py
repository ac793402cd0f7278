"""One class more than the model has labels: what is adversarial.

Grosse, Manoharan, Papernot, Backes and McDaniel 2017 (arXiv:1702.06280, §6): a model is trained anew with a class K +
1 that adversarial examples belong to. The score of a window is z_{K+1} − log Σ_{k≤K} exp z_k, the log-odds of that
class.

- Here the model is frozen and has a new last layer on its last hidden one: multinomial logistic regression of K + 1
  classes on standardised activations. Clean and noisy windows are of the class that the model hears them as, attacked
  ones of class K + 1 and as heavy as both together. Classes that no clean window is heard as have no logit.
- A model that was made with the class (layer "outlier", by the defence of this name) says the log-odds itself: those
  are read, and nothing is fitted but the threshold. What only a last layer can see is less than what a network sees
  that was trained for it.
- Tags do not exclude each other, so there is no K + 1 of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F

from mirguard.detectors.fitted import About, Fitted, standardisation
from mirguard.detectors.learning import STEPS, adversarial_or_not, balance, require_attacked
from mirguard.detectors.sample import Sample
from mirguard.models.contract import Classifier
from mirguard.models.networks.outlier import LAYER

STRENGTH = 0.1  # C, the inverse strength of the penalty on the weights


class OutlierClass(Fitted):
    """`weight (K' + 1, d)` and `bias` of the new last layer, class K + 1 last; None where the model has that class itself."""

    name = "outlier-class"

    def __init__(self, layer: str, weight: np.ndarray | None = None, bias: np.ndarray | None = None) -> None:
        self.layers = (layer,)
        self.weight, self.bias = (None, None) if weight is None else (torch.from_numpy(weight), torch.from_numpy(bias))

    @classmethod
    def fit(cls, clean: Sample, noisy: Sample | None, adversarial: Sample | None, values: Mapping[str, Any]) -> Self:
        from sklearn.linear_model import LogisticRegression

        model = clean.model
        if LAYER in model.layers:
            return cls(LAYER)
        require_attacked(cls.name, adversarial)
        layer, samples = model.layers[-1], (clean, noisy, adversarial)
        x = np.concatenate([sample.heard((layer,), lambda heard, _z: heard[layer].flatten(1)) for sample in samples])
        attacked = adversarial_or_not(*samples)
        heard_as = np.concatenate([sample.logits.argmax(1) for sample in samples])
        classes = np.where(attacked == 1, len(model.labels), heard_as)
        mean, scale = standardisation(x[attacked == 0])
        clean.pause()
        found = LogisticRegression(C=STRENGTH, max_iter=STEPS).fit(
            (x - mean) / scale, classes, sample_weight=balance(attacked)
        )
        weight, bias = found.coef_, found.intercept_
        if len(weight) == 1:  # of two classes the first has logit 0
            weight, bias = np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
        weight = weight / scale
        return cls(
            layer,
            np.ascontiguousarray(weight, np.float32),
            np.ascontiguousarray(bias - weight @ mean, np.float32),
        )

    def digest(self, heard: Mapping[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        x = heard[self.layers[0]].flatten(1)
        if self.weight is None:
            return x
        z = F.linear(x.float(), self.weight.to(x.device), self.bias.to(x.device))
        return z[:, -1:] - torch.logsumexp(z[:, :-1], 1, keepdim=True)

    def window_scores(self, digests: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        return digests[..., 0]

    def arrays(self) -> dict[str, np.ndarray]:
        return {} if self.weight is None else {"weight": self.weight.numpy(), "bias": self.bias.numpy()}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], about: About, model: Classifier) -> Self:
        if LAYER in model.layers:
            return cls(LAYER)
        return cls(model.layers[-1], arrays["weight"], arrays["bias"])
