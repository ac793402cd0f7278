"""The figure to report, and whether the sounds behind it are still what they were: SC-24 and SC-25."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from mirguard.analysis.measures import compare
from mirguard.checks.baselines import BLACK_BOXES, black_box
from mirguard.checks.finding import PASS, WARN, Judgement, not_applicable, table
from mirguard.checks.record import Record, Tried
from mirguard.checks.statistics import Rate, rate
from mirguard.clip import Clip
from mirguard.words import counted

LEAST_SNR = 10.0  # dB, below which nobody can be sure of the true class
MOST_MEASURED = 8  # clips on the perceptual panel
PANEL = (
    ("SNR", "snr_db", "dB"),
    ("SNR without the edges", "snr_trimmed_db", "dB"),
    ("segmental SNR", "segmental_snr_db", "dB"),
    ("peak of δ over the sound's", "dbx_db", "dB"),
    ("over the masking threshold, where it is", "masking_excess", "dB"),
    ("bins over the masking threshold", "masking_share", "%"),
)


def worst_case_of_each_clip(record: Record) -> Judgement:
    """SC-24: mean over clips of the worst attack of each, not the worst mean (Carlini et al. 2019), every attack with all its
    parameters."""
    attacks = _attacks(record)
    union = torch.stack([tried.fooled for tried in attacks]).any(0)
    rows = [
        (_named(tried), str(tried.rate), _spent(tried), record.seed, _parameters(tried.values)) for tried in attacks
    ]
    best = max(tried.rate.value for tried in attacks)
    left = Rate(record.size - int(union.sum()), record.size)
    rows.append(("per clip, the worst of these", str(rate(union)), "", record.seed, ""))
    sentence = (
        f"At an SNR of at least {record.snr:g} dB, {left} of the clips stand against {counted(len(attacks), 'attack')} "
        f"(clip by clip; against the best single one {1 - best:.1%})."
    )
    return Judgement(PASS, sentence, table(("attack", "fooled", "spent on a clip", "seed", "parameters"), rows))


def _attacks(record: Record) -> list[Tried]:
    """Attacks of different kinds at one budget; where there is a gradient, one step is never the only one."""
    tried = [record.attack("noise", snr=record.snr)]
    if record.model.differentiable:
        tried += [record.attack("fgsm", snr=record.snr), record.main(), record.pgd(loss="margin")]
        tried += [
            record.attack("pgd", snr=record.snr, surrogate=surrogate, stop_early=False, steps=20)
            for surrogate in record.surrogates
        ]
    return tried + [black_box(record, name) for name in BLACK_BOXES]


def _named(tried: Tried) -> str:
    return f"{tried.attack} on {tried.surrogate}" if tried.surrogate else tried.attack


def _spent(tried: Tried) -> str:
    gradients = float(tried.outcome.gradients.double().mean())
    queries = float(tried.outcome.forwards.double().mean())
    return counted(round(gradients), "gradient") if gradients else counted(round(queries), "query")


def _parameters(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()
    )


def labels_are_kept(record: Record) -> Judgement:
    """SC-25: how far the fooled clips are from the originals; whether a person hears the same, a listening test tells."""
    tried = record.main()
    if not tried.rate.hits:
        return not_applicable(f"Nothing is fooled at {record.snr:g} dB, so no sound may have changed its class.")
    fooled = tried.fooled.nonzero()[:, 0]
    snr = tried.outcome.snr_db[fooled]
    some = fooled[:MOST_MEASURED]
    found = []
    for x, made in zip(record.x[some], tried.outcome.adversarial[some].cpu(), strict=True):
        record.pause()
        found.append(compare(*(Clip(one.numpy()[None], record.model.sample_rate) for one in (x, made))))
    rows = [
        (
            "SNR, all fooled clips",
            f"{float(snr.median()):.1f} dB",
            f"{float(snr.min()):.1f} dB",
            f"{float(snr.max()):.1f} dB",
        )
    ]
    for words, measure, unit in PANEL:
        values = np.array([one[measure] for one in found if one[measure] is not None], float)
        if len(values):
            factor = 100.0 if unit == "%" else 1.0
            rows.append(
                (
                    f"{words}, of {len(values)}",
                    *(f"{factor * value:.1f} {unit}" for value in (np.median(values), values.min(), values.max())),
                )
            )
    evidence = table(("measure", "median", "least", "most"), rows)
    low = int((snr < LEAST_SNR).sum())
    if low:
        sentence = f"The true class is no longer certain below an SNR of {LEAST_SNR:g} dB, as in {counted(low, 'fooled clip')}."
        return Judgement(WARN, sentence, evidence)
    least = float(snr.min())
    sentence = (
        f"Every fooled clip keeps an SNR of {least:.0f} dB or more; whether it sounds the same, a listening test tells."
        if math.isfinite(least)
        else "Every fooled clip keeps its sound."
    )
    return Judgement(PASS, sentence, evidence)
