"""Objectives on track logits z `(rows, K)`. Every attack descends: less is more adversarial.

`labels` are the classes to leave, `targets` (or None) the classes to reach.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def margin(z: torch.Tensor, labels: torch.Tensor, targets: torch.Tensor | None) -> torch.Tensor:
    """How far a row is past the decision boundary: max_{k≠y} z_k − z_y, targeted z_t − max_{k≠t} z_k. Above 0 it is fooled.

    Carlini & Wagner 2017's f with the sign turned; on logits, never on probabilities."""
    own = (labels if targets is None else targets)[:, None]
    others = z.scatter(1, own, -torch.inf).amax(1)
    inside = z.gather(1, own)[:, 0]
    return others - inside if targets is None else inside - others


def cross_entropy(z: torch.Tensor, labels: torch.Tensor, targets: torch.Tensor | None) -> torch.Tensor:
    """J of Goodfellow 2015: −CE(z, y), targeted CE(z, t).

    For a tagger the softmax runs over the tags' log-odds, so that leaving a tag also lifts its rivals."""
    if targets is None:
        return -F.cross_entropy(z, labels, reduction="none")
    return F.cross_entropy(z, targets, reduction="none")


def negative_margin(z: torch.Tensor, labels: torch.Tensor, targets: torch.Tensor | None) -> torch.Tensor:
    return -margin(z, labels, targets)


LOSSES = {"cross-entropy": cross_entropy, "margin": negative_margin}
