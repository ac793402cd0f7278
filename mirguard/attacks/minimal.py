"""Our own search for the smallest perturbation, for L2 and L∞: what to reach for when nothing else is asked.

It joins the distance estimate of DeepFool (Moosavi-Dezfooli et al. 2016, §3), the landing on the linearised boundary of FAB
(Croce & Hein 2020, §2) and the shrinking sphere with decaying steps of DDN (Rony et al. 2019) and FMN (Pintor et al. 2021). Every
length is relative to ‖δ‖ or to the estimated distance: nothing is tuned to images.
"""

from __future__ import annotations

import math

import torch

from mirguard.attacks.budget import L2
from mirguard.attacks.losses import margin
from mirguard.attacks.norms import NORMS
from mirguard.attacks.oracle import Oracle

DESCENT = 40  # gradients from one start
FAR = (5.0, 2.0)  # where further descents start, over the smallest size so far
OUTWARDS = 3  # gradients on the way there
MOST_CANDIDATES = 4  # classes looked at from the start
BISECTIONS = 6  # looks without a gradient


def minimal(oracle: Oracle, *, steps: int) -> None:
    """min_δ ‖δ‖ so that f(x + δ) ≥ 0, x + δ in the box; f is the margin less the confidence that is asked for.

    At δ, with g = ∇f, the boundary is nearly {δ': g·δ' = g·δ − f}. δ turns by α‖δ‖·g/‖g‖ and is laid onto the sphere (for L∞
    clipped to the cube) of the radius where that boundary is met, made the share ω larger to land beyond it: about every second
    candidate fools. α and ω fall as a cosine (but ω = 0.1 until a row is fooled). The optimum of a linear model in a box, Π(rg)
    or Π(r·sign g), is a fixed point.

    Such a descent ends in a local minimum. With 80 or more steps there is a second, with 120 a third, from points far beyond the
    boundary (along the cross-entropy, which sees all classes) brought back to it. Each ends with a bisection on the ray of δ."""
    oracle.minimise()
    oracle.plan(steps)
    delta, taken = first_step(oracle, max(1, steps // 10))
    descents = min(1 + len(FAR), max(1, steps // DESCENT))
    for number in range(descents):
        count = steps // descents + (number < steps % descents)
        if number:
            delta, taken = _far(oracle, delta, FAR[number - 1]), OUTWARDS
        for step in range(taken, count):
            decay = (1.0 + math.cos(math.pi * step / count)) / 2.0
            g = -oracle.gradient(delta, "margin")
            delta = turn(oracle, delta, g, alpha=0.05 + 0.95 * decay, omega=0.002 + 0.028 * decay)
        _bisect(oracle, delta, 0.9)


def first_step(oracle: Oracle, candidates: int) -> tuple[torch.Tensor, int]:
    """DeepFool's step from 0 to the nearest of the `candidates` likeliest classes, and the gradients it took.

    With a target, from the likeliest to that. Where nothing changes the logits, as at silence, a little noise breaks the tie."""
    problem, ledger = oracle.problem, oracle.ledger
    z = oracle.logits(problem.zeros())
    oracle.finish(ledger.hit)  # nothing is smaller than nothing
    own, sign = (problem.labels, 1.0) if problem.targets is None else (problem.targets, -1.0)
    candidates = min(candidates, MOST_CANDIDATES, z.shape[1] - 1) if problem.targets is None else 1
    others = z.scatter(1, own[:, None], -torch.inf).topk(candidates, 1).indices
    z, slopes = oracle.jacobian(problem.zeros(), torch.cat([own[:, None], others], 1))
    gaps = sign * (z.gather(1, others) - z.gather(1, own[:, None])) - ledger.confidence
    nearest, delta = torch.full_like(gaps[:, 0], torch.inf), 0.01 * problem.noise()
    for k in range(candidates):
        w = sign * (slopes[k + 1] - slopes[0])
        s = problem.steepest(w)
        slope = (w * s).sum(1)
        distance = torch.where(slope > 0, -gaps[:, k] / slope, torch.inf)
        nearer = distance < nearest
        nearest = torch.where(nearer, distance, nearest)
        delta = torch.where(nearer[:, None], 1.03 * torch.minimum(distance, problem.epsilon)[:, None] * s, delta)
    return problem.project(delta), candidates + 1


def turn(oracle: Oracle, delta: torch.Tensor, g: torch.Tensor, alpha: float, omega: float) -> torch.Tensor:
    """δ, where the margin was heard last, turned towards its gradient g by α and laid where the linearised boundary is met,
    (1 + ω) times as large."""
    problem, norm = oracle.problem, oracle.problem.norm
    f = margin(oracle.ledger.logits, problem.labels, problem.targets) - oracle.ledger.confidence
    size, b = norm.size(delta), (g * delta).sum(1) - f
    turned = delta + alpha * size[:, None] * NORMS[L2].steepest(g)

    def laid(radius: torch.Tensor) -> torch.Tensor:
        within = radius.clamp(size / 2.0, 2.0 * size)  # far from δ the linearisation says little
        return norm.project_(turned.clone(), within).clamp_(problem.lower, problem.upper)

    # g·laid(r) = b by one step of Newton from the radius as it is, with the slope of the steepest direction, then one secant.
    radius, met = size, (g * laid(size)).sum(1)
    slope = (g * problem.steepest(g)).sum(1)
    for _ in range(2):
        further = radius + torch.where(slope > 0, (b - met) / slope, 0.0)
        further = further.clamp(size / 2.0, 2.0 * size)
        now = (g * laid(further)).sum(1)
        steep = (now - met) / (further - radius)
        radius, met, slope = further, now, torch.where(steep.isfinite() & (steep > 0.2 * slope), steep, slope)
    omega = torch.where(oracle.ledger.best_size.isinf(), 0.1, omega)
    return problem.project(laid(radius * (1.0 + omega)))


def _far(oracle: Oracle, delta: torch.Tensor, factor: float) -> torch.Tensor:
    """A point `factor` times as far out as what was found, along the cross-entropy, brought back to the boundary."""
    problem, found = oracle.problem, oracle.ledger.best_size
    stride = factor / OUTWARDS * torch.where(found.isfinite(), found, problem.norm.size(delta))
    out = problem.zeros()
    for _ in range(OUTWARDS):
        out = problem.project(out - stride[:, None] * problem.steepest(oracle.gradient(out)))
    return _bisect(oracle, out, 0.0)


def _bisect(oracle: Oracle, delta: torch.Tensor, low: float) -> torch.Tensor:
    """δ shrunk onto the boundary between low·δ and δ, where it fools; where it does not, stretched by up to a half."""
    fooled = oracle.fooled(delta).clone()
    inside, outside = torch.where(fooled, low, 1.0), torch.where(fooled, 1.0, 1.5)
    for _ in range(BISECTIONS):
        factor = (inside + outside) / 2.0
        fooled = oracle.fooled(oracle.problem.project(delta * factor[:, None])).clone()
        inside, outside = torch.where(fooled, inside, factor), torch.where(fooled, factor, outside)
    return oracle.problem.project(delta * outside[:, None])
