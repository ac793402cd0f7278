"""How an attack sees the model: one model, its gradients if it has any, and a layer to watch on the way."""

from __future__ import annotations

import torch

from mirguard.errors import UsageError
from mirguard.models.contract import Classifier


class View:
    """One model; `watch` names a layer whose activations the ledger hands on (a detector reads them while the attack runs)."""

    def __init__(self, model: Classifier, watch: str | None = None) -> None:
        self.model, self.watch = model, watch
        self.task = model.task
        self.micro_batch, self.graph_windows = model.micro_batch, model.graph_windows

    def require_gradient(self) -> None:
        if not self.model.differentiable:
            raise UsageError(f"{self.model.name} gives no gradient; choose an attack that needs none.")

    def __call__(self, windows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """`(m, window)` -> logits `(m, K)` and the watched layer `(m, d)`."""
        windows = windows.to(self.model.device)
        if self.watch is None:
            return self.model.logits(windows), None
        features, logits = self.model.features(windows, (self.watch,))
        return logits, features[self.watch].detach()
