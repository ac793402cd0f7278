"""Every attack with its declaration: what it is called, what it assumes, what may be set.

Other packages add theirs by an entry point in the group `mirguard.attacks` that names an `Attack`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from mirguard.errors import UsageError
from mirguard.parameters import Parameter

DEFAULT_SNR = 30.0  # dB below the clip; attacks that stop when the model is fooled mostly end far below it


@dataclass(frozen=True)
class Attack:
    """One attack. `function` is "module:name" so that listing attacks loads no torch; `call` finds it.

    `parameters` are all a person can set; those in `COMMON` belong to problem and ledger, the others go to the function."""

    name: str
    title: str
    help: str
    reference: str
    knowledge: str
    function: str
    parameters: tuple[Parameter, ...]
    needs_gradient: bool = True

    def call(self, oracle: Any, values: Mapping[str, Any]) -> None:
        module, name = self.function.split(":")
        own = {key: value for key, value in values.items() if key not in COMMON}
        getattr(importlib.import_module(module), name)(oracle, **own)


def _default_epsilon(values: Mapping[str, Any]) -> float:
    level = values.get("rms", 0.0)
    return max(1e-6, min(1.0, level * 10.0 ** (-DEFAULT_SNR / 20.0))) if level else 1e-3


EPSILON = Parameter(
    "epsilon",
    "Largest perturbation, as an amplitude of full scale: the RMS of δ for L2, the largest |δ| for L∞.",
    default=_default_epsilon,
    minimum=1e-6,
    maximum=1.0,
    scale="log",
    unit="of full scale",
    label="ε",
)
NORM = Parameter("norm", "How the size of δ is measured.", str, "l2", choices=("l2", "linf"))
STEPS = Parameter(
    "steps", "Gradient steps at the most.", int, 40, minimum=1, maximum=10_000, scale="log", label="Iterations"
)
STEP_SIZE = Parameter(
    "step_size",
    "Length of one step, in the same measure as ε.",
    default=lambda values: (
        min(1.0, max(1e-8, 2.5 * values["epsilon"] / values["steps"])) if values["steps"] > 2 else values["epsilon"]
    ),
    minimum=1e-8,
    maximum=1.0,
    scale="log",
    unit="of full scale",
)
RESTARTS = Parameter(
    "restarts", "Independent tries; the best one counts.", int, 1, minimum=1, maximum=10_000, scale="log", advanced=True
)
RANDOM_START = Parameter(
    "random_start", "Begin at a random point of the ball instead of the sound itself.", bool, False, advanced=True
)
LOSS = Parameter(
    "loss", "What the gradient is taken of.", str, "cross-entropy", choices=("cross-entropy", "margin"), advanced=True
)
CONFIDENCE = Parameter(
    "confidence",
    "How far past the boundary (in logits) a result must lie before the attack stops, so that it survives rounding.",
    default=0.1,
    minimum=0.0,
    maximum=100.0,
    unit="logits",
    advanced=True,
)
STOP_EARLY = Parameter(
    "stop_early", "Stop as soon as the model is fooled instead of using the whole budget.", bool, True, advanced=True
)
COMMON = frozenset({"epsilon", "norm", "confidence", "stop_early"})

ATTACKS = (
    Attack(
        "noise",
        "White noise",
        "Random noise of the same size: the baseline every attack must beat.",
        "Prinz, Flexer & Widmer 2021",
        "no knowledge",
        "mirguard.attacks.gradient:noise",
        (EPSILON, NORM, RESTARTS, CONFIDENCE),
        needs_gradient=False,
    ),
    Attack(
        "fgsm",
        "Fast gradient sign",
        "One step of full size along the gradient.",
        "Goodfellow, Shlens & Szegedy 2015",
        "white-box",
        "mirguard.attacks.gradient:fgsm",
        (EPSILON, NORM, LOSS, CONFIDENCE),
    ),
    Attack(
        "pgd",
        "Projected gradient descent",
        "Many small gradient steps, each brought back inside the budget.",
        "Madry et al. 2018",
        "white-box",
        "mirguard.attacks.gradient:pgd",
        (EPSILON, NORM, STEPS, STEP_SIZE, RESTARTS, RANDOM_START, LOSS, CONFIDENCE, STOP_EARLY),
    ),
)


@cache
def list_attacks() -> tuple[Attack, ...]:
    """The built-in attacks, then those of installed plug-ins."""
    found = {attack.name: attack for attack in ATTACKS}
    for entry in entry_points(group="mirguard.attacks"):
        attack = entry.load()
        found.setdefault(attack.name, attack)
    return tuple(found.values())


def find_attack(name: str) -> Attack:
    """The attack of that name; UsageError lists the names there are."""
    for attack in list_attacks():
        if attack.name == name:
            return attack
    raise UsageError(f"There is no attack {name!r}; there are {', '.join(attack.name for attack in list_attacks())}.")
