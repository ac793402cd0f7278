"""What a detector must give so that an attack can watch it, or evade it, through the one pass in which the model is heard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch


class Probe(Protocol):
    """Reads some layers of a model (its own, or WAVEFORM, REPRESENTATION, LOGITS of `contract`) and makes a short row of numbers of
    each window, so that what is kept does not grow with the layers."""

    layers: tuple[str, ...]

    def digest(self, heard: Mapping[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        """Activations `(m, ...)` by layer and logits `(m, K)` of m windows -> `(m, d)`; differentiable in an Evadable."""
        ...


class Evadable(Probe, Protocol):
    """A detector as an attack sees it that wants to evade it (Carlini & Wagner 2017, "Adversarial examples are not easily detected")."""

    name: str

    def suspicion(self, digests: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Digests `(rows, windows, d)` and track logits `(rows, K)` -> `(rows,)`, differentiable: above 0 a row counts as detected.

        In the measure of logits: about 1 where a detector is as sure as a classifier with that margin."""
        ...


def fold(
    z: torch.Tensor, suspicion: torch.Tensor, labels: torch.Tensor, targets: torch.Tensor | None, sharpness: float
) -> torch.Tensor:
    """Track logits `(rows, K)` in which being detected counts as being heard rightly.

    The detector is one more class with z_D = max over the wanted classes + suspicion (after Carlini & Wagner 2017's (N + 1)-class
    network), and this class and the one to leave are made one: z_y ← max(z_y, z_D). The margin of the result is
    min(margin, −suspicion), so every attack that looks at logits evades with no further word. The maximum is rounded off (a log-sum-exp
    of that `sharpness`), so that a gradient knows of both; inf is the maximum itself, which is what success is judged by."""
    own = labels[:, None]
    wanted = z.scatter(1, own, -torch.inf).amax(1) if targets is None else z.gather(1, targets[:, None])[:, 0]
    left, alarm = z.gather(1, own)[:, 0], wanted + suspicion
    if sharpness == float("inf"):
        folded = torch.maximum(left, alarm)
    else:
        folded = torch.logaddexp(sharpness * left, sharpness * alarm) / sharpness
    return z.scatter(1, own, folded[:, None])
