"""Which label an attack is to bring out, where it is not a person who names it."""

from __future__ import annotations

import torch

from mirguard.attacks.attack import GOALS
from mirguard.attacks.problem import row_seed

AS_SET, LEAST_LIKELY, RANDOM, PERFECT = GOALS


def choose_target(goal: str, z: torch.Tensor, target: int | None, truth: int | None, seed: int) -> int | None:
    """The class to reach given the clean track logits `z (K,)`; None leaves it to the attack (any other label).

    Least likely: Kurakin, Goodfellow & Bengio 2017. Random, and "perfect" (every clip gets its true label): Kereliuk, Sturm &
    Larsen 2015; their "all same" is a target that is set, their "all wrong" none."""
    if goal == LEAST_LIKELY:
        return int(z.argmin())
    if goal == RANDOM:
        others = [k for k in range(len(z)) if k != int(z.argmax())]
        generator = row_seed(seed, b"goal" + z.float().cpu().contiguous().numpy().tobytes())
        return others[int(torch.randint(len(others), (), generator=generator))]
    if goal == PERFECT:
        return truth
    return target
