"""The one door to the model. Attacks ask it for logits or for the gradient of an objective at a candidate δ.

Behind it stand the problem (what is attacked), the view (how the model is seen) and the ledger (what was spent and found).
"""

from __future__ import annotations

import torch

from mirguard.attacks.ledger import Ledger
from mirguard.attacks.losses import LOSSES
from mirguard.attacks.problem import Problem
from mirguard.attacks.view import View
from mirguard.models.decision import track_logits


class Oracle:
    """Full-batch in, full-batch out: attacks keep δ of all rows, only unfinished rows are computed."""

    def __init__(self, problem: Problem, view: View, ledger: Ledger) -> None:
        self.problem, self.view, self.ledger = problem, view, ledger

    @property
    def done(self) -> bool:
        """True when every row is finished."""
        return not bool(self.ledger.active.any())

    def plan(self, gradients: int) -> None:
        """Tell how many gradients the attack takes at the most, for estimates of the time left."""
        self.ledger.total = gradients

    def logits(self, delta: torch.Tensor) -> torch.Tensor:
        """Track logits `(rows, K)` at δ; of finished rows the last ones known."""
        rows = self.ledger.active.nonzero()[:, 0]
        if len(rows):
            window_logits, features = [], []
            with torch.no_grad():
                for piece in self.problem.pieces(rows, self.view.micro_batch):
                    self.ledger.pause()
                    z, seen = self.view(piece.windows(delta[piece.index]))
                    window_logits.append(z.to(delta.device))
                    features.append(seen)
            z = track_logits(self._by_row(window_logits), self.view.task)
            self.ledger.record(rows, delta, z, None, self._joined(features))
        return self.ledger.logits

    def gradient(self, delta: torch.Tensor, loss: str = "cross-entropy") -> torch.Tensor:
        """∂loss/∂δ `(rows, n)` at δ, 0 for finished rows.

        The objective is of the mean over windows, which is known only when all windows have been heard: every
        micro-batch is first run forwards, then the loss is differentiated with respect to all windows' logits Z, and each
        micro-batch is back-propagated with its ∂J/∂Z. Graphs of the first `graph_windows` windows are kept from the first
        pass; further ones are run again, so memory does not grow with the clip.
        """
        self.view.require_gradient()
        self.ledger.before_gradient()
        gradient = torch.zeros_like(delta)
        rows = self.ledger.active.nonzero()[:, 0]
        if not len(rows):
            return gradient
        passes, window_logits, features, held = [], [], [], 0
        for piece in self.problem.pieces(rows, self.view.micro_batch):
            self.ledger.pause()
            keep = held + piece.count <= self.view.graph_windows
            held += piece.count if keep else 0
            leaf = delta[piece.index].detach().requires_grad_(keep)
            with torch.set_grad_enabled(keep):
                z, seen = self.view(piece.windows(leaf))
            passes.append((piece, leaf, z if keep else None))
            window_logits.append(z.detach().to(delta.device))
            features.append(seen)

        by_row = self._by_row(window_logits).requires_grad_()
        targets = self.problem.targets
        with torch.enable_grad():
            z = track_logits(by_row, self.view.task)
            losses = LOSSES[loss](z, self.problem.labels[rows], None if targets is None else targets[rows])
            (slopes,) = torch.autograd.grad(losses.sum(), by_row)
        slopes = slopes.flatten(0, 1)

        first = 0
        for number, (piece, leaf, graph) in enumerate(passes):
            self.ledger.pause()
            if graph is None:
                leaf = leaf.requires_grad_()
                with torch.enable_grad():
                    graph, _ = self.view(piece.windows(leaf))
            part = slopes[first : first + piece.count].to(graph.device)
            # As a product, not as `grad_outputs`: those make torch import its symbolic shapes, half a second at the first step.
            (slope,) = torch.autograd.grad((graph * part).sum(), leaf)
            gradient[piece.index] += slope
            passes[number], graph = None, None  # free each graph as soon as it is used
            first += piece.count
        self.ledger.record(rows, delta, z.detach(), losses.detach(), self._joined(features))
        return gradient

    def _by_row(self, window_logits: list[torch.Tensor]) -> torch.Tensor:
        joined = torch.cat(window_logits)
        return joined.view(-1, self.problem.windows, joined.shape[-1])

    @staticmethod
    def _joined(features: list[torch.Tensor | None]) -> torch.Tensor | None:
        return None if features[0] is None else torch.cat(features)
