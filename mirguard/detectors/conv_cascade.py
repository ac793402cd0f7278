"""A cascade of linear judges, one for each layer of convolutions, on statistics of its filters' maps.

Li and Li 2017 (arXiv:1612.07767, §4): of every convolutional layer, a map of n filters at many places, the mean over
all places of each normalised principal component |(c_i − c̄_i)/σ_i|, and the minimum, maximum and quartiles of each
filter; a linear classifier a layer; a cascade in the manner of Viola and Jones 2001, whose stages let nearly all
adversarial windows pass and send away as many normal ones as they can, so that most of what is normal costs one
stage.

What differs here:

- The first stage is what the network takes, a picture of frames and bands, with its principal components over patches
  of PATCH × PATCH: the filters of a first convolution, as the data makes them. Bundled networks tell only their last
  convolutions' maps, and attacks show best in the grain of the first. A representation that is samples, or features,
  is no picture and has no stage.
- A stage reads the log-odds of the one before beside its own statistics, and learns from the windows alone that come
  so far. Both kinds of window count for the same at the first stage and as many as are left later on, so that all
  stages' log-odds are on one scale.
- Logistic regression stands in the place of the linear SVM for this reason. Normal windows are clean and noisy ones;
  all that is chosen (penalty, thresholds) is chosen on clips that were held out.

A window's score is the log-odds of the last stage that it came to. Tags: classes play no part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F

from mirguard.detectors.fitted import About, Fitted
from mirguard.detectors.learning import adversarial_or_not, balance, folds, learn_linear, require_attacked
from mirguard.detectors.maps import maps_among, shapes, with_channels
from mirguard.detectors.sample import Sample
from mirguard.errors import UsageError
from mirguard.models.contract import REPRESENTATION, Classifier

QUANTILES = 5  # of a filter: minimum, quartiles, maximum
PATCH = 5  # frames and bands
LEAST = 25  # windows of each kind, or there is nothing left to learn for a stage
STILL = 1e-4  # of the largest deviation: components that move less are rounding errors


@dataclass(frozen=True)
class Components:
    """Principal components of a layer: `mean (C, k, k)` over places, `rows (C', C, k, k)` orthonormal, and their standard
    deviations `scale (C',)`."""

    mean: torch.Tensor
    rows: torch.Tensor
    scale: torch.Tensor

    def statistics(self, x: torch.Tensor) -> torch.Tensor:
        """Maps `(m, C, a, b)` -> `(m, C' + 5 C)`."""
        offset = -(self.rows * self.mean).sum((1, 2, 3))
        coefficients = F.conv2d(x, self.rows, offset) / self.scale[:, None, None]
        return torch.cat([coefficients.abs().mean((2, 3)), quantiles(x.flatten(2)).flatten(1)], 1)


@dataclass(frozen=True)
class Stage:
    """`weight (C' + 5 C (+ 1),)` and `bias` of a layer's judge; windows with log-odds below `threshold` are normal and go no
    further."""

    layer: str
    components: Components
    weight: torch.Tensor
    bias: float
    threshold: float

    def log_odds(self, activations: torch.Tensor, before: torch.Tensor | None) -> torch.Tensor:
        """Activations `(m, ...)` and the log-odds of the stage before `(m,)` -> `(m,)`."""
        x = self.components.statistics(pictures(self.layer, activations))
        return (x if before is None else torch.cat([x, before[:, None]], 1)) @ self.weight + self.bias


class ConvCascade(Fitted):
    """`cost` is the mean number of stages that clean windows come to, held out from those that the stages learned from."""

    name = "conv-cascade"

    def __init__(self, stages: Sequence[Stage], cost: float) -> None:
        self.stages, self.cost = tuple(stages), cost
        self.layers = tuple(stage.layer for stage in stages)
        self._thresholds = torch.tensor([stage.threshold for stage in stages])

    @classmethod
    def fit(cls, clean: Sample, noisy: Sample | None, adversarial: Sample | None, values: Mapping[str, Any]) -> Self:
        layers = maps_among(shapes(clean))
        if not layers:
            raise UsageError(
                f"{clean.model.name} has no layer of convolutions whose maps could be read, so it has no {cls.name}."
            )
        require_attacked(cls.name, adversarial)
        components = principal_components(clean, layers)
        samples = (clean, noisy, adversarial)
        widths = [len(components[layer].rows) + QUANTILES * components[layer].rows.shape[1] for layer in layers]
        every = np.concatenate(
            [
                sample.heard(
                    layers,
                    lambda heard, _z: torch.cat(
                        [components[layer].statistics(pictures(layer, heard[layer]).cpu()) for layer in layers], 1
                    ),
                )
                for sample in samples
            ]
        )
        attacked, fold = adversarial_or_not(*samples), folds(*samples)
        weights = balance(attacked)
        here, before, cost, stages = np.arange(len(every)), None, 0.0, []
        for layer, x in zip(layers, np.split(every, np.cumsum(widths)[:-1], 1), strict=True):
            if np.bincount(attacked[here], minlength=2).min() < LEAST and stages:
                break
            cost += (here < len(clean.windows)).sum() / len(clean.windows)
            found = learn_linear(x[here].astype(np.float64), attacked[here], fold[here], weights[here], clean, before)
            threshold = float(np.quantile(found.held_out[attacked[here] == 1], 1.0 - values["passing"]))
            weight = torch.from_numpy(found.weight.astype(np.float32))
            stages.append(
                Stage(layer, components[layer], weight, float(np.float32(found.bias)), float(np.float32(threshold)))
            )
            left = found.held_out >= threshold
            here, before = here[left], found.held_out[left]
        return cls(stages, cost)

    def digest(self, heard: Mapping[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        """The log-odds of each stage `(m, stages)`; 0 where a window did not come to it."""
        here, before, columns = torch.arange(len(logits)), None, []
        for stage in self.stages:
            if not len(here):
                break
            found = stage.log_odds(heard[stage.layer][here.to(logits.device)].cpu(), before)
            columns.append(torch.zeros(len(logits), dtype=found.dtype).index_copy(0, here, found))
            left = found >= stage.threshold
            here, before = here[left], found[left]
        columns += [torch.zeros(len(logits))] * (len(self.stages) - len(columns))
        return torch.stack(columns, 1).to(logits.device)

    def stages_of(self, digests: torch.Tensor) -> torch.Tensor:
        """How many stages each window came to: digests `(..., stages)` -> `(...)`, from 1."""
        passed = (digests >= self._thresholds.to(digests))[..., :-1]
        return 1 + passed.long().cumprod(-1).sum(-1)

    def window_scores(self, digests: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        return digests.gather(-1, self.stages_of(digests)[..., None] - 1)[..., 0]

    def note(self, label: str) -> str:
        return (
            f"A clean window comes to {self.cost:.1f} of {len(self.stages)} stages on average."
            if len(self.stages) > 1
            else ""
        )

    def arrays(self) -> dict[str, np.ndarray]:
        found = {
            "layers": np.frombuffer("\n".join(self.layers).encode(), np.uint8),
            "judges": np.array([(stage.bias, stage.threshold) for stage in self.stages], np.float32),
            "cost": np.array([self.cost]),
        }
        for number, stage in enumerate(self.stages):
            parts = stage.components
            found |= {
                f"{number}.mean": parts.mean.numpy(),
                f"{number}.rows": parts.rows.numpy().astype(np.float16),
                f"{number}.scale": parts.scale.numpy(),
                f"{number}.weight": stage.weight.numpy(),
            }
        return found

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], about: About, model: Classifier) -> Self:
        stages = [
            Stage(
                layer,
                Components(
                    *(torch.from_numpy(arrays[f"{number}.{part}"]).float() for part in ("mean", "rows", "scale"))
                ),
                torch.from_numpy(arrays[f"{number}.weight"]),
                *arrays["judges"][number].tolist(),
            )
            for number, layer in enumerate(arrays["layers"].tobytes().decode().split("\n"))
        ]
        return cls(stages, float(arrays["cost"][0]))


def pictures(layer: str, activations: torch.Tensor) -> torch.Tensor:
    """Maps `(m, C, a, b)`; places of inner layers stand in a row, since nothing is asked of their neighbourhood."""
    x = with_channels(layer, activations).float()
    return x if layer == REPRESENTATION else x.flatten(2)[..., None]


def quantiles(x: torch.Tensor) -> torch.Tensor:
    """Minimum, quartiles and maximum of the last dimension, `(m, C, places)` -> `(m, C, 5)`, linear between neighbours."""
    last = x.shape[-1] - 1
    found = [x.amin(-1)]
    for q in (0.25, 0.5, 0.75):  # two selections each, which for a picture is a third of the work of sorting
        below = int(q * last)
        low, high = (x.kthvalue(1 + rank, -1).values for rank in (below, min(below + 1, last)))
        found.append(torch.lerp(low, high, q * last - below))
    return torch.stack([*found, x.amax(-1)], -1)


def principal_components(clean: Sample, layers: Sequence[str]) -> dict[str, Components]:
    """Of each layer, over all places of all windows, from sums that are added up while the windows are heard once."""
    sides: dict[str, int] = {}
    sums: dict[str, list[Any]] = {layer: [0, 0.0, 0.0] for layer in layers}

    def add(heard: dict[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        for layer, of_layer in sums.items():
            x = pictures(layer, heard[layer]).cpu()
            side = sides.setdefault(layer, min(PATCH, *x.shape[2:]) if layer == REPRESENTATION else 1)
            places = (F.unfold(x, side) if side > 1 else x.flatten(2)).double()
            of_layer[0] += places.shape[0] * places.shape[2]
            of_layer[1] += places.sum((0, 2))
            of_layer[2] += (places @ places.mT).sum(0)
        return logits[:, :1]

    clean.heard(layers, add)
    return {layer: _components(*of_layer, sides[layer]) for layer, of_layer in sums.items()}


def _components(count: int, total: torch.Tensor, products: torch.Tensor, side: int) -> Components:
    mean = total / count
    variance, vectors = np.linalg.eigh((products / count - mean[:, None] * mean).numpy())
    moves = np.flatnonzero(variance > variance[-1] * STILL**2)[::-1]
    if variance[-1] < 1e-18:  # a layer that never moves has one component, which is always 0
        moves, variance = [-1], np.ones_like(variance)
    shape = (-1, side, side)
    rows = np.ascontiguousarray(vectors.T[moves], np.float16).astype(np.float32)  # as they are kept
    scale = np.sqrt(variance[moves])
    return Components(
        mean.reshape(shape).float(), torch.from_numpy(rows).reshape(len(rows), *shape), torch.from_numpy(scale).float()
    )
