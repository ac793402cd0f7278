"""Does the decision stay when the sound is changed in ways that hardly touch music?

Xu et al. 2018 (feature squeezing, arXiv:1704.01155, eq. 1): the L1 distance between the probabilities of an input and of its
squeezed version; higher is more anomalous. For sound the squeezers are those of Rajaratnam, Shah & Kalita 2018 ("Isolated and
ensemble audio preprocessing methods for detecting adversarial examples", arXiv:1809.04397): MP3, noise, resampling, a band-pass.

- Each distance is divided by its mean on clean windows, so that the harshest change does not outweigh the others; a window's
  score is the mean of them, or the largest as in Xu et al. A clip's is the mean over its windows.
- Noise lies as far below each window's own level, so that soft music is shaken no more than loud. All that is drawn by chance
  is drawn once: a score is the same each time, and gradients go through (MP3 straight through), so it can be evaded.
- Fitted on clean sounds alone. MP3 takes some 13 ms for each window of two seconds, and each change one pass of the model.
- With a tagger the probabilities are the tags' own, and the distance is the sum over tags.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import torch

from mirguard.channel.band import Band
from mirguard.channel.level import amplitude
from mirguard.channel.mp3 import Mp3
from mirguard.channel.noise import Noise
from mirguard.channel.rates import Resampled
from mirguard.detectors.fitted import About, Fitted
from mirguard.detectors.sample import Sample
from mirguard.errors import UsageError
from mirguard.models.contract import WAVEFORM, Classifier

SEED = 0  # of the noise
KEPT = 0.75  # of the sample rate, by resampling
BAND = (0.0125, 0.75)  # of half the sample rate: 100 to 6000 Hz at 16 kHz

Change = Callable[[torch.Tensor], torch.Tensor]


class Consistency(Fitted):
    """`values` are the declaration's; `typical (changes,)` the mean distance of clean windows under each change."""

    name = "consistency"
    layers = (WAVEFORM,)
    scored_at_rest = True

    def __init__(self, model: Classifier, values: Mapping[str, Any], typical: np.ndarray | None = None) -> None:
        self._model, self._values = model, dict(values)
        self._changes = changes(values, model.sample_rate)
        self._typical = torch.ones(len(self._changes)) if typical is None else torch.from_numpy(typical)

    @classmethod
    def fit(cls, clean: Sample, noisy: Sample | None, adversarial: Sample | None, values: Mapping[str, Any]) -> Self:
        made = cls(clean.model, values)
        typical = clean.digests(made).mean(0)
        if not np.isfinite(typical).all() or not (typical > 0.0).any():
            raise UsageError(
                f"What {clean.model.name} says of these clips does not change with the sound, so it cannot be told how steady it "
                "is; use a folder with different music."
            )
        # A change that moves no clean window at all would turn any distance into infinity.
        typical = np.where(typical > 0.0, typical, typical[typical > 0.0].mean())
        return cls(clean.model, values, typical.astype(np.float32))

    def digest(self, heard: Mapping[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        """L1 distances `(m, changes)`."""
        x, before = heard[WAVEFORM], self._model.probabilities(logits)
        distances = []
        for change in self._changes.values():
            after = self._model.probabilities(self._model.logits(change(x)))
            distances.append((after - before).abs().sum(-1))
        return torch.stack(distances, 1)

    def window_scores(self, digests: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        distances = digests / self._typical.to(digests)
        return distances.mean(-1) if self._values["combine"] == "mean" else distances.amax(-1)

    def note(self, label: str) -> str:
        said = f"How far the probabilities move under {_listed(tuple(self._changes))}, in units of what clean windows move."
        if self._values["mp3"] and "mp3" not in self._changes:
            said += f" MP3 is left out: it cannot be had at the model's {self._model.sample_rate} Hz, or not on this machine."
        return said

    def arrays(self) -> dict[str, np.ndarray]:
        return {"typical": self._typical.numpy()}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], about: About, model: Classifier) -> Self:
        made = cls(model, about.values, arrays["typical"])
        if len(made._changes) != len(arrays["typical"]):
            raise ValueError("another number of changes")
        return made


def changes(values: Mapping[str, Any], sample_rate: int) -> dict[str, Change]:
    """The changes by name that a declaration's values ask for, of windows `(m, n)` at that rate. MP3 is left out where it cannot be
    had, as at rates that it does not know. UsageError where nothing is left."""
    found: dict[str, Change] = {}
    trouble = f"Choose at least one change of the sound: {', '.join(CHANGES)}."
    for name, make in CHANGES.items():
        if values[name.replace("-", "_")]:
            try:
                found[name] = make(values, sample_rate)
            except UsageError as error:
                trouble = str(error)
    if not found:
        raise UsageError(trouble)
    return found


def _mp3(values: Mapping[str, Any], sample_rate: int) -> Change:
    codec = Mp3(values["bitrate"] / 2.0, sample_rate)  # a stereo file's bitrate: half of it for the one channel
    return lambda x: codec(x, 0)


def _noise(values: Mapping[str, Any], sample_rate: int) -> Change:
    noise, factor = Noise(1.0, SEED), amplitude(-values["snr"])

    def change(x: torch.Tensor) -> torch.Tensor:
        level = (x.square().mean(-1, keepdim=True) + 1e-12).sqrt()  # a gradient also where all is silent
        return x + factor * level * noise(torch.zeros_like(x), 0)

    return change


def _resampled(values: Mapping[str, Any], sample_rate: int) -> Change:
    resampled = Resampled(sample_rate, round(KEPT * sample_rate))
    return lambda x: resampled(x, 0)


def _band(values: Mapping[str, Any], sample_rate: int) -> Change:
    low, high = BAND
    return Band((low * sample_rate / 2.0, high * sample_rate / 2.0), sample_rate)


CHANGES: dict[str, Callable[[Mapping[str, Any], int], Change]] = {
    "mp3": _mp3,
    "noise": _noise,
    "resample": _resampled,
    "band-pass": _band,
}


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
