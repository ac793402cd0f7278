"""Mahalanobis distance: how far from the centre of its class does a sound lie in every layer, measured by how clean ones spread?

Lee et al. 2018 (arXiv:1807.03888, eq. 2 and "feature ensemble"): a Gaussian for each class c with mean μ_c and one covariance Σ for
all, by layer; M(x) = (f(x) − μ_c)ᵀ Σ⁻¹ (f(x) − μ_c). Logistic regression over the layers tells clean and noisy from adversarial.

- The class is the one that the whole clip is heard as, where the paper takes the nearest: a window that was pushed only half of
  the way lies near its old class and far from what the clip is now said to be, and only the second tells.
- Σ is shrunk (Ledoit & Wolf 2004), since there are hardly more windows than channels.
- What the regression learns from are distances to Gaussians fitted on *other* clips, as those of new clips will be.
- A class with under LEAST clips has no mean that is worth the name; what is heard as it is held to the nearest one.
- A tagger has no classes that exclude each other: one Gaussian serves, as it does where no class has enough clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch

from mirguard.detectors.channel_means import ChannelMeans, joined
from mirguard.detectors.fitted import About
from mirguard.detectors.learning import adversarial_or_not, balance, folds, learn_linear, require_attacked
from mirguard.detectors.sample import Sample
from mirguard.models.contract import Classifier
from mirguard.models.decision import TAGGING

LEAST = 3  # clips of a class that has a mean
RIDGE = 1e-6  # in squared standard deviations: keeps the inverse finite where classes do not spread at all


class Mahalanobis(ChannelMeans):
    """By layer, `means (groups, width)` and `whitening (width, width)` W with W Wᵀ = Σ⁻¹; `group (K,)` is the row of each label, −1
    where it has none. `weight (layers,)` and `bias` judge the squared distances."""

    name = "mahalanobis"

    means: tuple[torch.Tensor, ...]
    whitening: tuple[torch.Tensor, ...]
    group: torch.Tensor
    weight: torch.Tensor
    bias: float

    @classmethod
    def fit(cls, clean: Sample, noisy: Sample | None, adversarial: Sample | None, values: Mapping[str, Any]) -> Self:
        made, every = cls(), (clean, noisy, adversarial)
        require_attacked(cls.name, adversarial)
        fold, kind = folds(*every), adversarial_or_not(*every)
        digests = torch.from_numpy(np.concatenate([made._look(clean), *(one.digests(made) for one in every[1:])]))
        said = torch.from_numpy(joined(every, lambda one: one.said[one.clip_of]))
        distances = torch.zeros(len(digests), len(made.widths), dtype=torch.float64)
        for left in np.unique(fold):
            clean.pause()
            others = fold[: len(clean.windows)] != left
            made._fit_gaussians(clean, digests[: len(clean.windows)], others)
            away = torch.from_numpy(fold == left)
            distances[away] = made.distances(digests[away], said[away])
        judge = learn_linear(distances.numpy(), kind, fold, balance(kind), clean)
        made.weight, made.bias = torch.from_numpy(judge.weight), judge.bias
        made._fit_gaussians(clean, digests[: len(clean.windows)], np.ones(len(clean.windows), bool))
        return made

    def _fit_gaussians(self, clean: Sample, digests: torch.Tensor, chosen: np.ndarray) -> None:
        """Means and whitening of the chosen clean windows `(n,)`."""
        from sklearn.covariance import ledoit_wolf

        said, labels = clean.said, len(clean.model.labels)
        clips = np.bincount(said[np.unique(clean.clip_of[chosen])], minlength=labels)
        own = np.flatnonzero(clips >= LEAST) if clean.model.task != TAGGING else np.array([], int)
        group = np.full(labels, -1 if len(own) else 0)
        group[own] = np.arange(len(own))
        row = torch.from_numpy(group[said[clean.clip_of]])
        used = torch.from_numpy(chosen) & (row >= 0)
        rows, means, whitening = row[used], [], []
        for x in self.standardised(digests[used]):
            mean = torch.stack([x[rows == number].mean(0) for number in range(max(1, len(own)))])
            covariance, _shrinkage = ledoit_wolf((x - mean[rows]).numpy(), assume_centered=True)
            factor = np.linalg.cholesky(covariance + RIDGE * np.eye(len(covariance)))
            # In the precision they are kept in, so that a detector scores the same before and after saving.
            means.append(mean.float().double())
            whitening.append(torch.from_numpy(np.linalg.inv(factor).T).float().contiguous().double())
        self.means, self.whitening, self.group = tuple(means), tuple(whitening), torch.from_numpy(group)

    def distances(self, digests: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """M of digests `(m, d)` heard as `classes (m,)` in every layer -> `(m, layers)`."""
        found, row = [], self.group[classes]
        for x, means, whitening in zip(self.standardised(digests), self.means, self.whitening, strict=True):
            every = (((x @ whitening)[:, None] - means @ whitening).square()).sum(2)
            own = every.gather(1, row.clamp_min(0)[:, None])[:, 0]
            found.append(torch.where(row >= 0, own, every.amin(1)))
        return torch.stack(found, 1)

    def window_scores(self, digests: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        windows = digests.shape[1]
        distances = self.distances(digests.flatten(0, 1), classes.repeat_interleave(windows))
        return (distances @ self.weight + self.bias).view(-1, windows)

    def note(self, label: str) -> str:
        if self.of_tags:
            return "Tags are not exclusive classes: one Gaussian of all clean windows serves."
        if len(self.means[0]) == 1:
            return f"No two classes have {LEAST} clips in the reference: one Gaussian serves."
        if int(self.group[self.about.labels.index(label)]) < 0:
            return f"The reference holds under {LEAST} clips of {label!r} to fit on: the nearest class serves."
        return f"Distance to the clean clips that the model calls {label!r}."

    def arrays(self) -> dict[str, np.ndarray]:
        found = self._scale_arrays() | {
            "group": self.group.numpy().astype(np.int32),
            "weight": self.weight.numpy(),
            "bias": np.array([self.bias]),
        }
        for number, (means, whitening) in enumerate(zip(self.means, self.whitening, strict=True)):
            found[f"means.{number}"] = means.numpy().astype(np.float32)
            found[f"whitening.{number}"] = whitening.numpy().astype(np.float32)
        return found

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], about: About, model: Classifier) -> Self:
        made = cls()
        made._restore_scale(arrays, model)
        numbers = range(len(made.widths))
        made.means = tuple(torch.from_numpy(arrays[f"means.{number}"]).double() for number in numbers)
        made.whitening = tuple(torch.from_numpy(arrays[f"whitening.{number}"]).double() for number in numbers)
        made.group = torch.from_numpy(arrays["group"].astype(np.int64))
        made.weight, made.bias = torch.from_numpy(arrays["weight"]), float(arrays["bias"][0])
        return made
