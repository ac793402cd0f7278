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

_SIZES = "How far below the sound the perturbations (and noise of the same size) are that are learned from."
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
    Defence(
        "outlier-class",
        "Outlier class",
        "Learns one class more, which adversarial sounds are to fall into; the detector outlier-class reads it.",
        "Grosse et al. 2017",
        "mirguard.defences.outlier_class:outlier_class",
        (replace(SNR, help=_SIZES), replace(SPREAD, default=10.0), NORM, replace(STEPS, default=3), START, *_TRAINING),
        knowledge="Helps against attackers who do not know of it; an attack on all classes at once gets past it.",
        tags=False,
        attached="outlier",
    ),
    Defence(
        "subnetwork",
        "Detector subnetwork",
        "Attaches a small network that judges an inner layer; the classifier stays as it is. The detector subnetwork reads it.",
        "Metzen et al. 2017",
        "mirguard.defences.subnetwork:attach_subnetwork",
        (
            Parameter(
                "layer",
                "The layer that is judged: one of the network's, or representation; the first of its layers if left out.",
                str,
                None,
                optional=True,
            ),
            Parameter(
                "adversary",
                "What the perturbations that are learned from do: fool the classifier (static), or the detector as well (dynamic).",
                str,
                "dynamic",
                choices=("static", "dynamic"),
            ),
            replace(SNR, help=_SIZES),
            replace(SPREAD, default=10.0),
            NORM,
            replace(STEPS, default=3),
            *_TRAINING,
        ),
        knowledge="Helps against attackers who do not know of it, and makes it harder for those who do.",
        attached="subnetwork",
    ),
    Defence(
        "pca-projection",
        "Projection on principal components",
        "Lets the classifier hear only what a few principal components of the sounds can say.",
        "Bhagoji, Cullina & Mittal 2017",
        "mirguard.defences.pca_projection:pca_projection",
        (
            Parameter(
                "components",
                "k, how many principal components are heard.",
                int,
                24,
                1,
                4096,
                "log",
                label="Components",
            ),
            Parameter(
                "frames",
                "How many frames of the representation are projected together.",
                int,
                8,
                1,
                1024,
                "log",
                label="Frames at a time",
                advanced=True,
            ),
            Parameter("retrain", "Train the network further on what it hears then.", bool, True),
            START,
            *_TRAINING,
        ),
        knowledge="Helps a little against attackers who do not know of it; those who do attack through it.",
        backbones=True,
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
