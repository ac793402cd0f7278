"""Attacks inside a fixed budget that follow the gradient, and noise, the baseline."""

from __future__ import annotations

from mirguard.attacks.attack import (
    CONFIDENCE,
    EPSILON,
    LOSS,
    NORM,
    RESTARTS,
    STEP_SIZE,
    STEPS,
    STOP_EARLY,
    Attack,
)
from mirguard.attacks.knowledge import NONE
from mirguard.parameters import Parameter

RANDOM_START = Parameter(
    "random_start", "Begin at a random point of the ball instead of the sound itself.", bool, False, advanced=True
)

GRADIENT = (
    Attack(
        "noise",
        "White noise",
        "Random noise of the same size: the baseline every attack must beat.",
        "Prinz, Flexer & Widmer 2021",
        "mirguard.attacks.gradient:noise",
        (EPSILON, NORM, RESTARTS, CONFIDENCE),
        knowledge=NONE,
        gradients=False,
    ),
    Attack(
        "fgsm",
        "Fast gradient sign",
        "One step of full size along the gradient.",
        "Goodfellow, Shlens & Szegedy 2015",
        "mirguard.attacks.gradient:fgsm",
        (EPSILON, NORM, LOSS, CONFIDENCE),
    ),
    Attack(
        "pgd",
        "Projected gradient descent",
        "Many small gradient steps, each brought back inside the budget.",
        "Madry et al. 2018",
        "mirguard.attacks.gradient:pgd",
        (EPSILON, NORM, STEPS, STEP_SIZE, RESTARTS, RANDOM_START, LOSS, CONFIDENCE, STOP_EARLY),
    ),
)
