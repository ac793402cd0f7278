"""Dropout uncertainty: do copies of the network that each lack some units agree?

Feinman et al. 2017 (arXiv:1703.00410, sec. 3.2) after Gal & Ghahramani 2016: T passes with dropout, and the variance of what they
say. As Carlini & Wagner 2017 write it (arXiv:1705.07263), U = 1/T Σ‖p_t‖² − ‖1/T Σ p_t‖², the sum over classes of the
variance over passes; higher is more anomalous. A clip's score is the mean over its windows.

- Passes are fixed `Copies`, drawn once from a seed: a score is the same each time, and the detector can be evaded by attacking all
  copies together, as Carlini & Wagner did. The published one draws anew at each look.
- Networks that were trained without dropout never learned to do without units: their U is larger on everything, and it is put in
  perspective by clean clips alone. Probabilities close to 1 leave little variance, so examples far beyond the boundary (many
  steps, no stopping) may look *less* anomalous than clean ones; Feinman et al. report that, too (BIM-B on MNIST).
- With a tagger p are the tags' own probabilities and U the mean over tags of their variance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch

from mirguard.detectors.copies import Copies
from mirguard.detectors.fitted import About, Fitted
from mirguard.detectors.sample import Sample
from mirguard.errors import UsageError
from mirguard.models.contract import Classifier
from mirguard.models.decision import TAGGING


class Dropout(Fitted):
    """`rate` and `passes` are those of the fixed copies, `seed` draws them."""

    name = "dropout"
    scored_at_rest = True

    def __init__(self, model: Classifier, rate: float, passes: int, seed: int) -> None:
        self._model, self._rate, self._passes, self._seed = model, rate, passes, seed
        self._copies = Copies(model, rate, passes, seed)
        self.layers = self._copies.layers

    @classmethod
    def fit(cls, clean: Sample, noisy: Sample | None, adversarial: Sample | None, values: Mapping[str, Any]) -> Self:
        made = cls(clean.model, values["rate"], values["passes"], values["seed"])
        made.check(clean.digests(made))
        return made

    def check(self, uncertainties: np.ndarray) -> None:
        """UsageError where no window `(n, 1)` of a reference is uncertain at all: there would be nothing to compare."""
        if not np.isfinite(uncertainties).all() or not uncertainties.any():
            raise UsageError(
                f"What {self._model.name} says of these clips does not change with units dropped, so it cannot be told how "
                "uncertain it is; use a folder with different music."
            )

    def digest(self, heard: Mapping[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        """U of each window, `(m, 1)`."""
        p = self._model.probabilities(self._copies(heard))
        variance = (p - p.mean(0)).square().mean(0)  # that of the definition, without its differences of large numbers
        return variance.mean(-1, keepdim=True) if self._model.task == TAGGING else variance.sum(-1, keepdim=True)

    def window_scores(self, digests: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        return digests[..., 0]

    def note(self, label: str) -> str:
        what = "tags" if self._model.task == TAGGING else "classes"
        return f"Variance of the {what} over {self._passes} fixed copies of the network that each lack some units."

    def arrays(self) -> dict[str, np.ndarray]:
        return {"rate": np.array([self._rate]), "passes": np.array([self._passes]), "seed": np.array([self._seed])}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], about: About, model: Classifier) -> Self:
        return cls(model, float(arrays["rate"][0]), int(arrays["passes"][0]), int(arrays["seed"][0]))
