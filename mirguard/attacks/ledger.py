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

# δ of some rows (m, n) and their numbers (m,) -> how large each is, (m,).
Measure = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Finished(Exception):
    """Nothing is left to compute: every row is fooled well enough, given up, or out of queries."""


@dataclass(frozen=True)
class Step:
    """What one look at the model brought, as handed to `progress`; tensors are the attack's own: copy what you keep."""

    gradients: int
    forwards: int
    total: int | None  # gradients the attack will take at the most
    loss: torch.Tensor  # (rows,)
    margin: torch.Tensor
    snr_db: torch.Tensor
    success: torch.Tensor
    logits: torch.Tensor  # track logits (rows, K)
    delta: torch.Tensor  # (rows, n), the candidate just judged
    best: torch.Tensor
    seen: tuple[torch.Tensor, ...]  # what each watching probe made of the windows (rows·windows, d)
    seconds: float


class Ledger:
    """Judges every candidate the oracle evaluates. A row is finished when it is fooled by at least `confidence` (in logits)
    and the attack is to stop there; finished rows leave the batch.

    Of each row the candidate with the largest margin is kept or, after `minimise`, the smallest of those that fool by at
    least `confidence`; then candidates larger than ε may be asked about but do not count."""

    def __init__(
        self,
        problem: Problem,
        *,
        confidence: float = 0.0,
        stop_early: bool = True,
        max_gradients: int | None = None,
        max_queries: int | None = None,
        progress: Callable[[Step], None] | None = None,
        cancel: threading.Event | None = None,
        rest: Callable[[], None] | None = None,
    ) -> None:
        self.problem, self.confidence, self.stop_early = problem, confidence, stop_early
        self.max_gradients, self.max_queries, self.total = max_gradients, max_queries, None
        self._progress, self._cancel, self._rest = progress, cancel, rest
        rows, device = problem.rows, problem.device
        self.active = torch.ones(rows, dtype=torch.bool, device=device)
        self.forwards = torch.zeros(rows, dtype=torch.long, device=device)
        self.gradients = torch.zeros(rows, dtype=torch.long, device=device)
        self.best = problem.zeros()
        self.best_margin = torch.full((rows,), -torch.inf, device=device)
        self.best_size = torch.full((rows,), torch.inf, device=device)
        self.hit = torch.zeros(rows, dtype=torch.bool, device=device)  # the latest candidate fools by `confidence`
        self.logits: torch.Tensor | None = None  # of the latest candidate (rows, K)
        self.said: torch.Tensor | None = None  # by the model itself
        self.best_logits: torch.Tensor | None = None  # the same, of the best candidate
        self.trace: dict[str, list[torch.Tensor]] = {"loss": [], "margin": [], "snr_db": []}
        self._measure: Measure | None = None
        self._most_forwards = self._most_gradients = 0  # of any row, on the host
        self._began = time.perf_counter()

    @property
    def success(self) -> torch.Tensor:
        """Whether a candidate of the row that counts has fooled `(rows,)`: the best one does, if any."""
        return self.best_margin > 0

    def minimise(self, measure: Measure) -> None:
        self._measure, self.stop_early = measure, False

    def pause(self) -> None:
        """A point of rest between micro-batches: somebody else may run, or ask for the end."""
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled
        if self._rest is not None:
            self._rest()

    def before_look(self) -> None:
        if self.max_queries is not None and self._most_forwards >= self.max_queries:
            self.active &= self.forwards < self.max_queries
        if not bool(self.active.any()):
            raise Finished

    def asked(self, row: int, questions: int) -> None:
        """Count so many questions of a row that are no candidates, before they are put. A question is one sound: a whole track or
        a single window."""
        self.pause()
        count = int(self.forwards[row]) + questions
        if self.max_queries is not None and count > self.max_queries:
            raise Finished
        self.forwards[row] = count
        self._most_forwards = max(self._most_forwards, count)

    def before_gradient(self) -> None:
        if self.max_gradients is not None and self._most_gradients >= self.max_gradients:
            raise Cancelled

    def record(
        self,
        rows: torch.Tensor,
        delta: torch.Tensor,
        z: torch.Tensor,
        said: torch.Tensor,
        loss: torch.Tensor | None,
        seen: tuple[torch.Tensor, ...],
        gradients: int,
    ) -> None:
        """Judge the candidates `delta[rows]` by their track logits `z (len(rows), K)`, for which so many
        gradients were taken. What the model itself says of them is `said`: not `z` where detectors are to be evaded."""
        problem = self.problem
        labels, targets = problem.aims(rows)
        if len(rows) == problem.rows:
            rows = slice(None)  # the same rows without copies of them
        self.forwards[rows] += 1
        self._most_forwards += 1
        if gradients:
            self.gradients[rows] += gradients
            self._most_gradients += gradients
        if self.logits is None:
            self.logits = torch.full((problem.rows, z.shape[1]), torch.nan, device=problem.device)
            self.said = self.logits if said is z else self.logits.clone()
            self.best_logits = self.logits.clone()
        self.logits[rows], self.said[rows] = z, said
        judged = delta[rows]
        gap = margin(z, labels, targets)
        hit = gap >= self.confidence if self.confidence > 0 else gap > 0
        self.hit[rows] = hit
        if self._measure is None:
            self._keep(rows, judged, said, gap, hit)
        else:
            inside = problem.norm.size(judged) <= problem.epsilon[rows] * (1.0 + 1e-6)
            self._keep(rows, judged, said, torch.where(inside, gap, -torch.inf), hit & inside)
        if self.stop_early:
            self.active[rows] &= ~hit
        self._note(rows, delta, judged, loss, gap, seen)

    def _keep(
        self, rows: torch.Tensor | slice, judged: torch.Tensor, said: torch.Tensor, gap: torch.Tensor, hit: torch.Tensor
    ) -> None:
        if self._measure is None:
            better = gap > self.best_margin[rows]
        else:
            numbers = torch.arange(self.problem.rows, device=self.problem.device)[rows]
            size = torch.where(hit, self._measure(judged, numbers), torch.inf)
            none_yet = self.best_size[rows].isinf()
            better = torch.where(hit, size < self.best_size[rows], none_yet & (gap > self.best_margin[rows]))
            self.best_size[rows] = torch.minimum(size, self.best_size[rows])
        every = bool(better.all())  # as while an attack grows
        chosen = slice(None) if every else better.nonzero()[:, 0]
        places = rows if every else torch.arange(self.problem.rows, device=self.problem.device)[rows][chosen]
        for kept, new in ((self.best, judged), (self.best_logits, said), (self.best_margin, gap)):
            kept[places] = new[chosen]

    def _note(
        self,
        rows: torch.Tensor | slice,
        delta: torch.Tensor,
        judged: torch.Tensor,
        loss: torch.Tensor | None,
        gap: torch.Tensor,
        seen: tuple[torch.Tensor, ...],
    ) -> None:
        snr = self.problem.snr_db(judged, rows)
        for name, values in (("loss", loss), ("margin", gap), ("snr_db", snr)):
            if values is None or not isinstance(rows, slice):
                line = torch.full((self.problem.rows,), torch.nan, device=self.problem.device)
                if values is not None:
                    line[rows] = values
                values = line
            self.trace[name].append(values)
        if self._progress is not None:
            latest = {name: lines[-1] for name, lines in self.trace.items()}
            self._progress(
                Step(
                    gradients=self._most_gradients,
                    forwards=self._most_forwards,
                    total=self.total,
                    success=self.success,
                    logits=self.said,
                    delta=delta,
                    best=self.best,
                    seen=seen,
                    seconds=time.perf_counter() - self._began,
                    **latest,
                )
            )
