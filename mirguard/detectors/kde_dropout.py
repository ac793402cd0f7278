"""Kernel density and dropout uncertainty together, weighed by what attacked sounds look like.

Feinman et al. 2017 (arXiv:1703.00410, sec. 4): the two scores of a window, each standardised, and a logistic regression (here, too,
with its penalty chosen by cross-validation) with negatives = clean and noisy windows, positives = attacked ones. The score is the
regression's logit, so higher is more anomalous; a clip's is the mean over its windows.

What differs, and why:

- Windows that the regression learns from are scored by densities that do not hold their own clip (five parts in turn). In the
  published script they lie in the density themselves, which makes clean ones look more normal than new ones ever will.
- The published script states its AUC on what the regression was fitted on. Here nothing is ever judged on that: thresholds
  count clips that neither the density nor the regression has met.
- The published one keeps to sounds that are classified rightly. What is in a folder of clean music is not known here: all are used,
  and the class is the one heard.
- With a tagger there is one density for all, and U is the mean over tags (see the two detectors).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from mirguard.detectors.dropout import Dropout
from mirguard.detectors.fitted import About, Fitted, standardisation
from mirguard.detectors.kde import Kde
from mirguard.detectors.sample import Sample
from mirguard.errors import UsageError
from mirguard.models.contract import Classifier

PARTS = 5
PENALTIES = np.logspace(-4, 4, 10)  # C, as scikit-learn's LogisticRegressionCV tries them


class KdeDropout(Fitted):
    """`weights (2,)` and `bias` make the logit of (−log density, U), centred by `mean (2,)` and divided by `scale (2,)`."""

    name = "kde-dropout"
    scored_at_rest = True

    def __init__(
        self, kde: Kde, dropout: Dropout, mean: np.ndarray, scale: np.ndarray, weights: np.ndarray, bias: float
    ) -> None:
        self._kde, self._dropout, self._bias = kde, dropout, bias
        self._mean, self._scale, self._weights = (torch.from_numpy(part) for part in (mean, scale, weights))
        self.layers = tuple(dict.fromkeys((*kde.layers, *dropout.layers)))

    @classmethod
    def fit(cls, clean: Sample, noisy: Sample | None, adversarial: Sample | None, values: Mapping[str, Any]) -> Self:
        dropout = Dropout.fit(clean, None, None, values)
        rows, classes, clips, attacked = [], [], [], []
        for sample in (clean, noisy, adversarial):
            rows.append(_both(sample, dropout))
            classes.append(sample.logits.argmax(1))
            clips.append(_numbers(sample, clean))
            attacked.append(np.full(len(sample.windows), sample is adversarial))
        features = np.concatenate([part[:, :-1] for part in rows]).astype(np.float16).astype(np.float64)
        uncertainty = np.concatenate([part[:, -1] for part in rows]).astype(np.float64)
        classes, clips, attacked = np.concatenate(classes), np.concatenate(clips), np.concatenate(attacked)
        parts = _parts(clips, attacked, clean.model.name)
        own = len(clean.windows)
        density = np.empty(len(clips))
        for learned, held in parts:
            clean.pause()
            inside = learned[learned < own]
            used, renumbered = np.unique(clips[inside], return_inverse=True)
            kde = _kde(clean, features[inside], renumbered, clean.said[used])
            density[held] = _density(kde, features[held], classes[held])
        points = np.stack([density, uncertainty], 1)
        mean, scale = standardisation(points)
        weights, bias = _regression((points - mean) / scale, attacked, parts)
        kde = _kde(clean, features[:own], clean.clip_of, clean.said)
        return cls(kde, dropout, mean, scale, weights, bias)

    def digest(self, heard: Mapping[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        """The last hidden layer and, last, U: `(m, d + 1)`."""
        return torch.cat([self._kde.digest(heard, logits), self._dropout.digest(heard, logits)], 1)

    def window_scores(self, digests: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        density = self._kde.window_scores(digests[..., :-1], classes)
        uncertainty = self._dropout.window_scores(digests[..., -1:], classes).to(density)
        points = (torch.stack([density, uncertainty], -1) - self._mean) / self._scale
        return points @ self._weights + self._bias

    def note(self, label: str) -> str:
        return (
            f"{self._kde.note(label)} Weights learned from attacked and noisy versions of the reference's clips, whether the model "
            "hears those rightly or not."
        )

    def arrays(self) -> dict[str, np.ndarray]:
        return (
            {f"kde.{key}": value for key, value in self._kde.arrays().items()}
            | {f"dropout.{key}": value for key, value in self._dropout.arrays().items()}
            | {"mean": self._mean.numpy(), "scale": self._scale.numpy()}
            | {"weights": self._weights.numpy(), "bias": np.array([self._bias])}
        )

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], about: About, model: Classifier) -> Self:
        parts: dict[str, dict[str, np.ndarray]] = {"kde": {}, "dropout": {}}
        for key, value in arrays.items():
            part, dot, name = key.partition(".")
            if dot:
                parts[part][name] = value
        return cls(
            Kde.restore(parts["kde"], about, model),
            Dropout.restore(parts["dropout"], about, model),
            arrays["mean"],
            arrays["scale"],
            arrays["weights"],
            float(arrays["bias"][0]),
        )


class _Both:
    """Reads the last hidden layer and U in one pass."""

    def __init__(self, layer: str, dropout: Dropout) -> None:
        self._layer, self._dropout = layer, dropout
        self.layers = tuple(dict.fromkeys((layer, *dropout.layers)))

    def digest(self, heard: Mapping[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        return torch.cat([heard[self._layer].flatten(1), self._dropout.digest(heard, logits)], 1)


def _both(sample: Sample, dropout: Dropout) -> np.ndarray:
    return sample.digests(_Both(sample.model.layers[-1], dropout))


def _numbers(sample: Sample, clean: Sample) -> np.ndarray:
    """The clip of `clean` that each window is of."""
    number = {clip: index for index, clip in enumerate(clean.hashes)}
    return np.array([number[sample.hashes[clip]] for clip in sample.clip_of], np.int64)


def _parts(clips: np.ndarray, attacked: np.ndarray, name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Windows to learn from and windows to hold to it, in turn, so that a clip's are never on both sides."""
    count = min(PARTS, len(np.unique(clips[attacked])))
    if count < 2:
        raise UsageError(
            f"Attacks changed what {name} hears in {count} clip alone, from which no weights can be learned; use a folder with "
            "more clean clips."
        )
    # Clips with attacked windows are dealt out evenly, so that there are some on every side.
    has = np.isin(clips, clips[attacked])
    part = np.empty(len(clips), np.int64)
    for among in (has, ~has):
        _, order = np.unique(clips[among], return_inverse=True)
        part[among] = order % count
    return [(np.flatnonzero(part != number), np.flatnonzero(part == number)) for number in range(count)]


def _kde(clean: Sample, features: np.ndarray, clip_of: np.ndarray, said: np.ndarray) -> Kde:
    model = clean.model
    return Kde.of_features(features, clip_of, said, model.layers[-1], model.task, model.labels)


def _density(kde: Kde, features: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """−log density of single windows under the classes they are heard as."""
    with torch.no_grad():
        return kde.window_scores(torch.from_numpy(features)[:, None], torch.from_numpy(classes))[:, 0].numpy()


def _regression(
    points: np.ndarray, attacked: np.ndarray, parts: list[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, float]:
    """Weights `(2,)` and bias; the penalty is the one whose probabilities are best on the parts held out."""
    search = GridSearchCV(LogisticRegression(max_iter=1000), {"C": PENALTIES}, scoring="neg_log_loss", cv=parts)
    best = search.fit(points, attacked).best_estimator_
    return best.coef_.reshape(2), float(best.intercept_[0])
