"""Can the gradient be trusted that the attacks follow? SC-10, SC-11 and SC-15."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from mirguard.attacks.losses import cross_entropy
from mirguard.checks.altered import Scaled
from mirguard.checks.finding import FAIL, PASS, Judgement, not_applicable, table
from mirguard.checks.record import Record
from mirguard.checks.statistics import paired
from mirguard.errors import MirguardError
from mirguard.models.catalogue import find_model
from mirguard.models.contract import Classifier
from mirguard.models.imports.gradient_check import MOST_ZEROS, check_gradient
from mirguard.models.imports.parity import check_parity
from mirguard.models.model_file import read_model_file

TEMPERATURES = (1.0, 10.0, 100.0)
TINY = 1e-12
NO_GRADIENT = "The model gives no gradient at the waveform: only attacks that need none can be used on it."


def slope_is_right(record: Record) -> Judgement:
    """SC-10: the gradient through the whole front end against finite differences."""
    if not record.model.differentiable:
        return not_applicable(NO_GRADIENT)
    record.tell("finite differences")

    def rest() -> None:
        with torch.enable_grad():  # some passes are without: whoever is served in between may need gradients
            record.pause()

    found = check_gradient(record.model, seed=record.seed, rest=rest)
    shown = "–" if found.relative_error is None else f"{100 * found.relative_error:.2g} %"
    evidence = table(
        ("relative error", "limit", "directions", "precision"),
        [(shown, "1 %", "20 random, and its own", found.precision or "–")],
    )
    return Judgement(PASS if found.verdict == PASS else FAIL, found.sentence, evidence)


@dataclass(frozen=True)
class Health:
    """Shares of a gradient's samples: exactly 0, not a number, and below 1e-12 (the exact zeros among them)."""

    zero: float
    nan: float
    tiny: float


def health(model: Classifier, x: torch.Tensor, labels: torch.Tensor, pause=lambda: None) -> Health:
    """Of the gradient of the cross-entropy with `labels (n,)` at windows `x (n, window)`."""
    zero = nan = tiny = 0
    for part, own in zip(x.split(model.micro_batch), labels.split(model.micro_batch), strict=True):
        pause()
        waveform = part.to(model.device).clone().requires_grad_()
        with torch.enable_grad():
            loss = cross_entropy(model.logits(waveform), own.to(model.device), None).sum()
            (g,) = torch.autograd.grad(loss, waveform, allow_unused=True) if loss.requires_grad else (None,)
        g = torch.zeros_like(part) if g is None else g
        zero += int((g == 0).sum())
        nan += int((~g.isfinite()).sum())
        tiny += int((g.abs() < TINY).sum())
    return Health(zero / x.numel(), nan / x.numel(), tiny / x.numel())


def gradient_is_alive(record: Record) -> Judgement:
    """SC-11. That fewer zeros are left where logits are divided is what distillation does (Papernot et al. 2016; Carlini & Wagner
    2017): the softmax saturates, and the cross-entropy has no slope to be followed."""
    if not record.model.differentiable:
        return not_applicable(NO_GRADIENT)
    record.tell("how much of the gradient is zero")
    found = {}
    for temperature in TEMPERATURES:
        model = record.model if temperature == 1.0 else Scaled(record.model, 1.0 / temperature)
        found[temperature] = health(model, record.x, record.labels, record.pause)
    rows = [
        (
            f"gradient, logits ÷ {temperature:g}",
            f"{one.zero:.1%} zero, {one.nan:.1%} NaN, {one.tiny:.1%} below {TINY:g}",
        )
        for temperature, one in found.items()
    ]
    entropy, margin = record.main(), record.pgd(loss="margin")
    both = paired(margin.fooled, entropy.fooled)
    rows += [
        ("pgd on the cross-entropy", str(entropy.rate)),
        ("pgd on the margin", f"{margin.rate}, McNemar p = {both.p:.2g}"),
    ]
    evidence = table(("", "found"), rows)
    plain, soft = found[1.0], min(one.zero for one in found.values())
    if plain.nan:
        return Judgement(FAIL, f"The gradient is no number at {plain.nan:.1%} of the samples.", evidence)
    if plain.zero > MOST_ZEROS:
        why = (
            "less so where the logits are divided, as after distillation: the softmax saturates"
            if soft < plain.zero / 2
            else "whatever the logits are divided by: the front end passes none back"
        )
        return Judgement(
            FAIL, f"Masking suspected: the gradient is exactly 0 at {plain.zero:.0%} of the samples, {why}.", evidence
        )
    if both.first_better:
        sentence = (
            f"Masking suspected: along the margin the attack fools {margin.rate.value:.0%}, along the cross-entropy only "
            f"{entropy.rate.value:.0%}."
        )
        return Judgement(FAIL, sentence, evidence)
    return Judgement(PASS, f"The gradient is there ({plain.zero:.1%} zeros), and both losses fool alike.", evidence)


def front_end_is_the_trained_one(record: Record) -> Judgement:
    """SC-15: what comes out here against what came out where the model was trained, where it brings such a reference."""
    name = record.model.name
    try:
        path = find_model(name).path
        file = read_model_file(path) if path else None
    except MirguardError:
        file = None
    if file is None or not file.parity:
        return not_applicable(
            f"{name} brings no reference output of the place where it was trained (parity in its model.toml), so nothing can be "
            "compared."
        )
    try:
        found = check_parity(record.model, file)
    except MirguardError as error:
        return Judgement(FAIL, str(error))
    shown = "∞" if math.isinf(found.difference) else f"{found.difference:.2g}"
    return Judgement(found.verdict, found.sentence, table(("largest difference", "limit"), [(shown, "0.001")]))
