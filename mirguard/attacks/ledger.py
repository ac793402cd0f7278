"""What an attack has spent and found: queries per row, each row's best candidate, the trace; progress and cancellation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from mirguard.attacks.losses import margin
from mirguard.attacks.problem import Problem
from mirguard.errors import Cancelled


@dataclass(frozen=True)
class Step:
    """What one look at the model brought, as handed to `progress`; tensors are the attack's own: copy what you keep."""

    gradients: int
    total: int | None  # gradients the attack will take at the most
    loss: torch.Tensor  # (rows,)
    margin: torch.Tensor
    snr_db: torch.Tensor
    success: torch.Tensor
    logits: torch.Tensor  # track logits (rows, K)
    delta: torch.Tensor  # (rows, n), the candidate just judged
    best: torch.Tensor
    features: torch.Tensor | None  # the watched layer (rows·windows, d)
    seconds: float


class Ledger:
    """Judges every candidate the oracle evaluates. A row is finished when it is fooled by at least `confidence` (in logits)
    and the attack is to stop there; finished rows leave the batch."""

    def __init__(
        self,
        problem: Problem,
        *,
        confidence: float = 0.0,
        stop_early: bool = True,
        max_gradients: int | None = None,
        progress: Callable[[Step], None] | None = None,
        cancel: threading.Event | None = None,
        rest: Callable[[], None] | None = None,
    ) -> None:
        self.problem, self.confidence, self.stop_early = problem, confidence, stop_early
        self.max_gradients, self.total = max_gradients, None
        self._progress, self._cancel, self._rest = progress, cancel, rest
        rows, device = problem.rows, problem.device
        self.active = torch.ones(rows, dtype=torch.bool, device=device)
        self.forwards = torch.zeros(rows, dtype=torch.long, device=device)
        self.gradients = torch.zeros(rows, dtype=torch.long, device=device)
        self.best = problem.zeros()
        self.best_margin = torch.full((rows,), -torch.inf, device=device)
        self.success = torch.zeros(rows, dtype=torch.bool, device=device)
        self.logits: torch.Tensor | None = None  # of the latest candidate (rows, K)
        self.best_logits: torch.Tensor | None = None
        self.trace: dict[str, list[torch.Tensor]] = {"loss": [], "margin": [], "snr_db": []}
        self._began = time.perf_counter()

    def pause(self) -> None:
        """A point of rest between micro-batches: somebody else may run, or ask for the end."""
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled
        if self._rest is not None:
            self._rest()

    def before_gradient(self) -> None:
        if self.max_gradients is not None and int(self.gradients.max()) >= self.max_gradients:
            raise Cancelled

    def record(
        self,
        rows: torch.Tensor,
        delta: torch.Tensor,
        z: torch.Tensor,
        loss: torch.Tensor | None,
        features: torch.Tensor | None,
    ) -> None:
        """Judge the candidates `delta[rows]` by their track logits `z (len(rows), K)`."""
        problem = self.problem
        if len(rows) == problem.rows:
            rows = slice(None)  # the same rows without copies of them
        self.forwards[rows] += 1
        if loss is not None:
            self.gradients[rows] += 1
        if self.logits is None:
            self.logits = torch.full((problem.rows, z.shape[1]), torch.nan, device=problem.device)
            self.best_logits = self.logits.clone()
        self.logits[rows] = z
        targets = None if problem.targets is None else problem.targets[rows]
        gap = margin(z, problem.labels[rows], targets)
        better = torch.zeros_like(self.success)
        better[rows] = gap > self.best_margin[rows]
        torch.where(better[:, None], delta, self.best, out=self.best)
        torch.where(better[:, None], self.logits, self.best_logits, out=self.best_logits)
        self.best_margin[rows] = torch.fmax(gap, self.best_margin[rows])
        self.success[rows] |= gap > 0
        if self.stop_early:
            self.active[rows] &= ~((gap > 0) & (gap >= self.confidence))
        self._note(rows, delta, loss, gap, features)

    def _note(
        self,
        rows: torch.Tensor,
        delta: torch.Tensor,
        loss: torch.Tensor | None,
        gap: torch.Tensor,
        features: torch.Tensor | None,
    ) -> None:
        snr = self.problem.snr_db(delta[rows], rows)
        for name, values in (("loss", loss), ("margin", gap), ("snr_db", snr)):
            line = torch.full((self.problem.rows,), torch.nan, device=self.problem.device)
            if values is not None:
                line[rows] = values
            self.trace[name].append(line)
        if self._progress is not None:
            latest = {name: lines[-1] for name, lines in self.trace.items()}
            self._progress(
                Step(
                    gradients=int(self.gradients.max()),
                    total=self.total,
                    success=self.success,
                    logits=self.logits,
                    delta=delta,
                    best=self.best,
                    features=features,
                    seconds=time.perf_counter() - self._began,
                    **latest,
                )
            )
