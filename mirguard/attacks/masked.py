"""A perturbation that the music hides."""

from __future__ import annotations

import torch

from mirguard.attacks.oracle import Oracle
from mirguard.channel.masking import UnderThreshold

LOUDER = 1.1  # how much longer each step gets until the model is fooled for the first time
RAISE, LOWER = 1.2, 0.8  # of α


def masked(
    oracle: Oracle,
    *,
    steps: int,
    step_size: float,
    alpha: float,
    raise_every: int,
    lower_every: int,
    floor: float,
    loss: str,
) -> None:
    """Under the masking threshold (Qin et al. 2019, §3.2): first any δ that fools, then min J(x + δ) + α·ℓ_θ(δ).

    ℓ_θ is half the squared distance to the sounds Θ that lie under the threshold, not their hinge on each bin's power: its proximal
    step is in closed form, δ ← (δ + α Π_Θ(δ)) / (1 + α), and gets there in tens of steps where theirs takes thousands. As
    theirs, α grows by 1.2 every `raise_every` looks that fool and shrinks by 0.8 every `lower_every` that do not; J is descended
    only while the model is not fooled. Of all δ that fool, the one with the smallest mean excess over the threshold counts."""
    problem = oracle.problem
    under = UnderThreshold(problem.sound, problem.sample_rate)
    oracle.minimise(under.excess)
    oracle.plan(steps)
    delta, weight = problem.zeros(), torch.full_like(problem.epsilon, alpha)
    step = eta = step_size * problem.scale
    hits, misses = torch.zeros_like(problem.labels), torch.zeros_like(problem.labels)
    for _ in range(steps):
        g = oracle.gradient(delta, loss)
        hit = oracle.ledger.hit
        hits += hit
        begun = hits > 0  # the second stage
        misses += begun & ~hit
        weight = torch.where(hit & (hits % raise_every == 0), weight * RAISE, weight)
        lower = begun & ~hit & (misses % lower_every == 0)
        weight = torch.where(lower, (weight * LOWER).clamp_min(floor), weight)
        delta = delta - torch.where(hit, 0.0, eta)[:, None] * problem.steepest(g)
        share = torch.where(begun, weight / (1.0 + weight), 0.0)[:, None]
        delta = problem.project(delta + share * (under.limit(delta) - delta) if bool(begun.any()) else delta)
        eta = torch.where(begun, step, eta * LOUDER)
        oracle.finish(oracle.ledger.best_size == 0.0)
    oracle.logits(delta)
