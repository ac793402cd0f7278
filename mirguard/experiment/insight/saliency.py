"""What in a clip a label hangs on: the gradient of its logit with respect to the waveform, laid out over time and frequency.

Simonyan, Vedaldi & Zisserman 2014, §3: the saliency of an input is |∂z_c/∂x|. A single sample of a waveform says little, so the
gradient is transformed as the sound is: by Parseval the spectrum G of ∂z_c/∂x is the gradient with respect to the sound's own
spectrum X, and |G| in a cell is how much the logit rises when that cell changes in its most effective phase.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mirguard.analysis import spectrogram
from mirguard.analysis.spectrogram import Spectrogram, SpectrogramSettings
from mirguard.attacks.ledger import Ledger
from mirguard.attacks.oracle import Objective, Oracle
from mirguard.attacks.problem import WholeTrack
from mirguard.attacks.view import View
from mirguard.clip import Clip
from mirguard.models.contract import Classifier

GRADIENT, TIMES_SOUND, JACOBIAN = MAPS = ("gradient", "gradient-times-sound", "jacobian")
Rest = Callable[[], None]


@dataclass(frozen=True, eq=False)
class Slopes:
    """∂z_c/∂x and Σ_{j≠c} ∂z_j/∂x, each `(frames,)`, of a clip's track logits z for the label c."""

    label: str
    own: np.ndarray
    others: np.ndarray


def slopes(model: Classifier, clip: Clip, label: str, rest: Rest | None = None) -> Slopes:
    """Both gradients of the whole clip, window by window, in memory that does not grow with it."""
    c = model.index(label)
    own = gradient(model, clip, lambda z, _rows: z[:, c], rest)
    others = gradient(model, clip, lambda z, _rows: z.sum(1) - z[:, c], rest)
    return Slopes(model.labels[c], own, others)


def gradient(model: Classifier, clip: Clip, objective: Objective, rest: Rest | None = None) -> np.ndarray:
    """The gradient `(frames,)` of an objective of the track logits with respect to what is added to every channel."""
    problem = WholeTrack(clip, 0, None, "l2", 1.0, 0, "FLOAT")
    oracle = Oracle(problem, View(model), Ledger(problem, stop_early=False, rest=rest))
    return oracle.gradient(problem.zeros(), objective)[0].cpu().numpy()


def times_sound_power(own: np.ndarray, sound: np.ndarray) -> np.ndarray:
    """|G|²·|X|²: what is not in the sound does not count."""
    return spectrogram.power(own) * spectrogram.power(sound)


def jacobian_power(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Papernot et al. 2016's saliency S(X, t) (eq. 8) with cells of the spectrum for features: 0 where raising the target's logit
    raises the others', else ∂F_t·|Σ_{j≠t} ∂F_j|.

    A cell moved in the phase of its G_t raises F_t at the rate |G_t| > 0, and the others at Re(Ḡ_t·G_o)/|G_t|: the product is
    −Re(Ḡ_t·G_o) where that is positive."""
    together = own.real * others.real
    together += own.imag * others.imag
    return np.maximum(-together, 0.0)


def draw(
    found: Slopes,
    clip: Clip,
    which: str = GRADIENT,
    window: int | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Spectrogram:
    """One of `MAPS` as a picture. Only its differences mean something: both slopes are brought to a peak of 1."""
    own, others = (slope / np.float32(max(np.abs(slope).max(), 1e-30)) for slope in (found.own, found.others))
    beside, power = {
        GRADIENT: (None, spectrogram.power),
        TIMES_SOUND: (clip.mono(), times_sound_power),
        JACOBIAN: (others, jacobian_power),
    }[which]
    return spectrogram.compute(
        own, clip.sample_rate, SpectrogramSettings(window=window), cancelled, None, beside, power
    )
