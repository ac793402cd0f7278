"""A perturbation that short-time spectra of many sizes do not show."""

from __future__ import annotations

from mirguard.attacks.oracle import Oracle
from mirguard.channel.multiscale import MultiscaleDistance

BETA_1, BETA_2 = 0.9, 0.999


def multiscale_cw(oracle: Oracle, *, steps: int, step_size: float, alpha: float, loss: str) -> None:
    """min Σ_sizes mean|S − S'| + mean|log S − log S'| + α·J(x + δ), |δ| ≤ ε (Prinz, Flexer & Widmer 2021, multi-scale C&W).

    As theirs, the sign of the gradient goes into Adam (Kingma & Ba 2015) and the first success ends it."""
    problem = oracle.problem
    distance = MultiscaleDistance(problem.sound)
    oracle.plan(steps)
    eta = step_size * problem.scale[:, None]
    delta, mean, square = problem.zeros(), problem.zeros(), problem.zeros()
    for k in range(1, steps + 1):
        g = problem.direction(alpha * oracle.gradient(delta, loss) + distance.gradient(delta)).sign()
        mean = BETA_1 * mean + (1 - BETA_1) * g
        square = BETA_2 * square + (1 - BETA_2) * g.square()
        delta = delta - eta * (mean / (1 - BETA_1**k)) / ((square / (1 - BETA_2**k)).sqrt() + 1e-8)
        delta = problem.project(delta)
    oracle.logits(delta)
