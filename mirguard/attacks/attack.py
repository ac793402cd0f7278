"""The declaration of an attack, and the parameters that attacks share."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mirguard.attacks.knowledge import PERFECT
from mirguard.parameters import Parameter

DEFAULT_SNR = 30.0  # dB below the clip; attacks that stop when the model is fooled mostly end far below it


@dataclass(frozen=True)
class Attack:
    """One attack. `function` is "module:name" so that listing attacks loads no torch; `call` finds it.

    `parameters` are all a person can set; those in `COMMON` belong to problem and ledger, the others go to the function.
    `norm` is set where the attack knows only one. `targeted` is False where a target makes no sense, and `untargeted` False
    where one is needed. `gradients` False: the model's answers are enough. `evades` False: it cannot reckon with detectors."""

    name: str
    title: str
    help: str
    reference: str
    function: str
    parameters: tuple[Parameter, ...]
    knowledge: str = PERFECT
    norm: str | None = None
    gradients: bool = True
    targeted: bool = True
    untargeted: bool = True
    evades: bool = True

    def call(self, oracle: Any, values: Mapping[str, Any]) -> None:
        module, name = self.function.split(":")
        declared = {parameter.name for parameter in self.parameters} - COMMON
        own = {key: value for key, value in values.items() if key in declared}
        getattr(importlib.import_module(module), name)(oracle, **own)


def _default_epsilon(values: Mapping[str, Any]) -> float:
    level = values.get("rms", 0.0)
    return max(1e-6, min(1.0, level * 10.0 ** (-DEFAULT_SNR / 20.0))) if level else 1e-3


EPSILON = Parameter(
    "epsilon",
    "Largest perturbation, as an amplitude of full scale: the RMS of δ for L2, the largest |δ| for L∞.",
    default=_default_epsilon,
    minimum=1e-6,
    maximum=2.0,
    scale="log",
    unit="of full scale",
    label="ε",
)
# Attacks that look for the smallest perturbation have no budget unless somebody sets one.
LIMIT = Parameter(
    "epsilon",
    "No result may be larger than this, as an amplitude of full scale: the RMS of δ for L2, the largest |δ| for L∞.",
    default=2.0,
    minimum=1e-6,
    maximum=2.0,
    scale="log",
    unit="of full scale",
    label="ε at the most",
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
    maximum=2.0,
    scale="log",
    unit="of full scale",
)
RESTARTS = Parameter(
    "restarts", "Independent tries; the best one counts.", int, 1, minimum=1, maximum=10_000, scale="log", advanced=True
)
LOSS = Parameter(
    "loss", "What the gradient is taken of.", str, "cross-entropy", choices=("cross-entropy", "margin"), advanced=True
)
CONFIDENCE = Parameter(
    "confidence",
    "How far past the boundary (in logits) a result must lie to count, so that it survives rounding.",
    default=0.1,
    minimum=0.0,
    maximum=100.0,
    unit="logits",
    advanced=True,
)
STOP_EARLY = Parameter(
    "stop_early", "Stop as soon as the model is fooled instead of using the whole budget.", bool, True, advanced=True
)
QUERIES = Parameter(
    "queries",
    "How often the model may be asked at the most.",
    int,
    1000,
    minimum=1,
    maximum=1_000_000,
    scale="log",
)
GOALS = ("as-set", "least-likely", "random", "perfect")
GOAL = Parameter(
    "goal",
    "The label to bring out: as set (the target, or any other), the least likely, one by chance, or the true one (--truth).",
    str,
    "as-set",
    choices=GOALS,
)
COMMON = frozenset({"epsilon", "norm", "confidence", "stop_early", "queries", "goal"})
