"""What was to be done, how it stands, and what came of it: plain records without any module in them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mirguard import __version__
from mirguard.attacks.catalogue import find_attack
from mirguard.attacks.knowledge import ZERO
from mirguard.attacks.restriction import FREE, Restriction
from mirguard.channel.chain import Link
from mirguard.clip import Clip
from mirguard.models.decision import Decision


@dataclass(frozen=True)
class Experiment:
    """What is to be done, complete: `parameters` hold every declared value of the attack, defaults included."""

    clip_name: str
    clip_hash: str
    model: str
    model_hash: str
    attack: str
    parameters: tuple[tuple[str, Any], ...]
    target: str | None = None
    seed: int = 0
    subtype: str = "PCM_16"
    truth: str | None = None
    surrogates: tuple[tuple[str, str], ...] = ()  # name and hash of each
    channel: tuple[Link, ...] = ()
    draws: int = 0
    restriction: Restriction = FREE
    evade: tuple[str, ...] = ()  # detectors to be deceived as well

    @property
    def knowledge(self) -> str:
        """What the attacker is taken to know of the model."""
        return ZERO if self.surrogates else find_attack(self.attack).knowledge

    @property
    def values(self) -> dict[str, Any]:
        return dict(self.parameters)


@dataclass(frozen=True)
class Progress:
    """How a running attack on a clip stands; `delta` and `best` are `(frames,)`, `seen` holds what each
    watching probe made of the windows, `(windows, d)`."""

    gradients: int
    forwards: int
    total: int | None
    loss: float
    margin: float
    snr_db: float
    success: bool
    decision: Decision
    delta: torch.Tensor
    best: torch.Tensor
    seen: tuple[torch.Tensor, ...]
    seconds: float


@dataclass(frozen=True)
class Export:
    """What the model says of the file a user gets; `path` is None where it was only encoded in memory."""

    path: Path | None
    decision: Decision
    success: bool


@dataclass(frozen=True)
class Outcome:
    """The result of an experiment on one clip; `clip` is the adversarial sound as re-read, `perturbation` what it differs by.

    `l2` is √Σδ² and `linf` max|δ| in units of full scale; `success`, `windows_flipped`, `snr_db`, `l2`, `linf` are of the export.
    `target` is the label that was to come out, `adversarial` what the attacked model (of surrogates: these) said before the
    export and `reached` whether that was what was wanted. `status` is "success", "failed" or "cancelled" (then the best candidate
    until there)."""

    experiment: Experiment
    clip: Clip
    perturbation: Clip
    clean: Decision
    adversarial: Decision
    exported: Export
    status: str
    windows_flipped: int
    snr_db: float | None
    l2: float
    linf: float
    gradients: int
    forwards: int
    seconds: float
    trace: dict[str, list[float]]
    target: str | None = None
    reached: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def success(self) -> bool:
        return self.exported.success

    def to_json(self) -> dict[str, Any]:
        """The document `mirguard attack --json` prints."""
        return {
            "file": self.experiment.clip_name,
            "clip_hash": self.experiment.clip_hash,
            "model": self.experiment.model,
            "model_hash": self.experiment.model_hash,
            "attack": self.experiment.attack,
            "parameters": self.experiment.values,
            "knowledge": self.experiment.knowledge,
            "surrogates": [name for name, _hash in self.experiment.surrogates],
            "channel": [one.to_json() for one in self.experiment.channel],
            "draws": self.experiment.draws,
            "restriction": self.experiment.restriction.to_json(),
            "target": self.target,
            "truth": self.experiment.truth,
            "seed": self.experiment.seed,
            "threads": self.clip.provenance.get("threads"),
            "version": __version__,
            "clean": _brief(self.clean),
            "adversarial": _brief(self.adversarial),
            "success": self.success,
            "status": self.status,
            "windows": len(self.clean.windows),
            "windows_flipped": self.windows_flipped,
            "exported": {
                "path": None if self.exported.path is None else str(self.exported.path),
                "subtype": self.experiment.subtype,
                **_brief(self.exported.decision),
                "success": self.exported.success,
            },
            "snr_db": self.snr_db if self.snr_db is None or math.isfinite(self.snr_db) else None,
            "snr_definition": "10*log10(sum x^2 / sum delta^2) over all channels of the whole clip",
            "l2": self.l2,
            "linf": self.linf,
            "gradients": self.gradients,
            "forwards": self.forwards,
            "seconds": self.seconds,
            "warnings": list(self.warnings),
        }


def _brief(decision: Decision) -> dict[str, Any]:
    return {"label": decision.label, "confidence": decision.confidence}


@dataclass(frozen=True)
class BatchOutcome:
    """The result on a batch of windows: every field is per row, `adversarial` is `(rows, window)`, traces are `(looks, rows)`.

    `success` was recomputed on `adversarial` outside the attack. `status` is "clean-wrong" (misclassified before anything was
    done; returned unchanged), "success", "failed" or "cancelled"."""

    adversarial: torch.Tensor
    success: torch.Tensor
    status: tuple[str, ...]
    snr_db: torch.Tensor
    l2: torch.Tensor
    linf: torch.Tensor
    gradients: torch.Tensor
    forwards: torch.Tensor
    trace: dict[str, torch.Tensor]
