"""The fewest samples that have to change (Carlini & Wagner 2017, §VI-B)."""

from __future__ import annotations

import torch

from mirguard.attacks.minimal import first_step, turn
from mirguard.attacks.oracle import Oracle
from mirguard.errors import UsageError


def cw_l0(oracle: Oracle, *, rounds: int, inner: int) -> None:
    """Minimise ‖δ‖₂ on the samples that may change, freeze those that matter least (the smallest |g_i·δ_i|, g = ∇f), repeat.

    It differs from Carlini & Wagner's in two ways. The inner problem, which starts from the last solution, is solved by `inner`
    steps of `minimal-l2` instead of Adam on the weighted sum. And a round freezes not 0.3·√m of m changed
    samples but half of them; where that is too much for a row, it is taken back and half as many are frozen, down to a single
    one. So the rounds that are needed grow with the logarithm of the clip's length."""
    problem, ledger = oracle.problem, oracle.ledger
    if problem.permitted is not None and not problem.permitted.diagonal:
        raise UsageError(
            "cw-l0 changes single samples, which are neither in a band nor under the masking threshold: leave these restrictions "
            "out, or take jsma."
        )
    oracle.minimise(lambda delta, _rows: (delta != 0).sum(1).float())
    oracle.plan(rounds * inner)
    delta, _taken = first_step(oracle, 4)
    allowed = torch.ones_like(delta, dtype=torch.bool)
    solution, score, solved = delta, delta, torch.zeros_like(ledger.active)
    share = torch.full_like(ledger.best_margin, 0.5)
    frozen = torch.full_like(share, torch.inf)  # how many in the last round
    for _ in range(rounds):
        found = torch.zeros_like(solved)
        for step in range(inner):
            g = -oracle.gradient(delta, "margin") * allowed
            hit = ledger.hit & ledger.active
            found |= hit
            solution, score = (
                torch.where(hit[:, None], new, old) for new, old in ((delta, solution), ((g * delta).abs(), score))
            )
            delta = turn(oracle, delta, g, alpha=1.0 / (1 + step), omega=0.03) * allowed
        solved |= found
        oracle.finish(~found & (frozen <= 1))
        share = torch.where(found | ~solved, share, share / 2.0)
        changed = solution != 0
        count = changed.sum(1)
        frozen = torch.where(solved, (share * count).floor().clamp_min(1.0), torch.inf)
        rank = torch.where(changed, score, -1.0).argsort(1).argsort(1)  # the unchanged come first
        fewer = rank >= (problem.size - count + frozen)[:, None]
        allowed = torch.where(solved[:, None], fewer, allowed)
        delta = torch.where(solved[:, None], solution * allowed, delta)
