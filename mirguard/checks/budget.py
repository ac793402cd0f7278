"""Does the attack behave as an attack must when it gets more steps or more room? SC-01 to SC-04, SC-08 and SC-09.

The rules are those of Carlini et al. 2019 ("On Evaluating Adversarial Robustness") and Athalye et al. 2018: one step cannot beat
many, more room cannot hurt, and without a bound everything falls.
"""

from __future__ import annotations

from itertools import pairwise

import torch

from mirguard.checks.finding import FAIL, NOT_APPLICABLE, PASS, WARN, Judgement, not_applicable, table
from mirguard.checks.record import GRID, HIGH, STEPS, Record
from mirguard.checks.statistics import Rate, paired, rate
from mirguard.words import counted

UNBOUNDED = 2.0  # of full scale: the way from one end of it to the other
UNBOUNDED_STEPS = 1000
FIRST_LOOK = 50  # steps, after which only what still stands goes on
GROUP = 4  # clips that go on together: one that holds out decides, and the rest need not be waited for
LARGEST_CHANGE = 0.01  # of success and of loss
STEP_SIZES = (0.25, 4.0)
NO_GRADIENT = "The model gives no gradient, so there is no iterative white-box attack to compare."


def iterative_beats_single_step(record: Record) -> Judgement:
    """SC-01."""
    if not record.model.differentiable:
        return not_applicable(NO_GRADIENT)
    single, many = record.attack("fgsm", snr=record.snr), record.main()
    both = paired(single.fooled, many.fooled)
    evidence = table(
        ("attack", "fooled", "fools alone", "McNemar p"),
        [
            ("fgsm", str(single.rate), both.first_only, both.p),
            (f"pgd, {STEPS} steps", str(many.rate), both.second_only, both.p),
        ],
    )
    if not single.rate.hits and not many.rate.hits:
        return Judgement(NOT_APPLICABLE, f"At {record.snr:g} dB neither one step nor many fool anything.", evidence)
    if both.first_better:
        return Judgement(FAIL, "One step fools more clips than many do: the gradient leads astray.", evidence)
    if both.first_only:
        sentence = (
            f"One step fools {counted(both.first_only, 'clip')} that many steps do not: the latter could be better."
        )
        return Judgement(WARN, sentence, evidence)
    return Judgement(PASS, "Many small steps fool every clip that one large step fools.", evidence)


def more_room_never_hurts(record: Record) -> Judgement:
    """SC-02."""
    snrs = sorted({*GRID, record.snr}, reverse=True)
    chain = torch.zeros(record.size, dtype=torch.bool)
    rows, rates = [], []
    for snr in snrs:
        tried = record.main(snr)
        chain = chain | tried.fooled
        rates.append(tried.rate)
        rows.append((f"{snr:g} dB", str(tried.rate), str(rate(chain))))
    drops = [
        (snrs[place + 1], before.value - after.value)
        for place, (before, after) in enumerate(pairwise(rates))
        if before.value - after.value > before.half_width
    ]
    evidence = table(("SNR at least", f"{record.judged} fools", "best so far"), rows)
    if drops:
        snr, drop = max(drops, key=lambda found: found[1])
        sentence = (
            f"Success falls by {drop:.0%} when the budget grows to {snr:g} dB, which an attack that works cannot do."
        )
        return Judgement(FAIL, sentence, evidence)
    first, last = rates[0].value, rates[-1].value
    if not last:
        return Judgement(NOT_APPLICABLE, "At no budget is anything fooled, so nothing can rise.", evidence)
    return Judgement(PASS, f"Success rises with the budget, from {first:.0%} to {last:.0%}.", evidence)


def unbounded_reaches_everything(record: Record) -> Judgement:
    """SC-03. Clips that stand after 50 steps go on in small groups up to 1,000 until one group holds out."""
    fooled, stand = _unbounded(record)
    evidence = table(
        ("attack", "largest δ", "steps at the most", "fooled", "not fooled", "not tried to the end"),
        [(record.judged, "full scale", UNBOUNDED_STEPS, fooled, stand, record.size - fooled - stand)],
    )
    if not stand:
        return Judgement(PASS, "Where the perturbation may be of any size, every clip is fooled.", evidence)
    sentence = (
        f"Where the perturbation may be of any size, {counted(stand, 'clip')} still cannot be fooled: the attack or the graph is "
        "broken."
    )
    return Judgement(FAIL, sentence, evidence)


