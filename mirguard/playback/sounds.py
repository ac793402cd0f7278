"""The sounds that are compared: their names, what they have to be, and the perturbation as a difference."""

from __future__ import annotations

import numpy as np

from mirguard.errors import UsageError
from mirguard.playback.sources import Difference, Source

ORIGINAL, ADVERSARIAL, PERTURBATION = "original", "adversarial", "perturbation"
MAX_CHANNELS = 8


def checked(name: str, samples: np.ndarray) -> np.ndarray:
    """The samples as float32 (channels, frames), the same array where it is that already. Raises UsageError."""
    array = np.asarray(samples)
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2 or array.shape[1] == 0 or not 1 <= array.shape[0] <= MAX_CHANNELS:
        raise UsageError(
            f"The {name} sound needs samples of shape (channels, frames) with 1 to {MAX_CHANNELS} channels, "
            f"not {np.shape(samples)}."
        )
    return array if array.dtype == np.float32 else array.astype(np.float32)


def derive(sources: dict[str, Source], old: Source | None = None) -> None:
    """Where original and adversarial are there but no perturbation, that is their difference: `old` if it is that one."""
    original, adversarial = sources.get(ORIGINAL), sources.get(ADVERSARIAL)
    if PERTURBATION in sources or original is None or adversarial is None or original.channels != adversarial.channels:
        return
    if isinstance(old, Difference) and (old.first, old.second) == (adversarial, original):
        sources[PERTURBATION] = old
    else:
        sources[PERTURBATION] = Difference(adversarial, original)
