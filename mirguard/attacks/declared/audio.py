"""Attacks made for sound: on spectra of many sizes, under the masking threshold, on magnitude frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mirguard.attacks.attack import (
    CONFIDENCE,
    EPSILON,
    GOAL,
    LIMIT,
    LOSS,
    NORM,
    STEP_SIZE,
    STEPS,
    STOP_EARLY,
    Attack,
)
from mirguard.parameters import Parameter, count, positive


def _step_size(share: float) -> Parameter:
    """A step that is by default a share of the clip's RMS."""

    def of_level(values: Mapping[str, Any]) -> float:
        return min(STEP_SIZE.maximum, max(1e-6, share * values.get("rms", 0.0)))

    return replace(
        STEP_SIZE, default=of_level, help="Length of one step, in the same measure as ε; it begins far below the clip."
    )


MULTISCALE_CW = Attack(
    "multiscale-cw",
    "Multi-scale Carlini–Wagner",
    "Stays close to the clip in spectra of six window lengths at once, and stops at the first success.",
    "Prinz, Flexer & Widmer 2021",
    "mirguard.attacks.multiscale:multiscale_cw",
    (
        EPSILON,
        NORM,
        replace(STEPS, default=200),
        _step_size(1e-3),
        positive("alpha", "Weight of fooling the model against staying close.", 10.0, 1e-6, 1e6, label="α"),
        replace(LOSS, default="margin"),
        CONFIDENCE,
        STOP_EARLY,
    ),
)

MASKED = Attack(
    "masked",
    "Under the masking threshold",
    "Puts the perturbation where the clip itself drowns it: as few dB as it can above what the ear still hears.",
    "Qin et al. 2019",
    "mirguard.attacks.masked:masked",
    (
        LIMIT,
        NORM,
        replace(STEPS, default=60),
        _step_size(3e-3),
        positive(
            "alpha",
            "Weight of the threshold against fooling the model, at first.",
            0.5,
            1e-6,
            1e6,
            label="α",
            advanced=True,
        ),
        count("raise_every", "After how many looks that fool α is raised by 20 %.", 1, 10_000, advanced=True),
        count("lower_every", "After how many looks that do not fool α is lowered by 20 %.", 1, 10_000, advanced=True),
        positive("floor", "α is not lowered below this.", 5e-4, 1e-9, 1.0, advanced=True),
        LOSS,
        CONFIDENCE,
    ),
)

SPECTRAL = Attack(
    "spectral",
    "Magnitude spectrogram",
    "Changes the magnitudes of the clip's spectrogram inside an SNR ball; what counts is heard after resynthesis.",
    "Kereliuk, Sturm & Larsen 2015",
    "mirguard.attacks.spectral:spectral",
    (
        EPSILON,
        NORM,
        STEPS,
        STEP_SIZE,
        count("window", "Length of a frame; an even number of samples.", 1024, 16_384, minimum=16, unit="samples"),
        count(
            "hop",
            "From one frame to the next; a whole number of hops makes a window.",
            512,
            8192,
            minimum=4,
            unit="samples",
        ),
        Parameter(
            "phase",
            "Phases of the result: the clip's own, or those that Griffin–Lim finds.",
            str,
            "original",
            choices=("original", "griffin-lim"),
        ),
        Parameter(
            "valid_stft", "Keep to magnitudes that a sound can have.", bool, False, label="Valid STFT", advanced=True
        ),
        GOAL,
        LOSS,
        CONFIDENCE,
        STOP_EARLY,
    ),
)

AUDIO = (MULTISCALE_CW, MASKED, SPECTRAL)
