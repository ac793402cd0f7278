"""Attacks inside a fixed budget that follow the gradient, and noise, the baseline."""

from __future__ import annotations

from dataclasses import replace

from mirguard.attacks.attack import (
    CONFIDENCE,
    EPSILON,
    GOAL,
    LOSS,
    NORM,
    RESTARTS,
    STEP_SIZE,
    STEPS,
    STOP_EARLY,
    Attack,
)
from mirguard.attacks.budget import L1, L2, LINF
from mirguard.attacks.knowledge import NONE
from mirguard.parameters import Parameter

RANDOM_START = Parameter(
    "random_start", "Begin at a random point of the ball instead of the sound itself.", bool, False, advanced=True
)

MOMENTUM = Parameter(
    "momentum",
    "How much of the earlier steps' direction is kept; such results carry over better to other models.",
    default=0.0,
    minimum=0.0,
    maximum=1.0,
    advanced=True,
)
ANY_NORM = replace(NORM, choices=(L1, L2, LINF))
# Kurakin et al. take min(ε + 4, 1.25 ε) steps of one grey level: a quarter more than would reach the edge of the ball.
SMALL_STEP = replace(
    STEP_SIZE, default=lambda values: min(1.0, max(1e-8, 1.25 * values["epsilon"] / max(values["steps"], 1.25)))
)

GRADIENT = (
    Attack(
        "noise",
        "White noise",
        "Random noise of the same size: the baseline every attack must beat.",
        "Prinz, Flexer & Widmer 2021",
        "mirguard.attacks.gradient:noise",
        (EPSILON, ANY_NORM, RESTARTS, CONFIDENCE),
        knowledge=NONE,
        gradients=False,
        evades=False,
    ),
    Attack(
        "fgsm",
        "Fast gradient sign",
        "One step of full size along the gradient.",
        "Goodfellow, Shlens & Szegedy 2015",
        "mirguard.attacks.gradient:fgsm",
        (EPSILON, ANY_NORM, LOSS, CONFIDENCE),
    ),
    Attack(
        "bim",
        "Basic iterative method",
        "Many small steps along the gradient's sign, also towards the least likely label.",
        "Kurakin, Goodfellow & Bengio 2017",
        "mirguard.attacks.gradient:bim",
        (EPSILON, replace(ANY_NORM, default=LINF), STEPS, SMALL_STEP, GOAL, LOSS, CONFIDENCE, STOP_EARLY),
    ),
    Attack(
        "pgd",
        "Projected gradient descent",
        "Many small gradient steps, each brought back inside the budget.",
        "Madry et al. 2018",
        "mirguard.attacks.gradient:pgd",
        (EPSILON, ANY_NORM, STEPS, STEP_SIZE, RESTARTS, RANDOM_START, MOMENTUM, GOAL, LOSS, CONFIDENCE, STOP_EARLY),
    ),
)
