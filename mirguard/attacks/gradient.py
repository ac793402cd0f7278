"""Attacks inside a fixed budget: noise (the baseline), one gradient step, many."""

from __future__ import annotations

from mirguard.attacks.oracle import Oracle


def noise(oracle: Oracle, *, restarts: int) -> None:
    """Random perturbation of full size ε: Gaussian (L2) or uniform (L∞), the best of `restarts` draws.

    The baseline every attack has to be read against (Prinz et al. 2021): white noise at the same SNR."""
    for _ in range(restarts):
        oracle.logits(oracle.problem.noise())


def fgsm(oracle: Oracle, *, loss: str) -> None:
    """δ = ε·sign(∇ₓJ(x, y)) (Goodfellow, Shlens & Szegedy 2015, §4); for L2, δ = ε·g/RMS(g) (Miyato et al. 2016's step)."""
    problem = oracle.problem
    oracle.plan(1)
    g = oracle.gradient(problem.zeros(), loss)
    oracle.logits(problem.project(-problem.epsilon[:, None] * problem.steepest(g)))


def pgd(oracle: Oracle, *, steps: int, step_size: float, restarts: int, random_start: bool, loss: str) -> None:
    """δ ← Π_ε(δ − α·s(∇J)), s = sign for L∞ and g/RMS(g) for L2 (Madry et al. 2018, eq. 4, with J descended).

    Starts at δ = 0 or, with `random_start` and for every restart after the first, at a random point of the ball."""
    problem = oracle.problem
    oracle.plan(steps * restarts)
    alpha = step_size * problem.scale[:, None]
    for restart in range(restarts):
        delta = problem.noise() if random_start or restart else problem.zeros()
        for _ in range(steps):
            g = oracle.gradient(delta, loss)
            delta = problem.project(delta - alpha * problem.steepest(g))
        oracle.logits(delta)
