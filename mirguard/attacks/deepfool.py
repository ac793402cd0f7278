"""DeepFool: step by step to the nearest boundary of the model as it looks from where one stands."""

from __future__ import annotations

import torch

from mirguard.attacks.losses import margin
from mirguard.attacks.oracle import Oracle


def deepfool(oracle: Oracle, *, steps: int, candidates: int, overshoot: float) -> None:
    """r ← r + (|f_k| / ‖w_k‖_q)·s(w_k), δ = (1 + η)·r, where k is the nearest of the linearised boundaries f_k = z_k − z_y,
    w_k = ∇f_k (Moosavi-Dezfooli, Fawzi & Frossard 2016, alg. 2 and eq. 10 and 11): the one with the smallest |f_k|/‖w_k‖_q.

    s is the norm's steepest direction and ‖w‖_q = ⟨w, s(w)⟩ its dual norm. Only the `candidates` likeliest labels are looked at;
    with a target, only the boundary between it and the likeliest other label. The boundary is that of `confidence`, and
    samples at the edge of the box that cannot move on take no part."""
    problem = oracle.problem
    oracle.minimise()
    z = oracle.logits(problem.zeros())
    kept = min(candidates, z.shape[1] - 1)
    oracle.plan(steps * (kept + 1 if problem.targets is None else 1))
    likeliest = z.scatter(1, problem.labels[:, None], -torch.inf).topk(kept, 1).indices
    classes = torch.cat([problem.labels[:, None], likeliest], 1)
    r, delta = problem.zeros(), problem.zeros()
    for _ in range(steps):
        oracle.finish(oracle.ledger.hit)
        if problem.targets is None:
            z, slopes = oracle.jacobian(delta, classes)
            gaps = z.gather(1, classes)
            boundaries = [(gaps[:, k] - gaps[:, 0], slopes[k] - slopes[0]) for k in range(1, kept + 1)]
        else:
            w = -oracle.gradient(delta, "margin")
            boundaries = [(margin(oracle.ledger.logits, problem.labels, problem.targets), w)]
        nearest = torch.full((problem.rows,), torch.inf, device=problem.device)
        step = problem.zeros()
        for f, w in boundaries:
            free = ~(((delta <= problem.lower) & (w < 0)) | ((delta >= problem.upper) & (w > 0)))
            direction = problem.direction(problem.steepest(w * free))
            distance = (oracle.ledger.confidence - f).clamp_min(0.0) / (w * direction).sum(1).clamp_min(1e-30)
            nearer = distance < nearest
            nearest = torch.where(nearer, distance, nearest)
            step = torch.where(nearer[:, None], distance[:, None] * direction, step)
        r = problem.project(r + step)
        delta = problem.project((1.0 + overshoot) * r)
    oracle.logits(delta)
