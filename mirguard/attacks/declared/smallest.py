"""Our own attacks for the smallest perturbation."""

from __future__ import annotations

from dataclasses import replace

from mirguard.attacks.attack import CONFIDENCE, GOAL, LIMIT, STEPS, Attack

_PARAMETERS = (LIMIT, replace(STEPS, minimum=5), CONFIDENCE, GOAL)

SMALLEST = (
    Attack(
        "minimal-l2",
        "Smallest perturbation (L2)",
        "The quietest perturbation that fools, found in few steps: what to reach for first.",
        "after Rony et al. 2019, Croce & Hein 2020 and Pintor et al. 2021",
        "mirguard.attacks.minimal:minimal",
        _PARAMETERS,
        norm="l2",
    ),
    Attack(
        "minimal-linf",
        "Smallest perturbation (L∞)",
        "The perturbation with the smallest peak that fools, found in few steps.",
        "after Rony et al. 2019, Croce & Hein 2020 and Pintor et al. 2021",
        "mirguard.attacks.minimal:minimal",
        _PARAMETERS,
        norm="linf",
    ),
)
