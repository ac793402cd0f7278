"""Attacks that ask the model for its scores only, inside a fixed budget."""

from __future__ import annotations

from itertools import count

import torch

from mirguard.attacks.budget import L2, LINF
from mirguard.attacks.directions import directions
from mirguard.attacks.losses import LOSSES
from mirguard.attacks.norms import NORMS
from mirguard.attacks.oracle import Oracle
from mirguard.attacks.problem import Problem

EUCLIDEAN = NORMS[L2]


def nes(
    oracle: Oracle, *, step_size: float, samples: int, sigma: float, momentum: float, loss: str, subspace: str
) -> None:
    """g = Σ J(δ + σu)·u / (σN) over antithetic Gaussian pairs ±u (Ilyas et al. 2018, alg. 1), then δ ← Π_ε(δ − α·s(m)) with the
    momentum m of their implementation. σ is relative to ε; the probes stay in the ball too, so u is what is left of it there."""
    problem = oracle.problem
    alpha = step_size * problem.scale[:, None]
    delta, m = problem.zeros(), problem.zeros()
    while True:
        g = estimate(oracle, delta, samples, sigma, loss, subspace)
        m = momentum * m + (1.0 - momentum) * EUCLIDEAN.steepest(g)
        delta = problem.project(delta - alpha * problem.steepest(m))


def estimate(oracle: Oracle, delta: torch.Tensor, samples: int, sigma: float, loss: str, subspace: str) -> torch.Tensor:
    """∂J/∂δ `(rows, n)` but for its length, from `samples` questions; no more than one pair of them is held."""
    problem = oracle.problem
    g = problem.zeros()
    for _ in range(max(1, samples // 2)):
        u = sigma * problem.epsilon[:, None] * directions(problem, subspace, delta)
        ahead, behind = problem.project(delta + u), problem.project(delta - u)
        rise = _loss(oracle, ahead, loss) - _loss(oracle, behind, loss)
        g += rise[:, None] * (ahead - behind)
    return g


def square(oracle: Oracle, *, share: float, subspace: str) -> None:
    """Random search (Andriushchenko et al. 2020, alg. 1): change one segment of δ, keep it if the margin falls.

    Their squares are segments of time here, of the share p of the sound that falls with the queries by their schedule, and
    every candidate is of full size ε. In a segment a new random direction at full size (L∞: its sign, so that every sample
    lies on ±ε as theirs do; L2: at the RMS of what it takes the place of, or more) takes the place of what was there."""
    problem = oracle.problem
    limit = oracle.ledger.max_queries or 10_000
    delta = _full(problem, directions(problem, subspace, problem.zeros()))
    best = _loss(oracle, delta, "margin")
    place = torch.arange(problem.size, device=problem.device)
    for query in count(1):
        length = max(1, round(_share(share, query / limit) * problem.size))
        first = torch.tensor(
            [float(torch.rand((), generator=generator)) for generator in problem.generators], device=problem.device
        )
        first = (first * (problem.size - length + 1)).long()[:, None]
        inside = (place >= first) & (place < first + length)
        fresh = directions(problem, subspace, delta)
        if problem.norm.name == LINF:
            candidate = _full(problem, torch.where(inside, fresh, delta))
        else:
            candidate = _full(problem, delta + problem.epsilon[:, None] * torch.where(inside, fresh, 0.0))
        found = _loss(oracle, candidate, "margin")
        better = found < best
        best = torch.where(better, found, best)
        delta = torch.where(better[:, None], candidate, delta)


def _share(share: float, spent: float) -> float:
    """Their schedule of p (§4.1): halved when 0.1, 0.5, 2, 10, 20, 40, 60 and 80 % of the queries are spent."""
    return share * 0.5 ** sum(spent > part for part in (0.001, 0.005, 0.02, 0.1, 0.2, 0.4, 0.6, 0.8))


def _full(problem: Problem, delta: torch.Tensor) -> torch.Tensor:
    """δ at full size ε; for L∞ every sample is."""
    return problem.project(problem.epsilon[:, None] * problem.steepest(delta))


def _loss(oracle: Oracle, delta: torch.Tensor, loss: str) -> torch.Tensor:
    return LOSSES[loss](oracle.logits(delta), oracle.problem.labels, oracle.problem.targets)
