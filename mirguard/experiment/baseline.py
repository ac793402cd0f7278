"""White noise at exactly the SNR that an attack reached: what the attack has to beat (Prinz, Flexer & Widmer 2021; SC-06)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mirguard.clip import Clip, energy
from mirguard.experiment.outcome import Outcome
from mirguard.models.contract import Classifier
from mirguard.models.tracks import classify
from mirguard.words import counted


@dataclass(frozen=True)
class Baseline:
    """Of `draws` sounds with white noise at `snr_db`, how many `fooled`: brought out the target, or any other label."""

    draws: int
    fooled: int
    snr_db: float | None

    @property
    def sentence(self) -> str:
        return f"White noise at the same SNR fools {self.fooled} of {counted(self.draws, 'draw')}."

    def to_json(self) -> dict[str, Any]:
        return {"draws": self.draws, "fooled": self.fooled}


def noise_baseline(
    outcome: Outcome,
    clip: Clip,
    model: Classifier,
    draws: int = 20,
    rest: Callable[[], None] | None = None,
) -> Baseline:
    """Add noise of the perturbation's energy to `clip`, `draws` times, and ask `model`; `rest` is called between micro-batches.

    The noise is the same in every channel, like δ, Gaussian, and clipped to full scale as a file would be."""
    level = np.sqrt(energy(outcome.perturbation.samples) / clip.samples.size)
    fooled = 0
    for draw in range(draws):
        noise = np.random.default_rng((outcome.experiment.seed, draw)).standard_normal(clip.frames, dtype=np.float32)
        noise *= level / np.sqrt(np.mean(np.square(noise, dtype=np.float64)))
        heard = classify(model, Clip(np.clip(clip.samples + noise, -1.0, 1.0), clip.sample_rate), rest)
        fooled += heard.label == outcome.target if outcome.target is not None else heard.label != outcome.clean.label
    return Baseline(draws, fooled, outcome.snr_db)
