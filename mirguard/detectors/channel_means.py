"""What lid and mahalanobis keep of a window: the mean of every channel of every layer, and the logits.

Whole maps would be tens of thousands of numbers a window, most of them neighbours that say the same. Both papers look at every
layer; average pooling is how Lee et al. 2018 ("Feature ensemble") make a row of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from mirguard.detectors.fitted import Fitted, standardisation
from mirguard.detectors.sample import Sample
from mirguard.models.contract import LOGITS, Classifier
from mirguard.models.networks.hardened import ADDED


class ChannelMeans(Fitted):
    """Base of detectors whose digests are channel means `(m, d)`: those of each layer of `layers`, then the logits.

    `widths` says how many numbers are whose. They are standardised on clean windows, so that no channel speaks for all."""

    widths: tuple[int, ...]

    def digest(self, heard: Mapping[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        return torch.cat([*(channel_means(heard[layer]) for layer in self.layers), logits], 1)

    def standardised(self, digests: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Digests `(..., d)` -> one `(..., width)` of each layer, in double precision."""
        return ((digests.double() - self._mean) / self._scale).split(self.widths, -1)

    def _look(self, clean: Sample) -> np.ndarray:
        """Settle layers, widths and scales; the digests of the clean windows `(n, d)`."""
        self.layers = inner_layers(clean.model)
        with torch.no_grad():
            some = clean.waveforms(slice(0, 1)).to(clean.model.device)
            heard, logits = clean.model.activations(some, self.layers)
        self.widths = (*(channel_means(heard[layer]).shape[1] for layer in self.layers), logits.shape[1])
        digests = clean.digests(self)
        # In the precision they are kept in, so that a detector scores the same before and after saving.
        self._set_scale(*(values.astype(np.float32) for values in standardisation(digests.astype(np.float64))))
        return digests

    def _set_scale(self, mean: np.ndarray, scale: np.ndarray) -> None:
        self._mean, self._scale = torch.from_numpy(mean).double(), torch.from_numpy(scale).double()

    def _scale_arrays(self) -> dict[str, np.ndarray]:
        return {
            "mean": self._mean.numpy().astype(np.float32),
            "scale": self._scale.numpy().astype(np.float32),
            "widths": np.array(self.widths, np.int32),
        }

    def _restore_scale(self, arrays: Mapping[str, np.ndarray], model: Classifier) -> None:
        self.layers, self.widths = inner_layers(model), tuple(arrays["widths"].tolist())
        if len(self.widths) != len(self.layers) + 1 or sum(self.widths) != len(arrays["mean"]):
            raise ValueError("of other layers")
        self._set_scale(arrays["mean"], arrays["scale"])


def inner_layers(model: Classifier) -> tuple[str, ...]:
    """The model's own layers but its logits, less what defences have added."""
    return tuple(layer for layer in model.layers if layer not in (*ADDED, LOGITS))


def channel_means(activations: torch.Tensor) -> torch.Tensor:
    """`(m, channels, ...)` -> `(m, channels)`."""
    return activations if activations.ndim == 2 else activations.flatten(2).mean(2)


def joined(samples: Sequence[Sample], make) -> np.ndarray:
    """`make(sample)` of several samples, one after the other."""
    return np.concatenate([make(sample) for sample in samples])
