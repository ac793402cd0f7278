"""Every defence with its declaration. No torch."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches

from mirguard.defences.defence import (
    BATCH,
    CLEAN,
    EPOCHS,
    LEARNING_RATE,
    METHOD,
    NORM,
    SNR,
    SPREAD,
    START,
    STEPS,
    WINDOWS,
    Defence,
)
from mirguard.errors import UsageError
from mirguard.parameters import Parameter

_TRAINING = (EPOCHS, LEARNING_RATE, BATCH, WINDOWS)

DEFENCES = (
    Defence(
        "adversarial-training",
        "Adversarial training",
        "Learns from sounds that are made to mislead it while it learns: the defence that holds best.",
        "Goodfellow, Shlens & Szegedy 2015; Madry et al. 2018",
        "mirguard.defences.adversarial_training:adversarial_training",
        (METHOD, SNR, SPREAD, NORM, STEPS, CLEAN, START, *_TRAINING),
        knowledge="Helps against attackers who know everything, up to the size that it was trained at.",
    ),
    Defence(
        "distillation",
        "Defensive distillation",
        "Learns another model's soft answers at a high temperature and is used at 1, which hides gradients and mends nothing.",
        "Papernot et al. 2016",
        "mirguard.defences.distillation:distillation",
        (
            Parameter(
                "temperature",
                "T, by which logits are divided while learning.",
                float,
                100.0,
                1.0,
                1000.0,
                "log",
                label="Temperature",
            ),
            replace(START, default="nothing"),
            *_TRAINING,
        ),
        knowledge="Helps against attackers who follow the cross-entropy's gradient in single precision and nothing else.",
    ),
)


def list_defences() -> tuple[Defence, ...]:
    return DEFENCES


def find_defence(name: str) -> Defence:
    """The defence of that name; UsageError lists the names there are."""
    known = {defence.name: defence for defence in DEFENCES}
    if name in known:
        return known[name]
    close = get_close_matches(str(name), known, 1, 0.6)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}."
    raise UsageError(f"There is no defence {name!r}; {hint}")
