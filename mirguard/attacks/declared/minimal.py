"""Attacks of the literature that look for the smallest perturbation."""

from __future__ import annotations

from dataclasses import replace

from mirguard.attacks.attack import CONFIDENCE, LIMIT, NORM, STEPS, Attack
from mirguard.parameters import Parameter

SEARCHES = Parameter(
    "searches",
    "Values of c, the weight of fooling against being small, that are tried.",
    int,
    3,
    minimum=1,
    maximum=50,
    scale="log",
)
FIRST_STEP = Parameter(
    "step_size",
    "Adam's first step, as a part of the distance that the first gradient foretells.",
    default=0.25,
    minimum=1e-4,
    maximum=10.0,
    scale="log",
    advanced=True,
)

LBFGS = Attack(
    "lbfgs",
    "L-BFGS",
    "Balances size against loss by a quasi-Newton method, with the smallest weight that still fools.",
    "Szegedy et al. 2014; on audio Subramanian et al. 2019",
    "mirguard.attacks.lbfgs:lbfgs",
    (
        LIMIT,
        replace(SEARCHES, default=8),
        replace(STEPS, default=20, help="Looks for each value of c.", label="Looks a search"),
        Parameter(
            "initial_c",
            "The first c; of a clip's energy and a nat of loss.",
            default=1e-3,
            minimum=1e-8,
            maximum=1e4,
            scale="log",
            advanced=True,
        ),
        CONFIDENCE,
    ),
    norm="l2",
)
DEEPFOOL = Attack(
    "deepfool",
    "DeepFool",
    "Goes to the nearest boundary of the model as it looks from where it stands, again and again.",
    "Moosavi-Dezfooli, Fawzi & Frossard 2016",
    "mirguard.attacks.deepfool:deepfool",
    (
        LIMIT,
        NORM,
        replace(STEPS, default=50),
        Parameter(
            "candidates",
            "How many of the likeliest other labels are looked at.",
            int,
            10,
            minimum=1,
            maximum=1000,
            scale="log",
            advanced=True,
        ),
        Parameter(
            "overshoot",
            "How far past the boundary each try goes, as a part of the way to it.",
            default=0.02,
            minimum=0.0,
            maximum=1.0,
            advanced=True,
        ),
        CONFIDENCE,
    ),
)
CW_L2 = Attack(
    "cw-l2",
    "Carlini & Wagner L2",
    "Gradient descent on size and a hinge on the logits, weighed by binary search.",
    "Carlini & Wagner 2017",
    "mirguard.attacks.cw:cw_l2",
    (
        LIMIT,
        SEARCHES,
        replace(STEPS, default=80, help="Steps for each c.", label="Steps a search"),
        FIRST_STEP,
        CONFIDENCE,
    ),
    norm="l2",
)
CW_LINF = Attack(
    "cw-linf",
    "Carlini & Wagner L∞",
    "Pulls every sample under a threshold that sinks for as long as the model is fooled.",
    "Carlini & Wagner 2017",
    "mirguard.attacks.cw:cw_linf",
    (
        LIMIT,
        replace(STEPS, default=150),
        Parameter(
            "patience",
            "Steps without success before the threshold rises again.",
            int,
            10,
            minimum=1,
            maximum=1000,
            scale="log",
            advanced=True,
        ),
        FIRST_STEP,
        CONFIDENCE,
    ),
    norm="linf",
)
