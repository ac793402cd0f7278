"""The declaration of a defence, and the parameters that defences share."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mirguard.parameters import Parameter

SINGLE_LABEL, TAGGING = "single-label", "tagging"


@dataclass(frozen=True)
class Defence:
    """One defence. `function` is "module:name", called with a Job, so that listing defences loads no torch.

    `knowledge` says in one sentence against whom it helps, as far as is known; `tags` whether a tagger can have it and `backbones`
    whether a classifier on a frozen backbone can; `attached`
    names the layer `(batch, 1)` that it gives a model: the log-odds that a window is adversarial ("" where it gives none)."""

    name: str
    title: str
    help: str
    reference: str
    function: str
    parameters: tuple[Parameter, ...]
    knowledge: str
    tags: bool = True
    attached: str = ""
    backbones: bool = False

    def call(self, job: Any) -> Any:
        module, name = self.function.split(":")
        return getattr(importlib.import_module(module), name)(job)


def _clean_share(values: Mapping[str, Any]) -> float:
    return 0.5 if values.get("method", "fgsm") == "fgsm" else 0.0


def _steps(values: Mapping[str, Any]) -> int:
    return 1 if values["method"] == "fgsm" else 7


EPOCHS = Parameter("epochs", "Passes over the training sounds.", int, 10, 1, 1000, "log")
BATCH = Parameter("batch", "Sounds in one step.", int, 32, 2, 1024, "log", advanced=True)
LEARNING_RATE = Parameter(
    "learning_rate", "The largest step.", float, 1e-3, 1e-6, 0.1, "log", label="Learning rate", advanced=True
)
WINDOWS = Parameter(
    "windows",
    "How many windows of one clip are heard at most; of longer clips so many are spread over the length.",
    int,
    20,
    1,
    1000,
    "log",
    label="Windows of a clip",
    advanced=True,
)
START = Parameter(
    "start",
    "What training starts from: the parent's weights (quick), or none.",
    str,
    "parent",
    choices=("parent", "nothing"),
)
SNR = Parameter(
    "snr",
    "How far below the sound the perturbations are that are learned from.",
    float,
    30.0,
    0.0,
    80.0,
    unit="dB",
    label="SNR in training",
)
SPREAD = Parameter(
    "spread",
    "The SNR of each sound is drawn evenly up to so far above and below.",
    float,
    3.0,
    0.0,
    40.0,
    unit="dB",
    label="Spread of the SNR",
    advanced=True,
)
NORM = Parameter(
    "norm",
    "How the perturbations' size is measured: by their RMS (l2), their largest value (linf), or each for half of the sounds.",
    str,
    "l2",
    choices=("l2", "linf", "both"),
)
METHOD = Parameter(
    "method",
    "How the perturbations are made: in one step along the gradient, or by several projected steps from a random start.",
    str,
    "fgsm",
    choices=("fgsm", "pgd"),
)
STEPS = Parameter(
    "steps", "Gradient steps for one perturbation (1 for fgsm, 7 for pgd if left out).", int, _steps, 1, 1000, "log"
)
CLEAN = Parameter(
    "clean",
    "The share α of the clean sounds in what is minimised (half for fgsm, none for pgd if left out).",
    float,
    _clean_share,
    0.0,
    0.99,
    label="Clean share",
)
