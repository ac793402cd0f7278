"""From the logits of windows to what a model says of a whole track.

A track's decision is the mean of its windows' probabilities. Everything downstream (labels, losses, detectors) sees
it as *track logits* z, chosen so that the best label is argmax z and gradients neither vanish nor overflow:

    single-label   z_k = log p̄_k             softmax(z) = p̄
    tagging        z_k = log p̄_k/(1 − p̄_k)   sigmoid(z) = p̄

with p̄ = mean over windows of softmax(logits) or sigmoid(logits). For one window z equals the logits (up to a constant).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

SINGLE_LABEL, TAGGING = "single-label", "tagging"


def track_logits(window_logits: torch.Tensor, task: str) -> torch.Tensor:
    """`(rows, windows, K)` logits -> `(rows, K)` track logits, computed from log-probabilities throughout."""
    windows = window_logits.shape[1]
    if windows == 1:
        return window_logits.squeeze(1)
    if task == TAGGING:
        return torch.logsumexp(F.logsigmoid(window_logits), 1) - torch.logsumexp(F.logsigmoid(-window_logits), 1)
    return torch.logsumexp(F.log_softmax(window_logits, -1), 1) - math.log(windows)


def probabilities(logits: torch.Tensor, task: str) -> torch.Tensor:
    """p of logits or of track logits, `(..., K)`."""
    return torch.sigmoid(logits) if task == TAGGING else torch.softmax(logits, -1)


@dataclass(frozen=True)
class Decision:
    """What a model says of one clip: `label` (the top one), its `confidence`, all `probabilities` in label order,
    and the top label of each window."""

    label: str
    confidence: float
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    windows: tuple[str, ...]

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The `count` most probable labels with their probabilities, best first."""
        return sorted(zip(self.labels, self.probabilities, strict=True), key=lambda pair: -pair[1])[:count]


def decide(window_logits: torch.Tensor, labels: tuple[str, ...], task: str) -> Decision:
    """The decision on one clip from its `(windows, K)` logits."""
    z = track_logits(window_logits[None], task)[0]
    return decision_of(z, labels, task, tuple(labels[i] for i in window_logits.argmax(-1).tolist()))


def decision_of(z: torch.Tensor, labels: tuple[str, ...], task: str, windows: tuple[str, ...]) -> Decision:
    """The decision that track logits `z (K,)` stand for. The top label is theirs: probabilities tie where they saturate."""
    p, best = probabilities(z, task).tolist(), int(z.argmax())
    return Decision(labels[best], p[best], labels, tuple(p), windows)
