"""The one door to the model. Attacks ask it for logits, for the gradient of an objective, or for rows of the Jacobian at δ.

Behind it stand the problem (what is attacked), the view (how the model is seen) and the ledger (what was spent and found).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from mirguard.attacks.ledger import Ledger, Measure
from mirguard.attacks.losses import LOSSES
from mirguard.attacks.problem import Piece, Problem
from mirguard.attacks.view import View
from mirguard.errors import UsageError

# Track logits z (rows, K) and the numbers of those rows -> what is to be descended, (rows,).
Objective = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

EXACT = float("inf")
ROUNDED = 4.0  # how sharply objectives know of a detector to be evaded: the nearer of two aims leads, the other is not forgotten


@dataclass
class _Pass:
    """One micro-batch heard: what it depends on and, where it was kept, its graph."""

    model: int
    piece: Piece
    leaf: torch.Tensor
    graph: torch.Tensor | None


@dataclass
class _Look:
    """The model heard at one δ: all windows' `(rows, windows, K + Σd)` for each transform and model, and what leads back."""

    rows: torch.Tensor
    labels: torch.Tensor
    targets: torch.Tensor | None
    heard: list[torch.Tensor]
    passes: list[list[_Pass]]
    seen: tuple[torch.Tensor, ...]

    @property
    def only(self) -> _Pass | None:
        """The one micro-batch that all was heard in, where its graph was kept."""
        step = self.passes[0][0]
        return step if len(self.passes) == len(self.passes[0]) == 1 and step.graph is not None else None


