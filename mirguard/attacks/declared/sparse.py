"""Attacks that change as few parts of a sound as they can."""

from __future__ import annotations

from mirguard.attacks.attack import CONFIDENCE, GOAL, LIMIT, NORM, Attack
from mirguard.parameters import Parameter, count, positive

FEATURES = Parameter(
    "features",
    "What is made louder or quieter: patches of the spectrogram (4 frames by 8 bins) or blocks of samples.",
    str,
    "spectrogram-patches",
    choices=("spectrogram-patches", "waveform-blocks"),
)
BLOCK = count("block", "Samples of a waveform block.", 64, 65_536, unit="samples")
THETA = Parameter(
    "theta",
    "How much a feature changes at a time: 1 doubles or silences it at once.",
    default=1.0,
    minimum=0.01,
    maximum=1.0,
    label="θ",
)
GAMMA = positive("gamma", "The share of all features that may be changed.", 0.145, 0.0001, 1.0, label="γ")
ROUNDS = count(
    "rounds",
    "Rounds at the most: where there are more changes to make, a round makes several, the most salient first.",
    60,
    10_000,
)
SALIENCY = Parameter(
    "saliency",
    "Change the most salient feature, or the most salient pair among the 64 best features.",
    str,
    "single",
    choices=("single", "pairs"),
)
DIRECTION = Parameter(
    "direction",
    "Whether features may also become quieter (both) or only louder (up), as in the original.",
    str,
    "both",
    choices=("both", "up"),
    advanced=True,
)
OUTPUTS = Parameter(
    "outputs",
    "What the saliency is taken of: logits (JSMA-Z) or probabilities (JSMA-F).",
    str,
    "logits",
    choices=("logits", "softmax"),
    advanced=True,
)

JSMA = Attack(
    "jsma",
    "Saliency map (JSMA)",
    "Makes the few parts of the sound louder or quieter that matter most.",
    "Papernot et al. 2016",
    "mirguard.attacks.jsma:jsma",
    (LIMIT, NORM, FEATURES, BLOCK, THETA, GAMMA, ROUNDS, SALIENCY, DIRECTION, OUTPUTS, CONFIDENCE, GOAL),
)

CW_L0 = Attack(
    "cw-l0",
    "Carlini & Wagner (fewest samples)",
    "Changes as few samples as it can, each as far as it needs.",
    "Carlini & Wagner 2017",
    "mirguard.attacks.cw_l0:cw_l0",
    (
        LIMIT,
        count("rounds", "How often samples are frozen at the most.", 40, 1000),
        count("inner", "Gradient steps after each freezing.", 5, 1000, minimum=2, advanced=True),
        CONFIDENCE,
        GOAL,
    ),
    norm="l2",
)
