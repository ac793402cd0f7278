"""Carlini & Wagner 2017: the smallest perturbation by gradient descent on distance + c·f, f a hinge on the logits.

Their settings are for images of ten thousand steps. Here the first gradient tells how far the boundary is if the model were
linear, and from that follow step size and first c, for each clip its own: waveforms need no more than some dozen steps.
"""

from __future__ import annotations

import math

import torch

from mirguard.attacks.losses import margin
from mirguard.attacks.oracle import Objective, Oracle

INSET = (1e-6, 0.1)  # least and most that samples at the edge of the box start within it, as a part of its half width
PATIENCE = 20  # looks without any success after which c grows
LARGER, FURTHER = 5.0, 2.0  # how much c and the estimated distance grow then
BETA_1, BETA_2 = 0.9, 0.999  # Adam's


def cw_l2(oracle: Oracle, *, searches: int, steps: int, step_size: float) -> None:
    """min Σδ² + c·f(x + δ), δ = (u + l)/2 + (u − l)/2·tanh(w) in its box [l, u] (§VI-A), c by binary search (§V-B).

    A search that fools makes c smaller, one that does not makes it larger; each begins where the last one ended. As long as
    nothing has fooled at all, a search is not let run to its end: c and the steps grow on the way."""
    problem, ledger, f = oracle.problem, oracle.ledger, hinge(oracle)
    oracle.minimise()
    oracle.plan(1 + searches * steps)
    n = problem.size
    slope, gap = _linearised(oracle, f)
    distance = gap / slope.square().sum(1).sqrt().clamp_min(1e-20)  # ‖δ‖₂ to the boundary of a linear model
    c = 2.0 * distance / slope.square().sum(1).sqrt().clamp_min(1e-20)  # where 2δ + c∇f = 0 there
    low, high = torch.zeros_like(c), torch.full_like(c, torch.inf)
    w, pace = _start(problem, distance / math.sqrt(n))
    for search in range(searches):
        adam, fooled = Adam(w), torch.zeros_like(ledger.hit)
        size = torch.minimum(distance / math.sqrt(n), ledger.best_size) * step_size / 2**search
        for step in range(steps):
            delta, slant = _in_box(problem, w)
            g = oracle.gradient(delta, f)
            fooled |= ledger.hit
            if (step + 1) % PATIENCE == 0:
                never = ledger.best_size.isinf()
                further = torch.where(never, FURTHER, 1.0)
                c, distance, size = torch.where(never, LARGER * c, c), distance * further, size * further
            rate = size * (0.01 + 0.5 * (1.0 + math.cos(math.pi * step / steps)))
            w = w - rate[:, None] * pace * adam((2.0 * delta + c[:, None] * g) * slant)
        high, low = torch.where(fooled, c, high), torch.where(fooled, low, c)
        distance = torch.where(high.isinf(), 3.0 * distance, distance)
        c = torch.where(high.isinf(), 10.0 * c, torch.where(low == 0, c / 2.0, (low * high).sqrt()))


def cw_linf(oracle: Oracle, *, steps: int, patience: int, step_size: float) -> None:
    """min Σ max(|δ| − τ, 0) + c·f(x + δ) with a threshold τ that shrinks (§VI-C): τ ← 0.9·min(τ, max|δ|) when the model is fooled.

    What the model is asked about is δ clipped to ±τ, the penalty at full weight, so that no sample's last wobble counts. After
    `patience` looks without success τ goes back half the way to the best found, shrinks more finely from there, and c doubles."""
    problem, ledger, f = oracle.problem, oracle.ledger, hinge(oracle)
    oracle.minimise()
    oracle.plan(1 + steps)
    slope, gap = _linearised(oracle, f)
    steepness = slope.abs().sum(1).clamp_min(1e-20)
    tau = 2.0 * gap / steepness  # twice max|δ| to the boundary of a linear model
    c = 0.5 * problem.size / steepness  # half of the samples' slopes balance what pulls them back to τ
    shrink, waited = torch.full_like(tau, 0.9), torch.zeros_like(tau)
    w, pace = _start(problem, gap / steepness)
    adam = Adam(w)
    for step in range(steps):
        delta, slant = _in_box(problem, w)
        beyond = delta.sign() * (delta.abs() > tau[:, None])
        g = oracle.gradient(problem.project(delta.clamp(-tau[:, None], tau[:, None])), f)
        better = ledger.hit
        tau = torch.where(better, shrink * torch.minimum(tau, ledger.best_size), tau)
        waited = torch.where(better, 0.0, waited + 1.0)
        late = waited >= patience
        best = torch.where(ledger.best_size.isinf(), 4.0 * tau, ledger.best_size)
        tau, shrink = torch.where(late, (tau * best).sqrt(), tau), torch.where(late, shrink.sqrt(), shrink)
        c, waited = torch.where(late, 2.0 * c, c), torch.where(late, 0.0, waited)
        rate = step_size * tau * (0.05 + 0.5 * (1.0 + math.cos(math.pi * step / steps)))
        w = w - rate[:, None] * pace * adam((beyond + c[:, None] * g) * slant)


def hinge(oracle: Oracle) -> Objective:
    """f(x) = max(max_{i≠t} Z_i − Z_t, −κ) + κ on logits Z (their f₆), untargeted max(Z_y − max_{i≠y} Z_i, −κ) + κ; κ is the
    confidence."""
    problem, kappa = oracle.problem, oracle.ledger.confidence

    def f(z: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        targets = None if problem.targets is None else problem.targets[rows]
        return (kappa - margin(z, problem.labels[rows], targets)).clamp_min(0.0)

    return f


class Adam:
    """Kingma & Ba 2015, written out: state by row, no parameters, started anew for each search."""

    def __init__(self, like: torch.Tensor) -> None:
        self.m, self.v, self.t = torch.zeros_like(like), torch.zeros_like(like), 0

    def __call__(self, g: torch.Tensor) -> torch.Tensor:
        """The step, of size about 1 in every sample."""
        self.t += 1
        self.m.lerp_(g, 1.0 - BETA_1)
        self.v.lerp_(g.square(), 1.0 - BETA_2)
        return (self.m / (1.0 - BETA_1**self.t)) / ((self.v / (1.0 - BETA_2**self.t)).sqrt() + 1e-20)


def _linearised(oracle: Oracle, f: Objective) -> tuple[torch.Tensor, torch.Tensor]:
    """∇f `(rows, n)` and f `(rows,)` at the clip itself."""
    slope = oracle.gradient(oracle.problem.zeros(), f)
    return slope, (oracle.ledger.confidence - oracle.ledger.best_margin).clamp_min(1e-6)


def _in_box(problem, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """δ(w) and ∂δ/∂w."""
    middle, half, t = (problem.upper + problem.lower) / 2.0, (problem.upper - problem.lower) / 2.0, torch.tanh(w)
    return problem.project(middle + half * t), half * (1.0 - t.square())


def _start(problem, inset: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """w of δ = 0, and how much faster than δ it must move there. Samples at the very edge of the box would have no slope: they
    start `inset (rows,)` within, about as far as they will have to go."""
    middle, half = (problem.upper + problem.lower) / 2.0, ((problem.upper - problem.lower) / 2.0).clamp_min(1e-12)
    most = 1.0 - (inset[:, None] / half).clamp(*INSET)
    t = torch.clamp(-middle / half, -most, most)
    return torch.atanh(t), 1.0 / (1.0 - t.square())
