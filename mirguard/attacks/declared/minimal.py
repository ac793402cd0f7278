"""Attacks of the literature that look for the smallest perturbation."""

from __future__ import annotations

from dataclasses import replace

from mirguard.attacks.attack import CONFIDENCE, LIMIT, NORM, STEPS, Attack
from mirguard.parameters import Parameter, count, positive

SEARCHES = count("searches", "Values of c, the weight of fooling against being small, that are tried.", 3, 50)
FIRST_STEP = positive(
    "step_size",
    "Adam's first step, as a part of the distance that the first gradient foretells.",
    0.25,
    1e-4,
    10.0,
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
        positive("initial_c", "The first c; of a clip's energy and a nat of loss.", 1e-3, 1e-8, 1e4, advanced=True),
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
        count("candidates", "How many of the likeliest other labels are looked at.", 10, 1000, advanced=True),
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
        count("patience", "Steps without success before the threshold rises again.", 10, 1000, advanced=True),
        FIRST_STEP,
        CONFIDENCE,
    ),
    norm="linf",
)
