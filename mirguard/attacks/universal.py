"""One perturbation for all sounds: Moosavi-Dezfooli et al. 2017's loop and Abdoli et al. 2019's penalty method.

v `(n,)` is one window at the model's rate. What is found for some windows is held to others, and to other models, by
`mirguard.experiment.universal`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import torch

from mirguard.attacks.ledger import Finished, Ledger
from mirguard.attacks.losses import margin
from mirguard.attacks.norms import NORMS
from mirguard.attacks.oracle import Objective, Oracle
from mirguard.attacks.problem import Batch
from mirguard.attacks.view import View

FADE = 0.005  # seconds at either end of v, so that its loop has no click

# What was done, of how much, and the fooling rate when last counted (or None).
Report = Callable[[int, int, float | None], None]


class Shared:
    """A set of windows `x (m, n)` that share one v: row i hears x_i + scale_i·v. The door to the model is the oracle's, as for
    every attack; a question about v is one about the rows of a mini-batch.

    `labels (m,)` are the classes to leave, `targets (m,)` or None those to reach; `epsilon` is ξ, the size of v at the most."""

    def __init__(
        self,
        x: torch.Tensor,
        scale: torch.Tensor,
        view: View,
        sample_rate: int,
        labels: torch.Tensor,
        targets: torch.Tensor | None,
        norm: str,
        epsilon: float,
        seed: int = 0,
        report: Report | None = None,
        cancel: threading.Event | None = None,
        rest: Callable[[], None] | None = None,
    ) -> None:
        self.x, self.scale, self.view, self.sample_rate = x, scale, view, sample_rate
        self.labels, self.targets = labels, targets
        self.norm, self.epsilon = NORMS[norm], epsilon
        self.generator = torch.Generator().manual_seed(seed)
        self.report = report or (lambda _done, _total, _rate: None)
        self._cancel, self._rest = cancel, rest
        self.taper = _taper(x.shape[1], round(FADE * sample_rate)).to(x.device)

    @property
    def size(self) -> int:
        return self.x.shape[1]

    def zeros(self) -> torch.Tensor:
        return torch.zeros(self.size, device=self.x.device)

    def shuffled(self) -> torch.Tensor:
        """The numbers of all rows in a fresh order."""
        return torch.randperm(len(self.x), generator=self.generator).to(self.x.device)

    def project(self, v: torch.Tensor) -> torch.Tensor:
        """v onto the ball of radius ξ."""
        return self.norm.project_(v[None].clone(), v.new_tensor([self.epsilon]))[0]

    def oracle(self, rows: torch.Tensor, v: torch.Tensor | None = None) -> Oracle:
        """The door to the model for some rows, each on its own: δ = 0 is the row itself or, with `v`, the row with v on it."""
        x, scale = self.x[rows], self.scale[rows]
        if v is not None:
            x = (x + scale[:, None] * v).clamp(-1.0, 1.0)
        targets = None if self.targets is None else self.targets[rows]
        unbounded = torch.full_like(scale, 2.0)
        problem = Batch(
            x, self.sample_rate, self.labels[rows], targets, self.norm.name, unbounded, 0, torch.ones_like(scale)
        )
        return Oracle(problem, self.view, Ledger(problem, stop_early=False, cancel=self._cancel, rest=self._rest))

    def delta(self, v: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """What v adds to each of the rows `(len(rows), n)`, clipped to full scale as a file would be."""
        x = self.x[rows]
        return (x + self.scale[rows, None] * v).clamp_(-1.0, 1.0).sub_(x)

    def fooled(self, v: torch.Tensor) -> torch.Tensor:
        """Which of all rows v fools `(m,)`, not only of the first mini-batch (as the code of Abdoli et al. has it)."""
        rows = torch.arange(len(self.x), device=self.x.device)
        return torch.cat([self.oracle(part).fooled(self.delta(v, part)) for part in rows.split(self.view.micro_batch)])

    def rate(self, v: torch.Tensor) -> float:
        return float(self.fooled(v).float().mean())

    def gradient(self, v: torch.Tensor, rows: torch.Tensor, objective: Objective) -> torch.Tensor:
        """∂/∂v `(n,)` of the objective's mean over the rows."""
        slopes = self.oracle(rows).gradient(self.delta(v, rows), objective)
        return (self.scale[rows, None] * slopes).mean(0)


