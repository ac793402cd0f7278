"""Box-constrained L-BFGS (Szegedy et al. 2014, §4.1): the smallest c whose minimiser of |δ|² + c·loss(x + δ) fools the model."""

from __future__ import annotations

import torch

from mirguard.attacks.oracle import Oracle

HISTORY = 8  # pairs (s, y) that stand for the curvature
ARMIJO = 1e-4


def lbfgs(oracle: Oracle, *, initial_c: float, searches: int, steps: int) -> None:
    """min_δ D(δ) + c·J(x + δ), x + δ in the box, D = Σδ²/Σx²: c goes up or down tenfold until it is bracketed, then is bisected.

    J = CE(z, t) or, untargeted, the same towards all other labels together, −log(1 − p_y), which is bounded from below (with −CE
    a large c has no minimiser). Szegedy et al. weigh |δ| by c; the weight is here on the loss, as in Carlini & Wagner's account
    of the attack, which is the same line of minimisers. Subramanian et al. 2019 ran this on waveforms end to end."""
    problem = oracle.problem
    oracle.minimise()
    oracle.plan(searches * steps)
    rows, device = problem.rows, problem.device
    energy = problem.sound.square().sum(1).clamp_min(1e-6 * problem.size)  # for silence, that of -60 dB
    c = torch.full((rows,), initial_c, device=device)
    low, high = torch.zeros_like(c), torch.full_like(c, torch.inf)
    delta = problem.zeros()
    for _ in range(searches):
        fooled, delta = _minimise(oracle, delta, c, energy, steps)
        high, low = torch.where(fooled, c, high), torch.where(fooled, low, c)
        c = torch.where(high.isinf(), 10.0 * c, torch.where(low == 0, c / 10.0, (low * high).sqrt()))


def _minimise(
    oracle: Oracle, delta: torch.Tensor, c: torch.Tensor, energy: torch.Tensor, steps: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Projected L-BFGS with backtracking for all rows in step: each look is for each row either a step or a shorter try at one.

    Returns whether the row was fooled where it ended, and where that is."""
    problem, values = oracle.problem, torch.zeros_like(c)

    def evaluate(at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        def objective(z: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            loss = _loss(z, problem.labels[rows], None if problem.targets is None else problem.targets[rows])
            values[rows] = loss.detach()
            return loss

        gradient = oracle.gradient(at, objective)
        return at.square().sum(1) / energy + c * values, 2.0 * at / energy[:, None] + c[:, None] * gradient

    f, g = evaluate(delta)
    fooled = oracle.ledger.hit.clone()
    history: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    step = torch.ones_like(f)
    direction = _descent(problem, delta, g, history, energy)
    for _ in range(steps - 1):
        trial = problem.project(delta + step[:, None] * direction)
        f_trial, g_trial = evaluate(trial)
        good = f_trial <= f + ARMIJO * (g * (trial - delta)).sum(1)
        s = torch.where(good[:, None], trial - delta, 0.0)
        y = torch.where(good[:, None], g_trial - g, 0.0)
        curvature = (s * y).sum(1)
        history.append((s, y, torch.where(curvature > 0, 1.0 / curvature.clamp_min(1e-30), 0.0)))
        del history[:-HISTORY]
        delta, g = torch.where(good[:, None], trial, delta), torch.where(good[:, None], g_trial, g)
        f, fooled = torch.where(good, f_trial, f), torch.where(good, oracle.ledger.hit, fooled)
        step = torch.where(good, 1.0, step / 4.0)
        direction = torch.where(good[:, None], _descent(problem, delta, g, history, energy), direction)
    return fooled, delta


def _descent(problem, delta: torch.Tensor, g: torch.Tensor, history: list, energy: torch.Tensor) -> torch.Tensor:
    """−H·g by the two-loop recursion (Nocedal & Wright 2006, alg. 7.4), on the samples that the box leaves free."""
    free = ~(((delta <= problem.lower) & (g > 0)) | ((delta >= problem.upper) & (g < 0)))
    q, alphas = g * free, []
    for s, y, rho in reversed(history):
        alpha = rho * (s * q).sum(1)
        q = q - alpha[:, None] * y
        alphas.append(alpha)
    # Without history the curvature is that of D: one step goes where D alone would balance the slope of the loss.
    scale = energy / 2.0
    for _s, y, rho in history:
        scale = torch.where(rho > 0, 1.0 / (rho * y.square().sum(1)).clamp_min(1e-30), scale)
    q = q * scale[:, None]
    for (s, y, rho), alpha in zip(history, reversed(alphas), strict=True):
        q = q + (alpha - rho * (y * q).sum(1))[:, None] * s
    return -q * free


def _loss(z: torch.Tensor, labels: torch.Tensor, targets: torch.Tensor | None) -> torch.Tensor:
    if targets is not None:
        return torch.nn.functional.cross_entropy(z, targets, reduction="none")
    others = z.scatter(1, labels[:, None], -torch.inf)
    return torch.logsumexp(z, 1) - torch.logsumexp(others, 1)