class Oracle:
    """Full-batch in, full-batch out: attacks keep δ of all rows, only unfinished rows are computed.

    When no row is left to compute, every question raises `Finished`, which ends the attack: attacks need not look."""

    def __init__(self, problem: Problem, view: View, ledger: Ledger) -> None:
        self.problem, self.view, self.ledger = problem, view, ledger
        self._looks = 0

    @property
    def done(self) -> bool:
        """True when every row is finished."""
        return not bool(self.ledger.active.any())

    def plan(self, gradients: int) -> None:
        """Tell how many gradients the attack takes at the most, for estimates of the time left."""
        self.ledger.total = gradients

    def minimise(self, measure: Measure | None = None) -> None:
        """From now on, of all candidates that fool by `confidence` each row's smallest counts, not the one that fools most;
        `measure(δ[rows], rows)` is what is small, else the norm of the problem. Rows end by `finish` only."""
        self.ledger.minimise(measure or (lambda delta, _rows: self.problem.norm.size(delta)))

    def finish(self, rows: torch.Tensor) -> None:
        """Compute no more of the rows `(rows,)` that are True."""
        self.ledger.active &= ~rows

    def logits(self, delta: torch.Tensor) -> torch.Tensor:
        """Track logits `(rows, K)` at δ, the mean over the view's transforms; of finished rows the last ones known."""
        look = self._hear(delta, graphs=False)
        z = self._mean(self._track_logits(look, EXACT))
        self.ledger.record(look.rows, delta, z, self._said(look, z), None, look.seen, 0)
        return self.ledger.logits

    def fooled(self, delta: torch.Tensor) -> torch.Tensor:
        """Only the decision `(rows,)`: whether the model is fooled at δ. Finished rows keep their last answer."""
        self.logits(delta)
        return self.ledger.hit

    def ask(self, windows: torch.Tensor, row: int) -> torch.Tensor:
        """Logits `(m, K)` of any windows `(m, window)` at the model's rate, `m` questions in the name of one row.

        No candidate for δ and so not judged; heard as they are, through no transform."""
        if len(self.view.models) > 1:
            raise UsageError(
                "Windows of one's own are asked of one model, not of several together; choose one of them."
            )
        parts = []
        for part in windows.split(self.view.micro_batch):
            self.ledger.asked(row, len(part))
            with torch.no_grad():
                parts.append(self.view.hear(0, part)[0][:, : len(self.view.labels)].to(windows.device))
        return torch.cat(parts)

    def gradient(
        self, delta: torch.Tensor, objective: str | Objective = "cross-entropy", is_loss: bool = True
    ) -> torch.Tensor:
        """∂J/∂δ `(rows, n)` at δ, of it what lies where δ may be; 0 for finished rows.

        J is the objective's mean over the view's transforms, each a function of the track logits. Where J is not what the
        attack brings down, `is_loss` is False, and the trace tells no loss."""
        self.view.require_gradient()
        self.ledger.before_gradient()
        look = self._hear(delta, graphs=True)
        with torch.enable_grad():
            z = self._track_logits(look, ROUNDED)
            loss = self._mean([self._objective(objective, part, look) for part in z])
            gradient = self._back(look, delta, [loss.sum()])[0]
        judged = self._judged(look, z)
        said, told = self._said(look, judged), loss.detach() if is_loss else None
        self.ledger.record(look.rows, delta, judged, said, told, look.seen, 1)
        return gradient

    def jacobian(self, delta: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Track logits z `(rows, K)` at δ and ∂z_k/∂δ `(C, rows, n)` for each row's `classes (rows, C)`.

        One pass forwards and C backwards, which count as C gradients; memory grows with C."""
        self.view.require_gradient()
        self.ledger.before_gradient()
        look = self._hear(delta, graphs=True)
        with torch.enable_grad():
            z = self._track_logits(look, ROUNDED)
            chosen = self._mean(z).gather(1, classes[look.rows])
            rows = self._back(look, delta, list(chosen.sum(0)))
        judged = self._judged(look, z)
        self.ledger.record(look.rows, delta, judged, self._said(look, judged), None, look.seen, classes.shape[1])
        return self.ledger.logits, torch.stack(rows)

    # -- Hearing forwards, and back ------------------------------------------------------------------------------------

    def _hear(self, delta: torch.Tensor, graphs: bool) -> _Look:
        """All windows of the unfinished rows, micro-batch by micro-batch.

        An objective of the mean over windows is known only when all windows have been heard. Graphs of the first
        `graph_windows` windows are kept for the way back; further ones are heard again there, so memory does not grow
        with the clip."""
        self.ledger.before_look()
        rows = self.ledger.active.nonzero()[:, 0]
        heard, passes, seen, held = [], [], [], 0
        for transform in self.view.draws(self._looks):
            for number, model in enumerate(self.view.models):
                parts, way = [], []
                for piece in self.problem.pieces(rows, model, self.view.micro_batch, transform):
                    self.ledger.pause()
                    keep = graphs and held + piece.count <= model.graph_windows
                    held += piece.count if keep else 0
                    leaf = delta[piece.index].detach()
                    leaf.requires_grad_(keep)
                    with torch.set_grad_enabled(keep):
                        z, watched = self.view.hear(number, piece.windows(leaf))
                    way.append(_Pass(number, piece, leaf, z if keep else None))
                    parts.append(z.detach().to(delta.device))
                    if watched and transform is None:
                        seen.append(watched)
                joined = parts[0] if len(parts) == 1 else torch.cat(parts)
                heard.append(joined.view(len(rows), -1, joined.shape[-1]))
                passes.append(way)
        self._looks += 1
        labels, targets = self.problem.aims(rows)
        digests = tuple(torch.cat(of_probe) for of_probe in zip(*seen, strict=True))
        look = _Look(rows, labels, targets, heard, passes, digests)
        if look.only is not None:
            with torch.enable_grad():
                look.heard = [look.only.graph.to(delta.device).view_as(heard[0])]
        elif graphs:
            look.heard = [z.requires_grad_() for z in heard]
        return look

    def _back(self, look: _Look, delta: torch.Tensor, objectives: list[torch.Tensor]) -> list[torch.Tensor]:
        """∂/∂δ `(rows, n)` of each of C objectives, numbers that depend on `look.heard`; graphs are freed as they are used."""
        if look.only is not None:
            return self._straight_back(look.only, delta, objectives)
        slopes = [
            torch.autograd.grad(objective, look.heard, retain_graph=c + 1 < len(objectives))
            for c, objective in enumerate(objectives)
        ]
        gradients: list[torch.Tensor | None] = [None] * len(slopes)
        for place, way in enumerate(look.passes):
            flat = [of[place].flatten(0, 1) for of in slopes]
            first = 0
            for step in way:
                self.ledger.pause()
                leaf, graph, count = step.leaf, step.graph, step.piece.count
                if graph is None:
                    leaf = leaf.requires_grad_()
                    with torch.enable_grad():
                        graph, _ = self.view.hear(step.model, step.piece.windows(leaf))
                for c, slope in enumerate(flat):
                    part = slope[first : first + count].to(graph.device)
                    # As a product, not as `grad_outputs`: those make torch import its symbolic shapes, half a second at the
                    # first step.
                    (found,) = torch.autograd.grad((graph * part).sum(), leaf, retain_graph=c + 1 < len(flat))
                    if gradients[c] is None and found.shape == delta.shape:
                        gradients[c] = found
                        continue
                    if gradients[c] is None:
                        gradients[c] = torch.zeros_like(delta)
                    gradients[c][step.piece.index] += found
                step.graph = None
                first += count
        return [self.problem.direction(gradient) for gradient in gradients]

    def _straight_back(self, only: _Pass, delta: torch.Tensor, objectives: list[torch.Tensor]) -> list[torch.Tensor]:
        """The same where all was heard in one micro-batch: without a halt at its logits, which costs time."""
        self.ledger.pause()
        gradients = []
        for c, objective in enumerate(objectives):
            (found,) = torch.autograd.grad(objective, only.leaf, retain_graph=c + 1 < len(objectives))
            if found.shape != delta.shape:
                part, found = found, torch.zeros_like(delta)
                found[only.piece.index] = part
            gradients.append(self.problem.direction(found))
        return gradients

    def _track_logits(self, look: _Look, sharpness: float) -> list[torch.Tensor]:
        """For each transform, the track logits `(rows, K)` of all models together."""
        models = len(self.view.models)
        z = [self.view.track_logits(windows, look.labels, look.targets, sharpness) for windows in look.heard]
        return [self.view.together(z[first : first + models]) for first in range(0, len(z), models)]

    def _judged(self, look: _Look, z: list[torch.Tensor]) -> torch.Tensor:
        """The track logits that count, without a graph: those an objective saw, but with detectors at their word."""
        if not self.view.evade:
            return self._mean(z).detach()
        with torch.no_grad():
            return self._mean(self._track_logits(look, EXACT))

    def _said(self, look: _Look, judged: torch.Tensor) -> torch.Tensor:
        """What the models themselves say `(rows, K)`, whatever detectors make of it."""
        if not self.view.evade:
            return judged
        with torch.no_grad():
            return self._mean(
                [self.view.said(heard) for heard in look.heard]
            )  # one model: none can be evaded on several

    @staticmethod
    def _objective(objective: str | Objective, z: torch.Tensor, look: _Look) -> torch.Tensor:
        if not isinstance(objective, str):
            return objective(z, look.rows)
        return LOSSES[objective](z, look.labels, look.targets)

    @staticmethod
    def _mean(parts: list[torch.Tensor]) -> torch.Tensor:
        return parts[0] if len(parts) == 1 else torch.stack(parts).mean(0)
