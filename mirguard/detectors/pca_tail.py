"""The tail of a PCA: is there much in the directions in which clean sounds hardly vary?

Hendrycks & Gimpel 2017 (arXiv:1608.00530, §3.1): inputs are PCA-whitened on clean ones; the variance of the trailing whitened
coefficients, those of least variance, is larger where something was added that clean inputs do not have.

- The input is what the model's network takes, its spectrogram. For models that take samples or a few statistics it is the log power
  spectrum of the window that this detector makes itself (`spectrum`).
- A spectrogram has thousands of values and there are hundreds of windows, so frames are whitened, over frequency; the variance is
  that of the trailing coefficients of all frames of a window. "Trailing" is a share of the directions.
- The variance is taken about 0, the mean of clean coefficients: about their own mean it would hang on the signs of the directions,
  which are arbitrary.
- High is anomalous, as in the paper: on the toy instruments a two-sided score told less. The score is the logarithm of the
  variance, so that one window does not decide for the clip.
- The gap is small in music: log spectra vary in every direction, and where the tail is sensitive (linear frequency), noise at the
  same level raises it more than an attack does.
- Classes play no part, so a tagger is no different.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch

from mirguard.detectors.fitted import About, Fitted
from mirguard.detectors.sample import Sample
from mirguard.detectors.spectrum import Spectrum
from mirguard.errors import UsageError
from mirguard.models.contract import REPRESENTATION, WAVEFORM, Classifier

FAINTEST = 1e-10  # of the largest variance: directions with less are none, but rounding
LEAST_VARIANCE = 1e-12  # of whitened coefficients, whose variance is 1 on average


class PcaTail(Fitted):
    """`mean (bands,)` and `tail (bands, trailing)`: a frame x has the trailing whitened coefficients (x − mean) · tail."""

    name = "pca-tail"

    def __init__(self, model: Classifier, layer: str, mean: np.ndarray, tail: np.ndarray) -> None:
        self.layers = (layer,)
        self._spectrum = Spectrum(model.sample_rate, model.window)
        self._mean, self._tail = torch.from_numpy(mean), torch.from_numpy(tail)

    @classmethod
    def fit(cls, clean: Sample, noisy: Sample | None, adversarial: Sample | None, values: Mapping[str, Any]) -> Self:
        layer, spectrum = _layer(clean), Spectrum(clean.model.sample_rate, clean.model.window)
        count, total, products = 0, 0.0, 0.0
        for first in range(0, len(clean.windows), clean.model.micro_batch):
            clean.pause()
            with torch.no_grad():
                some = clean.waveforms(slice(first, first + clean.model.micro_batch)).to(clean.model.device)
                heard, _logits = clean.model.activations(some, (layer,))
                x = _frames(heard[layer], layer, spectrum).double().flatten(0, 1).cpu().numpy()
            if not count:
                origin = x[0]  # near the mean, so that the products below lose no digits
            count, total, products = (
                count + len(x),
                total + (x - origin).sum(0),
                products + (x - origin).T @ (x - origin),
            )
        centre = total / count
        variances, directions = np.linalg.eigh(products / count - np.outer(centre, centre))
        real = variances > FAINTEST * max(variances[-1], FAINTEST)
        variances, directions = variances[real], directions[:, real]
        if len(variances) < 2:
            raise UsageError(
                "All clips of this reference sound the same to pca-tail; use a folder with different sounds."
            )
        trailing = max(1, round(values["share"] * len(variances)))  # eigh sorts upward
        tail = directions[:, :trailing] / np.sqrt(variances[:trailing])
        return cls(clean.model, layer, (origin + centre).astype(np.float32), np.ascontiguousarray(tail, np.float32))

    def digest(self, heard: Mapping[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        frames = _frames(heard[self.layers[0]], self.layers[0], self._spectrum)
        coefficients = ((frames - self._mean.to(frames)) @ self._tail.to(frames)).flatten(1)
        return torch.log(coefficients.square().mean(1, keepdim=True) + LEAST_VARIANCE)

    def window_scores(self, digests: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        return digests[..., 0]

    def arrays(self) -> dict[str, np.ndarray]:
        waveform = np.array([self.layers[0] == WAVEFORM])
        return {"waveform": waveform, "mean": self._mean.numpy(), "tail": self._tail.numpy()}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], about: About, model: Classifier) -> Self:
        return cls(model, WAVEFORM if arrays["waveform"][0] else REPRESENTATION, arrays["mean"], arrays["tail"])


def _layer(clean: Sample) -> str:
    """The representation where it is a spectrogram `(m, frames, bands)`, else the waveform."""
    with torch.no_grad():
        heard = clean.model.represent(clean.waveforms(slice(0, 1)).to(clean.model.device))
    return REPRESENTATION if heard.ndim == 3 and min(heard.shape[1:]) > 1 else WAVEFORM


def _frames(heard: torch.Tensor, layer: str, spectrum: Spectrum) -> torch.Tensor:
    """`(m, frames, bands)`"""
    return spectrum(heard) if layer == WAVEFORM else heard
