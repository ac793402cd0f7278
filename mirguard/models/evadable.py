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
    """A detector as an attack sees it that wants to evade it (Carlini & Wagner 2017, "Adversarial examples are
    not easily detected")."""

    name: str

    def suspicion(self, digests: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Digests `(rows, windows, d)`, and the class `(rows,)` that each row is to be heard as -> `(rows,)`, differentiable: above
        0 a row counts as detected. In the measure of logits: spread out as a classifier's margins are."""
        ...


def wanted(z: torch.Tensor, labels: torch.Tensor, targets: torch.Tensor | None) -> torch.Tensor:
    """The class `(rows,)` that each row is to be heard as: its target, else the likeliest of those that it is not."""
    return z.scatter(1, labels[:, None], -torch.inf).argmax(1) if targets is None else targets


def fold(
    z: torch.Tensor, suspicion: torch.Tensor, labels: torch.Tensor, classes: torch.Tensor, sharpness: float
) -> torch.Tensor:
    """Track logits `(rows, K)` in which being detected counts as being heard rightly.

    The detector is one more class with z_D = z of the wanted one (`classes`) + suspicion (after Carlini & Wagner 2017's
    (N + 1)-class network), and it and the one to leave (`labels`) are made one: z_y ← max(z_y, z_D). The margin of the result is
    min(margin, −suspicion), so every attack that looks at logits evades with no further word. The maximum is rounded off (a
    log-sum-exp of that `sharpness`), so that a gradient knows of both; inf is the maximum itself, by which success is judged."""
    left = z.gather(1, labels[:, None])
    alarm = z.gather(1, classes[:, None]) + suspicion[:, None]
    if sharpness == float("inf"):
        folded = torch.maximum(left, alarm)
    else:
        folded = torch.logaddexp(sharpness * left, sharpness * alarm) / sharpness
    return z.scatter(1, labels[:, None], folded)
