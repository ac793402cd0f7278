"""Does the attack beat what knows less than it does? SC-05 to SC-07.

Where something that sees less of a model fools it better than its gradient does, the gradient is masked, not the model robust
(Athalye et al. 2018; Papernot et al. 2017).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mirguard.checks.finding import FAIL, PASS, WARN, Judgement, not_applicable, table
from mirguard.checks.record import QUERIES, Record, Tried
from mirguard.checks.statistics import paired, rate
from mirguard.words import counted

DRAWS = 100
NO_GRADIENT = "The model gives no gradient, so there is no white-box attack to compare with."
BLACK_BOXES = ("nes", "square", "boundary")


def white_box_beats_transfer(record: Record) -> Judgement:
    """SC-05."""
    if not record.model.differentiable:
        return not_applicable(NO_GRADIENT)
    white, others = record.main(), [("white noise", record.attack("noise", snr=record.snr).fooled)]
    for surrogate in record.surrogates:
        tried = record.attack("pgd", snr=record.snr, surrogate=surrogate, stop_early=False, steps=20)
        others.insert(0, (f"pgd on {surrogate.name}", tried.fooled))
    judged = _compared(white, others, "What knows nothing of the model")
    if record.surrogates or judged.verdict != PASS:
        return judged
    sentence = (
        f"{judged.sentence[:-1]}; transfer was not tried, for want of another model with these labels (--surrogate)."
    )
    return Judgement(PASS, sentence, judged.evidence)


def black_box_is_no_better(record: Record) -> Judgement:
    """SC-07: two attacks that see scores, one that sees the label alone."""
    if not record.model.differentiable:
        return not_applicable(NO_GRADIENT)
    tried = [(f"{name}, {QUERIES} queries", black_box(record, name).fooled) for name in BLACK_BOXES]
    judged = _compared(record.main(), tried, "What sees the model's answers alone")
    return Judgement(PASS, judged.sentence, judged.evidence) if judged.verdict == WARN else judged


def black_box(record: Record, name: str) -> Tried:
    return record.attack(name, snr=record.snr, queries=QUERIES)


def _compared(white: Tried, others: Sequence[tuple[str, torch.Tensor]], who: str) -> Judgement:
    """Fail where any of the others fools more, warn where it fools a clip that the white box does not."""
    rows = [("pgd, white box", str(white.rate), "", "")]
    better, alone = [], torch.zeros_like(white.fooled)
    for words, fooled in others:
        both = paired(fooled, white.fooled)
        rows.append((words, str(rate(fooled)), both.first_only, both.p))
        alone |= fooled & ~white.fooled
        if int(fooled.sum()) > white.rate.hits:
            better.append(words.split(",")[0])
    evidence = table(("attack", "fooled", "fools alone", "McNemar p"), rows)
    if better:
        return Judgement(
            FAIL, f"{who} fools more than the gradient does ({' and '.join(better)}): masking suspected.", evidence
        )
    if bool(alone.any()):
        sentence = f"{who} fools {counted(int(alone.sum()), 'clip')} that the gradient does not, but not more in all."
        return Judgement(WARN, sentence, evidence)
    return Judgement(PASS, f"{who} fools nothing that the gradient does not.", evidence)


def noise_is_weaker(record: Record) -> Judgement:
    """SC-06: Gaussian noise at exactly the SNR that the attack reached on each clip."""
    tried = record.main()
    hits = record.noise(tried.delta_rms, DRAWS)
    noise = float(hits.double().mean()) / DRAWS
    once = rate(hits > 0)
    evidence = table(
        ("", "fooled"),
        [
            (f"{tried.attack} at {record.snr:g} dB", str(tried.rate)),
            (f"white noise at the same SNR, mean of {DRAWS} draws", f"{noise:.1%}"),
            ("white noise, at least one of them", str(once)),
        ],
    )
    if not tried.rate.hits and not noise:
        return not_applicable(f"Nothing is fooled at {record.snr:g} dB, by the attack or by noise.")
    if noise >= 0.5 * tried.rate.value:
        sentence = f"Not adversarial, just noise: white noise at the same SNR fools {noise:.0%}, the attack {tried.rate.value:.0%}."
        return Judgement(FAIL, sentence, evidence)
    sentence = f"White noise at exactly the same SNR fools {noise:.1%} where the attack fools {tried.rate.value:.0%}."
    return Judgement(PASS, sentence, evidence)