def _unbounded(record: Record) -> tuple[int, int]:
    """How many were fooled, and how many were not with all their steps."""
    if not record.model.differentiable:
        fooled = record.attack("square", epsilon=UNBOUNDED, queries=UNBOUNDED_STEPS).fooled
        return int(fooled.sum()), int((~fooled).sum())
    settings = {"epsilon": UNBOUNDED, "steps": UNBOUNDED_STEPS}
    fooled = record.attack("pgd", max_gradients=FIRST_LOOK, **settings).fooled.clone()
    standing = (~fooled).nonzero()[:, 0]
    for group in standing.split(GROUP) if len(standing) else ():
        fooled[group] = record.attack("pgd", rows=group, **settings).fooled
        if not bool(fooled[group].all()):
            return int(fooled.sum()), int((~fooled[group]).sum())
    return record.size, 0


def high_budget_leaves_chance(record: Record) -> Judgement:
    """SC-04."""
    tried, chance = record.main(HIGH), 1.0 / len(record.model.labels)
    left = Rate(record.size - tried.rate.hits, record.size)
    evidence = table(
        ("SNR at least", "attack", "still right", "chance"),
        [(f"{HIGH:g} dB", tried.attack, str(left), f"{chance:.1%}")],
    )
    if left.interval[0] <= chance:
        sentence = f"A perturbation as loud as the sound leaves no more accuracy than chance ({left.value:.0%})."
        return Judgement(PASS, sentence, evidence)
    sentence = (
        f"A perturbation as loud as the sound leaves an accuracy of {left.value:.0%}, above chance ({chance:.0%})."
    )
    return Judgement(WARN, sentence, evidence)


def converged(record: Record) -> Judgement:
    """SC-08. The loss is the hinge max(margin, 0) of Carlini & Wagner's f, as a part of what it was before the attack: beyond the
    boundary the cross-entropy falls for ever without another clip being fooled."""
    if not record.model.differentiable:
        return not_applicable(NO_GRADIENT)
    start = record.pgd(steps=STEPS).outcome.trace["margin"][0].neg().clamp_min(0.0).mean()
    base, rows, moved = record.main(), [], []
    for words, tried in (
        (f"{STEPS} steps", base),
        (f"{2 * STEPS} steps", record.pgd(steps=2 * STEPS)),
        (f"{STEPS} steps, 2 starts", record.pgd(steps=STEPS, restarts=2)),
    ):
        success = tried.rate.value - base.rate.value
        loss = float((_hinge(tried) - _hinge(base)).mean() / start.clamp_min(1e-12))
        rows.append((words, str(tried.rate), f"{100 * success:+.1f} points", f"{100 * loss:+.2f} %"))
        moved.append((abs(success) > LARGEST_CHANGE + 1e-9, abs(loss) > LARGEST_CHANGE, words))
    evidence = table(("attack", "fooled", "change of success", "change of loss"), rows)
    wrong = [words for success, loss, words in moved if success or loss]
    if wrong:
        what = "success" if any(success for success, _loss, _words in moved) else "the loss"
        return Judgement(WARN, f"Not converged: {what} still changes with {' and with '.join(wrong)}.", evidence)
    return Judgement(PASS, "Twice the steps or twice the starts change nothing.", evidence)


def _hinge(tried) -> torch.Tensor:
    """What is left to the boundary at the best candidate of each row, in logits `(n,)`; 0 where it is fooled."""
    margins = tried.outcome.trace["margin"]
    return torch.nan_to_num(margins, nan=-torch.inf).amax(0).neg().clamp_min(0.0)


def loss_falls(record: Record) -> Judgement:
    """SC-09."""
    if not record.model.differentiable:
        return not_applicable(NO_GRADIENT)
    loss = record.main().outcome.trace["loss"]
    change = loss[1:] - loss[:-1]
    steps = change[change.isfinite()]
    stalls = rate(steps >= 0)
    size = record.main().values["step_size"]
    rows = [("× 1", str(record.main().rate), f"{stalls.value:.0%} of {stalls.count} steps")]
    better = []
    for factor in STEP_SIZES:
        tried = record.pgd(step_size=factor * size)
        rows.append((f"× {factor:g}", str(tried.rate), ""))
        if paired(tried.fooled, record.main().fooled).first_better:
            better.append(f"× {factor:g}")
    evidence = table(("step size", "fooled", "loss does not fall in"), rows)
    if stalls.count and stalls.value > 0.5:
        return Judgement(WARN, f"The loss does not fall in {stalls.value:.0%} of the steps.", evidence)
    if better:
        return Judgement(WARN, f"The loss falls, but steps of {' and '.join(better)} fool more clips.", evidence)
    return Judgement(PASS, "The loss falls in most steps, and no other step size does better.", evidence)
