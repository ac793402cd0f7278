"""Universal perturbations: laying a saved one on a clip, and the two methods that make them."""

from __future__ import annotations

from mirguard.attacks.attack import CONFIDENCE, EPSILON, NORM, Attack
from mirguard.attacks.knowledge import ZERO
from mirguard.parameters import Parameter, count, positive

BUNDLED = "toy-any-other"  # the one to start with

PERTURBATION = Parameter(
    "perturbation",
    "Which universal perturbation: a name of 'mirguard universal list', or a file.",
    str,
    BUNDLED,
)
OFFSET = Parameter(
    "offset",
    "Where in its loop the perturbation begins.",
    default=0.0,
    minimum=0.0,
    maximum=60.0,
    unit="s",
    advanced=True,
)

UNIVERSAL = (
    Attack(
        "universal",
        "Universal perturbation",
        "One saved perturbation, made for no clip in particular, looped over this one.",
        "Moosavi-Dezfooli et al. 2017; Abdoli et al. 2019",
        "mirguard.attacks.laid:universal",
        (EPSILON, NORM, PERTURBATION, OFFSET, CONFIDENCE),
        knowledge=ZERO,
        gradients=False,
        evades=False,
    ),
)

# How universal perturbations are made: declared like attacks, but of a set of clips.
METHODS = (
    Attack(
        "abdoli",
        "Penalty method",
        "All clips at once, in mini-batches: a loss on what is not fooled yet, and a pull towards a quiet perturbation.",
        "Abdoli et al. 2019",
        "mirguard.attacks.universal:abdoli",
        (
            count("epochs", "How often every clip is heard.", 20, 1000),
            count("batch", "Windows in a mini-batch.", 16, 1024, advanced=True),
            positive(
                "weight",
                "C: what one logit short of the boundary weighs against one dB of the perturbation's level.",
                300.0,
                1e-3,
                1e6,
                advanced=True,
            ),
            Parameter(
                "kappa",
                "κ: how far past the boundary a clip is pushed.",
                default=40.0,
                minimum=0.0,
                maximum=100.0,
                unit="logits",
                label="κ",
                advanced=True,
            ),
            positive("learning_rate", "Adam's step at the beginning, in parts of ε.", 0.3, 1e-4, 10.0, advanced=True),
        ),
    ),
    Attack(
        "moosavi-dezfooli",
        "Clip by clip",
        "For each clip that is not fooled yet, the smallest change that fools it is added to the perturbation.",
        "Moosavi-Dezfooli et al. 2017",
        "mirguard.attacks.universal:moosavi_dezfooli",
        (
            Parameter(
                "fooling_rate",
                "Stop when this part of the clips is fooled (1 − δ).",
                default=0.8,
                minimum=0.01,
                maximum=1.0,
            ),
            count("passes", "How often every clip is heard at the most.", 10, 1000),
            count("inner_steps", "Steps of the search for one clip.", 10, 1000, advanced=True),
            Parameter(
                "overshoot",
                "How much further than the boundary.",
                default=0.02,
                minimum=0.0,
                maximum=1.0,
                advanced=True,
            ),
        ),
    ),
)
