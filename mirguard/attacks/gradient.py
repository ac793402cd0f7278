"""Attacks inside a fixed budget: noise (the baseline), one gradient step, many."""

from __future__ import annotations

from mirguard.attacks.oracle import Oracle


def noise(oracle: Oracle, *, restarts: int) -> None:
    """Random perturbation of full size ε: Gaussian (L2), uniform (L∞) or Laplacian (L1), the best of `restarts` draws.

    The baseline every attack has to be read against (Prinz et al. 2021): white noise at the same SNR."""
    for _ in range(restarts):
        oracle.logits(oracle.problem.noise())


def fgsm(oracle: Oracle, *, loss: str) -> None:
    """δ = ε·sign(∇ₓJ(x, y)) (Goodfellow, Shlens & Szegedy 2015, §4); for L2, δ = ε·g/RMS(g) (Miyato et al. 2016's step)."""
    problem = oracle.problem
    oracle.plan(1)
    g = oracle.gradient(problem.zeros(), loss)
    oracle.logits(problem.project(-problem.epsilon[:, None] * problem.steepest(g)))


def bim(oracle: Oracle, *, steps: int, step_size: float, loss: str) -> None:
    """δ ← Clip_ε(δ − α·sign(∇J)) from δ = 0 (Kurakin, Goodfellow & Bengio 2017, eq. 2; towards the least likely class, eq. 3).

    Stopping at the first success is what Feinman et al. 2017 call BIM-A, going on to the last step BIM-B."""
    pgd(oracle, steps=steps, step_size=step_size, restarts=1, random_start=False, momentum=0.0, loss=loss)


def pgd(
    oracle: Oracle, *, steps: int, step_size: float, restarts: int, random_start: bool, momentum: float, loss: str
) -> None:
    """δ ← Π_ε(δ − α·s(v)), v = ∇J (Madry et al. 2018, eq. 4, with J descended) or with `momentum` v ← μv + ∇J/‖∇J‖₁ (Dong et al.
    2018, eq. 6); s is the norm's steepest direction: sign for L∞, g/RMS(g) for L2, the largest samples' signs for L1.

    Starts at δ = 0 or, with `random_start` and for every restart after the first, at a random point of the ball."""
    problem = oracle.problem
    oracle.plan(steps * restarts)
    alpha = step_size * problem.scale
    for restart in range(restarts):
        delta = problem.noise() if random_start or restart else problem.zeros()
        v = 0.0
        for _ in range(steps):
            g = oracle.gradient(delta, loss)
            v = momentum * v + g / g.abs().mean(1, keepdim=True).clamp_min(1e-37) if momentum else g
            delta = problem.project(problem.descend_(delta, v, alpha))
        oracle.logits(delta)
