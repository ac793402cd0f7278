"""A classifier on leading principal components: do the directions in which clean sounds vary most look attacked?

After Bhagoji, Cullina & Mittal 2017 (arXiv:1704.02654), who let a network hear nothing but the first k principal components of its
inputs (the defence `pca-projection`). As a detector: a classifier on these tells adversarial from clean and noisy.

- The input is the log power spectrum of the sound (`spectrum`), not the model's own: mel bands add up what lies between partials,
  where a perturbation shows, and a classifier on mel spectra was hardly better than chance at 30 dB.
- A spectrogram has more values than there are windows, so it is pooled over time first: of every bin the least value, the 10, 50
  and 90 % quantiles, the standard deviation and the mean step from frame to frame. Perturbations show in the quietest frames.
- The uppermost bins are left out: what is there tells how a sound was resampled.
- The classifier is logistic regression. On linear components it is one linear function of the pooled spectrum, and kept as such.
- Classes play no part, so a tagger is no different.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch

from mirguard.detectors.channel_means import joined
from mirguard.detectors.fitted import About, Fitted, standardisation
from mirguard.detectors.learning import adversarial_or_not, balance, folds, learn_linear, require_attacked
from mirguard.detectors.sample import Sample
from mirguard.detectors.spectrum import Spectrum
from mirguard.models.contract import WAVEFORM, Classifier

QUANTILES = (0.0, 0.1, 0.5, 0.9)  # over time
HIGHEST = 0.92  # of half the sample rate


class PcaReduction(Fitted):
    """`weight (statistics,)` and `bias`: the log-odds of being adversarial."""

    name = "pca-reduction"
    layers = (WAVEFORM,)

    def __init__(self, model: Classifier, weight: np.ndarray, bias: float, components: int) -> None:
        self._spectrum = Spectrum(model.sample_rate, model.window)
        self.weight, self.bias, self.components = torch.from_numpy(weight), bias, components

    @classmethod
    def fit(cls, clean: Sample, noisy: Sample | None, adversarial: Sample | None, values: Mapping[str, Any]) -> Self:
        from sklearn.decomposition import PCA

        every, spectrum = (clean, noisy, adversarial), Spectrum(clean.model.sample_rate, clean.model.window)
        require_attacked(cls.name, adversarial)
        fold, kind = folds(*every), adversarial_or_not(*every)
        pooled = joined(
            every, lambda one: one.heard((WAVEFORM,), lambda heard, _logits: pool(spectrum(heard[WAVEFORM])))
        ).astype(np.float64)
        mean, scale = standardisation(pooled[: len(clean.windows)])
        x = (pooled - mean) / scale
        analysis = PCA(min(values["components"], len(clean.windows) - 1, x.shape[1]), svd_solver="full")
        analysis.fit(x[: len(clean.windows)])
        clean.pause()
        judge = learn_linear(analysis.transform(x), kind, fold, balance(kind), clean)
        # z = w·A(x − μ) + b with x = (pooled − mean) / scale
        weight = analysis.components_.T @ judge.weight / scale
        bias = judge.bias - float(weight @ (mean + analysis.mean_ * scale))
        return cls(clean.model, weight, bias, analysis.n_components_)

    def digest(self, heard: Mapping[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        return (pool(self._spectrum(heard[WAVEFORM])).double() @ self.weight.to(logits.device) + self.bias)[:, None]

    def window_scores(self, digests: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        return digests[..., 0]

    def note(self, label: str) -> str:
        return f"Of the {self.components} leading components of the spectrum over time."

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            "weight": self.weight.numpy(),
            "bias": np.array([self.bias]),
            "components": np.array([self.components], np.int32),
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], about: About, model: Classifier) -> Self:
        return cls(model, arrays["weight"], float(arrays["bias"][0]), int(arrays["components"][0]))


def pool(frames: torch.Tensor) -> torch.Tensor:
    """A log spectrogram `(m, frames, bins)` over time -> `(m, statistics · used bins)`."""
    over_time = frames[:, :, : max(1, round(HIGHEST * frames.shape[2]))].transpose(1, 2).contiguous()
    last = over_time.shape[2] - 1
    ordered = over_time.sort(2).values
    found = [ordered[..., round(quantile * last)] for quantile in QUANTILES]
    spread = (over_time - over_time.mean(2, keepdim=True)).square().mean(2)
    found.append((spread + 1e-6).sqrt())  # the root of 0 has no gradient
    found.append(over_time.diff(dim=2).abs().sum(2) / max(1, last))
    return torch.cat(found, 1)