def moosavi_dezfooli(
    shared: Shared, *, fooling_rate: float, passes: int, inner_steps: int, overshoot: float
) -> torch.Tensor:
    """For each x not yet fooled by v: v ← P_ξ(v + r), r the smallest perturbation that fools x + v (Moosavi-Dezfooli et al. 2017,
    algorithm 1), until `fooling_rate` (1 − δ) of all are fooled; the v that fooled most is returned.

    The order is drawn anew for each pass, and an r that does not fool after `inner_steps` is not used (as in the authors' code,
    whose number of steps is 10)."""
    v, done = shared.zeros(), 0
    best, most, total = v, 0.0, passes * len(shared.x)
    for _ in range(passes):
        for row in shared.shuffled().split(1):
            shared.report(done, total, most)
            done += 1
            if not bool(shared.oracle(row).fooled(shared.delta(v, row))):
                r = _smallest(shared.oracle(row, v), inner_steps, overshoot)
                if r is not None:
                    v = shared.project(v + shared.taper * r / shared.scale[row])
        rate = shared.rate(v)
        if rate > most:
            best, most = v, rate
        if most >= fooling_rate:
            break
    shared.report(total, total, most)
    return best


def _smallest(oracle: Oracle, steps: int, overshoot: float) -> torch.Tensor | None:
    """r `(n,)`, one row's step over the boundary of its strongest rival, repeated (DeepFool, Moosavi-Dezfooli et al. 2016, with
    that rival as the only candidate); None where `steps` do not suffice."""
    problem, ledger = oracle.problem, oracle.ledger
    delta = problem.zeros()

    def gap(z: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        targets = None if problem.targets is None else problem.targets[rows]
        return -margin(z, problem.labels[rows], targets)

    try:
        for _ in range(steps):
            g = oracle.gradient((1.0 + overshoot) * delta, gap)
            if bool(ledger.hit):
                return (1.0 + overshoot) * delta[0]
            f = gap(ledger.logits, torch.zeros(1, dtype=torch.long, device=problem.device)) + 1e-4
            s = problem.steepest(g)
            slope = (g * s).sum(1)
            if not float(slope) > 0.0:  # a flat place: there is no direction
                return None
            delta = delta - (f / slope)[:, None] * s
        hit = bool(oracle.fooled((1.0 + overshoot) * delta))
    except Finished:
        return None
    return (1.0 + overshoot) * delta[0] if hit else None


def abdoli(
    shared: Shared, *, epochs: int, batch: int, weight: float, kappa: float, learning_rate: float
) -> torch.Tensor:
    """min_v C·mean_i max(f(x_i + v), −κ) + 20·log10 RMS(v) by Adam in mini-batches (Abdoli et al. 2019, eq. 9 to 12), f the gap in
    logits that is left to the boundary; kept within ξ by projection. The v of the epoch that fooled most is returned.

    Each epoch's rate is counted over all rows. `learning_rate` is in parts of ξ."""
    # v = taper·u, so that Adam, which makes all samples' steps alike, leaves the ends silent.
    start = torch.randn(shared.size, generator=shared.generator).to(shared.x.device)
    u = 0.1 * shared.epsilon * start / start.abs().max()
    u.requires_grad_()
    adam = torch.optim.Adam([u], learning_rate * shared.epsilon, eps=1e-12)
    best, most, done, batches = None, -1.0, 0, math.ceil(len(shared.x) / batch)
    for epoch in range(epochs):
        # Steps that end by becoming small find a v between those that each mini-batch pulls to.
        for group in adam.param_groups:
            group["lr"] = learning_rate * shared.epsilon * 0.5 * (1.0 + math.cos(math.pi * epoch / epochs))
        for rows in shared.shuffled().split(batch):
            shared.report(done, epochs * batches, max(most, 0.0))
            done += 1
            v = (shared.taper * u).detach()
            slope = weight * shared.gradient(v, rows, _hinge(shared, rows, kappa))
            slope += 20.0 / math.log(10.0) * v / v.square().sum().clamp_min(1e-30)
            u.grad = shared.taper * slope
            adam.step()
            with torch.no_grad():
                u.copy_(shared.project(u))
        v = (shared.taper * u).detach()
        rate = shared.rate(v)
        if rate >= most:
            best, most = v, rate
    shared.report(done, done, most)
    return best


def _hinge(shared: Shared, members: torch.Tensor, kappa: float) -> Objective:
    """max(f, −κ) of the members of a mini-batch, f = −margin in logits."""
    labels = shared.labels[members]
    targets = None if shared.targets is None else shared.targets[members]

    def hinge(z: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return (-margin(z, labels[rows], None if targets is None else targets[rows])).clamp_min(-kappa)

    return hinge


def _taper(size: int, fade: int) -> torch.Tensor:
    """1, but 0 at both ends and rising from there as a half cosine over `fade` samples."""
    edge = torch.minimum(torch.arange(size), torch.arange(size).flip(0)) / max(1, min(fade, size // 16))
    return 0.5 - 0.5 * torch.cos(math.pi * edge.clamp_max(1.0))
