"""Attacks that only ask the model: for its scores, or for its decision."""

from __future__ import annotations

from dataclasses import replace

from mirguard.attacks.attack import (
    CONFIDENCE,
    EPSILON,
    GOAL,
    LIMIT,
    LOSS,
    NORM,
    QUERIES,
    STOP_EARLY,
    Attack,
)
from mirguard.attacks.knowledge import LIMITED
from mirguard.parameters import Parameter, count, positive

START = Parameter(
    "start",
    "A sound file to start from, which the model hears as the target; without one, noise, which reaches no target.",
    str,
    None,
    optional=True,
    label="Start from",
)
SUBSPACE = Parameter(
    "subspace",
    "Which directions are tried: the sound's own time-frequency tiles made louder and softer, low frequencies, or all.",
    str,
    "own-phase",
    choices=("own-phase", "low-frequency", "full"),
)


def _samples(default: int) -> Parameter:
    return count("samples", "Questions for one estimate of the direction.", default, 10_000, minimum=2, advanced=True)


def _relative(name: str, help: str, default: float, maximum: float = 1.0) -> Parameter:
    return positive(name, help, default, 1e-4, maximum, advanced=True)


BLACKBOX = (
    Attack(
        "substitute",
        "Substitute model",
        "Trains a small network on the model's answers and attacks that; meant for clips, as every row of a batch is learned anew.",
        "Papernot et al. 2017",
        "mirguard.attacks.substitute:substitute",
        (
            EPSILON,
            NORM,
            replace(
                QUERIES, default=800, help="How many sounds the model may be asked about at the most, each window one."
            ),
            GOAL,
            Parameter(
                "answers",
                "What the network learns: the model's label, or its scores.",
                str,
                "labels",
                choices=("labels", "scores"),
            ),
            Parameter(
                "seeds",
                "A folder of sounds to ask about first; without one, variations of the clip's own.",
                str,
                None,
                optional=True,
                label="First sounds",
            ),
            Parameter("rounds", "How often the examples are doubled.", int, 4, minimum=0, maximum=12, advanced=True),
            _relative("step", "How far new examples lie from old ones, relative to ε.", 1.0, 10.0),
            count("epochs", "Passes over the examples in each round.", 10, 1000, advanced=True),
            CONFIDENCE,
            STOP_EARLY,
        ),
        evades=False,
        knowledge=LIMITED,
        gradients=False,
    ),
    Attack(
        "boundary",
        "Boundary attack",
        "Starts from something far off that fools and walks along the boundary towards the sound; needs decisions only.",
        "Brendel, Rauber & Bethge 2018",
        "mirguard.attacks.decision:boundary",
        (
            LIMIT,
            QUERIES,
            START,
            GOAL,
            SUBSPACE,
            _relative("orthogonal_step", "First step sideways, relative to the size of δ.", 0.1),
            _relative("inward_step", "First step towards the sound, relative to the size of δ.", 0.05),
        ),
        knowledge=LIMITED,
        norm="l2",
        gradients=False,
    ),
    Attack(
        "hopskipjump",
        "HopSkipJump",
        "Feels out the boundary's slope by many decisions and jumps along it; needs decisions only.",
        "Chen, Jordan & Wainwright 2020",
        "mirguard.attacks.decision:hopskipjump",
        (
            LIMIT,
            NORM,
            QUERIES,
            START,
            GOAL,
            SUBSPACE,
            _samples(20),
            _relative("radius", "How far around a point decisions are asked for, relative to the size of δ.", 0.1),
        ),
        knowledge=LIMITED,
        gradients=False,
    ),
    Attack(
        "square",
        "Square attack",
        "Changes one piece of the perturbation at a time by chance and keeps what helps; needs scores.",
        "Andriushchenko et al. 2020",
        "mirguard.attacks.score:square",
        (
            EPSILON,
            NORM,
            QUERIES,
            GOAL,
            SUBSPACE,
            _relative("share", "Share of the sound that is changed at first.", 0.8),
            CONFIDENCE,
            STOP_EARLY,
        ),
        knowledge=LIMITED,
        gradients=False,
    ),
    Attack(
        "nes",
        "Natural evolution strategies",
        "Estimates the gradient from scores at random points around and follows it.",
        "Ilyas et al. 2018",
        "mirguard.attacks.score:nes",
        (
            EPSILON,
            NORM,
            QUERIES,
            positive(
                "step_size",
                "Length of one step, in the same measure as ε.",
                lambda values: 0.3 * values["epsilon"],
                1e-8,
                2.0,
                unit="of full scale",
                advanced=True,
            ),
            GOAL,
            SUBSPACE,
            _samples(20),
            _relative("sigma", "How far around a point scores are asked for, relative to ε.", 0.5),
            Parameter(
                "momentum",
                "How much of the last direction is kept.",
                default=0.5,
                minimum=0.0,
                maximum=0.99,
                advanced=True,
            ),
            LOSS,
            CONFIDENCE,
            STOP_EARLY,
        ),
        knowledge=LIMITED,
        gradients=False,
    ),
)
