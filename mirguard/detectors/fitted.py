"""What all fitted detectors have in common: how a clip's score, its threshold, its reading and its evasion come about.

A detector says two things: what it keeps of a window (`digest`), and how anomalous that is (`window_scores`). A clip's score is the
mean over its windows. Everything is torch, so that what is differentiable can be evaded.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch

from mirguard.detectors.reading import Reading
from mirguard.detectors.sample import Sample
from mirguard.errors import UsageError
from mirguard.models.contract import Classifier
from mirguard.models.decision import TAGGING, Decision


@dataclass(frozen=True)
class About:
    """What a fitted detector rests on: the model, and the clean clips (`hashes` of all, whether fitted on or only scored)."""

    model: str
    model_hash: str
    task: str
    labels: tuple[str, ...]
    source: str
    size: int  # clips
    hashes: tuple[str, ...]
    skipped: tuple[str, ...]
    values: Mapping[str, Any]

    @property
    def reference_hash(self) -> str:
        """Of the clean clips, in whatever order they were heard."""
        return hashlib.sha256("\n".join(sorted(self.hashes)).encode()).hexdigest()


class Fitted:
    """Base of fitted detectors. Subclasses give `fit`, `digest`, `window_scores`, `arrays` and `restore`.

    `clean_scores` are scores of clean clips that the detector was not fitted on. `leaves_one_out` is set where a detector scores
    the clips it is fitted on without themselves, and so needs none put aside. `evades` is False where there is no gradient to
    follow; `scored_at_rest` where a score takes more than a moment."""

    name: ClassVar[str]
    set_level: ClassVar[bool] = False
    leaves_one_out: ClassVar[bool] = False
    evades: ClassVar[bool] = True
    scored_at_rest: ClassVar[bool] = False

    layers: tuple[str, ...]
    clean_scores: tuple[float, ...] = ()
    about: About

    @classmethod
    def fit(cls, clean: Sample, noisy: Sample | None, adversarial: Sample | None, values: Mapping[str, Any]) -> Self:
        """A detector fitted on these windows; UsageError with one sentence where they do not allow for it.

        `noisy` and `adversarial`, the clean clips with noise and attacked, are there when the declaration needs them."""
        raise NotImplementedError

    def digest(self, heard: Mapping[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        """Activations by layer and logits of m windows -> `(m, d)`."""
        raise NotImplementedError

    def window_scores(self, digests: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Digests `(rows, windows, d)`, the class `(rows,)` each row is heard as -> `(rows, windows)`; higher is more anomalous."""
        raise NotImplementedError

    def arrays(self) -> dict[str, np.ndarray]:
        """All that `restore` needs."""
        raise NotImplementedError

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], about: About, model: Classifier) -> Self:
        """The detector again, from what was kept."""
        raise NotImplementedError

    def note(self, label: str) -> str:
        """One sentence on how a clip of this label was scored."""
        return ""

    # -- The same for all ----------------------------------------------------------------------------------------------

    def calibrate(self, clean: Sample) -> None:
        """Score clean clips that the detector was not fitted on."""
        digests, said = torch.from_numpy(clean.digests(self)), clean.said
        self.clean_scores = tuple(
            self._score(digests[torch.from_numpy(clean.clip_of == clip)], int(said[clip])) for clip in range(clean.size)
        )
        if not np.isfinite(self.clean_scores).all():
            raise UsageError(
                f"{self.name} finds no finite score for some clean clips of this reference; use a folder with more, and more "
                "different, clean music."
            )

    def score(self, digests: torch.Tensor, label: str) -> float:
        """How anomalous a clip with these windows `(windows, d)` is that the model hears as `label`."""
        return self._score(digests, self.about.labels.index(label))

    def _score(self, digests: torch.Tensor, number: int) -> float:
        with torch.no_grad():
            return float(self.window_scores(digests[None], torch.tensor([number])).mean())

    def threshold(self, fpr: float) -> float:
        """The score above which a clip is flagged, so that at most `fpr` of clean clips are."""
        return clip_threshold(self.clean_scores, fpr)

    def read(self, digests: torch.Tensor, decision: Decision, fpr: float = 0.05, known: bool = False) -> Reading:
        """Where a clip with these windows `(windows, d)` lies among the clean ones; `known` says that it is one of them."""
        score, threshold = self.score(digests, decision.label), self.threshold(fpr)
        note = self.note(decision.label)
        if known:
            note += " This very clip is in the reference, so its score is too low."
        return Reading(
            self.name,
            score,
            threshold,
            float(np.mean(np.asarray(self.clean_scores) < score)) * 100.0,
            score > threshold,
            self.set_level,
            fpr,
            self.clean_scores,
            note.strip(),
        )

    def evadable(self, fpr: float = 0.5) -> Evasion:
        """Itself as an attack evades it: with a score as low as that of all but a share `fpr` of clean clips (half: as normal as
        the typical one). UsageError where it cannot be evaded by gradient."""
        if not self.evades:
            raise UsageError(f"{self.name} gives no gradient to follow, so no attack can set out to evade it.")
        low, high = np.quantile(self.clean_scores, (0.25, 0.75))
        return Evasion(self, self.threshold(fpr), max(float(high - low) / 1.349, 1e-6))

    @property
    def of_tags(self) -> bool:
        """Whether the model is a tagger, which has no classes that exclude each other."""
        return self.about.task == TAGGING


@dataclass(frozen=True)
class Evasion:
    """A fitted detector to be evaded: suspicion is how far the score lies above the `aim`, in robust standard deviations of clean
    scores (`spread`)."""

    detector: Fitted
    aim: float
    spread: float

    @property
    def name(self) -> str:
        return self.detector.name

    @property
    def layers(self) -> tuple[str, ...]:
        return self.detector.layers

    def digest(self, heard: Mapping[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        return self.detector.digest(heard, logits)

    def suspicion(self, digests: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        return ((self.detector.window_scores(digests, classes).mean(1) - self.aim) / self.spread).float()


def clip_threshold(clean_scores: Sequence[float], fpr: float) -> float:
    """The ⌈(n + 1)(1 − α)⌉-th smallest of n clean scores (split conformal prediction: a new clean clip exceeds it with
    probability at most α). UsageError where n is too small for α."""
    if not 0.0 < fpr < 1.0:
        raise UsageError(f"A false-positive rate lies between 0 and 1; got {fpr:g}.")
    count = len(clean_scores)
    rank = math.ceil((count + 1) * (1.0 - fpr) - 1e-9)
    if rank > count:
        needed = math.ceil(1.0 / fpr - 1e-9) - 1
        raise UsageError(
            f"A false-positive rate of {fpr:.2%} needs at least {needed} clean clips to be counted in and this reference has "
            f"{count}; choose {1.0 / (count + 1):.2%} or more, or a larger reference."
        )
    return float(np.sort(clean_scores)[rank - 1])


def standardisation(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale `(d,)` of `values (n, d)`. A dimension that never moves on clean sound would turn any movement into infinity:
    it is given the typical spread. UsageError where none moves."""
    mean, deviation = values.mean(0), values.std(0)
    moves = deviation > 1e-12
    if not moves.any():
        raise UsageError("All clips of this reference look the same to the model; use a folder with different sounds.")
    return mean, np.where(moves, deviation, np.median(deviation[moves]))
