"""Does the model answer the same each time, and is every clip attacked that is counted? SC-12 and SC-13."""

from __future__ import annotations

import torch
from torch import nn

from mirguard.checks.altered import Averaged, FixedSeed
from mirguard.checks.finding import FAIL, PASS, WARN, Judgement, table
from mirguard.checks.record import HIGH, STEPS, Record
from mirguard.experiment import attack_batch
from mirguard.models.contract import Classifier
from mirguard.words import counted

REPEATS = 10
DRAWS = 8
SAME = 1e-4  # of the largest logit
ASKED = 8  # windows


def answers_stay(record: Record) -> Judgement:
    """SC-12."""
    training = _training(record.model)
    record.tell("the same windows ten times")
    labels, apart = _repeated(record, record.model)
    rows = [
        ("modules in training mode", len(training)),
        (f"windows whose label changes in {REPEATS} passes", labels),
        ("largest change of a logit, of the largest logit", f"{apart:.1g}"),
    ]
    if training:
        sentence = (
            f"In training mode: {counted(len(training), 'module')} of the model ({training[0]}), so dropout and batch norm are not "
            "frozen."
        )
        return Judgement(FAIL, sentence, table(("", "found"), rows))
    if not labels and apart <= SAME:
        return Judgement(
            PASS,
            f"The model says the same in {REPEATS} passes, with nothing left in training mode.",
            table(("", "found"), rows),
        )
    if not record.model.differentiable:
        sentence = "The model's answers are random: every figure has to be a mean over several passes."
        return Judgement(WARN, sentence, table(("", "found"), rows))
    return _random(record, rows)


def _random(record: Record, rows: list[tuple]) -> Judgement:
    """A random model: with its randomness fixed it must fall as any other, and attacks must be means over it."""
    fixed = FixedSeed(record.model, record.seed)
    moved, apart = _repeated(record, fixed)
    right = record.heard(record.x, fixed) == record.labels
    numbers = right.nonzero()[:, 0]
    tried = record.attack("pgd", model=fixed, snr=HIGH, steps=STEPS, rows=numbers) if len(numbers) else None
    eot = record.attack("pgd", model=Averaged(record.model, DRAWS), snr=record.snr, steps=STEPS // 2)
    rows += [
        (f"pgd at {HIGH:g} dB with the randomness fixed", "–" if tried is None else str(tried.rate)),
        (f"pgd at {record.snr:g} dB, mean of {DRAWS} passes a step", str(eot.rate)),
    ]
    evidence = table(("", "found"), rows)
    if moved or apart > SAME:
        return Judgement(FAIL, "The model's answers are random, and stay so when torch's seed is fixed.", evidence)
    if tried is None or tried.rate.hits < tried.rate.count:
        return Judgement(
            FAIL,
            "The model's answers are random, and even with the randomness fixed the attack does not succeed.",
            evidence,
        )
    sentence = (
        "The model's answers are random, but fall where that is fixed: attacks must be means over several passes (EOT)."
    )
    return Judgement(WARN, sentence, evidence)


def _training(model: Classifier) -> list[str]:
    """The names of modules, in whatever attribute of the classifier, that are in training mode."""
    found = []
    for place, part in vars(model).items():
        if isinstance(part, nn.Module):
            found += [f"{place}.{name}".rstrip(".") for name, module in part.named_modules() if module.training]
        elif isinstance(part, Classifier):
            found += _training(part)
    return found


def _repeated(record: Record, model: Classifier) -> tuple[int, float]:
    """How many windows change their label over ten passes, and by how much of the largest one a logit does."""
    some, heard = record.x[:ASKED], []
    for _ in range(REPEATS):
        record.pause()
        with torch.no_grad():
            heard.append(
                torch.cat([model.logits(part.to(model.device)).cpu() for part in some.split(model.micro_batch)])
            )
    z = torch.stack(heard)
    labels = z.argmax(2)
    apart = float((z.amax(0) - z.amin(0)).max() / z.abs().max().clamp_min(1e-12))
    return int((labels != labels[0]).any(0).sum()), apart


def only_right_clips_count(record: Record) -> Judgement:
    """SC-13: what is wrong before the attack is left out and told apart; a window with a false label shows that it is."""
    sounds = record.sounds
    false = (record.labels[:1] + 1) % len(record.model.labels)
    kept = attack_batch(record.model, record.x[:1], "noise", labels=false, snr=record.snr, seed=record.seed)
    apart = kept.status == ("clean-wrong",) and bool((kept.adversarial == record.x[:1]).all())
    rows = [
        ("right, attacked and counted", len(sounds.labels)),
        ("wrong before the attack, left out", len(sounds.wrong)),
        ("already the target", "no target was set"),
        ("true labels", "known" if sounds.known else "not known: what the model hears counts as right"),
        ("a false label is reported apart, its sound unchanged", "yes" if apart else "no"),
    ]
    evidence = table(("windows", "found"), rows)
    if not apart:
        return Judgement(FAIL, "Windows that are wrong from the start are counted as fooled.", evidence)
    if not sounds.known:
        sentence = (
            "Nobody has said what is right, so what the model hears counts as right: accuracy itself is not known."
        )
        return Judgement(PASS, sentence, evidence)
    if sounds.wrong:
        sentence = (
            f"Left out and counted apart: {counted(len(sounds.wrong), 'window')} that the model gets wrong anyway."
        )
        return Judgement(PASS, sentence, evidence)
    return Judgement(PASS, "No window was wrong before it was attacked.", evidence)
