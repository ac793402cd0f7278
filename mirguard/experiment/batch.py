"""The same for a batch of windows at the model's rate: no files, every result per row."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch

from mirguard.attacks.catalogue import find_attack
from mirguard.attacks.ledger import Step
from mirguard.attacks.problem import Batch
from mirguard.attacks.restriction import FREE, Restriction
from mirguard.channel.chain import Link
from mirguard.errors import UsageError
from mirguard.experiment.attack import Rest, attack_problem, view_of
from mirguard.experiment.goal import choose_target
from mirguard.experiment.outcome import BatchOutcome
from mirguard.experiment.plan import check_knowledge, resolve_values
from mirguard.models.contract import Classifier
from mirguard.models.evadable import Evadable


def attack_batch(
    model: Classifier,
    x: torch.Tensor,
    attack: str,
    *,
    labels: torch.Tensor | None = None,
    target: str | torch.Tensor | None = None,
    epsilon: float | None = None,
    snr: float | None = None,
    seed: int = 0,
    surrogates: Sequence[Classifier] = (),
    channel: Sequence[Link] = (),
    draws: int = 8,
    restriction: Restriction = FREE,
    evade: Sequence[Evadable] = (),
    progress: Callable[[Step], None] | None = None,
    cancel: threading.Event | None = None,
    rest: Rest | None = None,
    max_gradients: int | None = None,
    **parameters: Any,
) -> BatchOutcome:
    """Attack windows `x (rows, window)` in ±1 at the model's rate, each row on its own.

    `labels (rows,)` are the true classes (default: the model's own decisions); `target` is a label for all rows or
    class numbers `(rows,)`. With `snr` every row has the budget of its own level. `surrogates`, `channel`, `draws` and
    `restriction` are as for a clip; surrogates must have the model's windows and labels. With detectors to `evade`, a row
    is done only when these, too, are deceived; its `success` tells of the model alone.
    """
    found = find_attack(attack)
    check_knowledge(found, surrogates or (model,), len(surrogates) > 0)
    if x.ndim != 2 or x.shape[1] != model.window:
        raise UsageError(f"{model.name} takes windows of shape (rows, {model.window}); got {tuple(x.shape)}.")
    if not float(x.abs().max()) <= 1.0:  # so that it is no number either
        raise UsageError("Windows must be finite and within full scale ±1.")
    x = x.detach().float()
    z = _logits(model, x)
    said = z.argmax(1)
    labels = said if labels is None else torch.as_tensor(labels, device=x.device).long()
    targets = _targets(model, z, labels, target, parameters.get("goal", "as-set"), seed)
    if targets is None and not found.untargeted:
        raise UsageError(f"{attack} needs a target: the label that is to come out.")
    if targets is not None and not found.targeted:
        raise UsageError(f"{attack} knows no target: it makes any other label come out.")
    level = x.square().mean(1).sqrt()
    if snr is not None and bool((level <= 0).any()):
        raise UsageError("A silent row has no SNR; set the perturbation's size as an amplitude (epsilon).")
    # With an SNR each row has the budget of its own level; the one in `values` stands for the median row.
    typical = float(level.median())
    values = resolve_values(found, typical, epsilon, snr, parameters)
    scale = torch.ones_like(level) if snr is None else level / typical
    epsilon = values["epsilon"] * scale
    problem = Batch(x, model.sample_rate, labels, targets, values["norm"], epsilon, seed, scale, restriction)
    view = view_of(surrogates or (model,), channel, draws, model.sample_rate, seed, evade=evade, like=model)
    ledger, cancelled = attack_problem(problem, view, found, values, progress, cancel, rest, max_gradients)

    wrong = said != labels if targets is None else torch.zeros_like(said, dtype=torch.bool)
    adversarial = torch.where(wrong[:, None], x, (x + ledger.best).clamp(-1.0, 1.0))
    final = _logits(model, adversarial).argmax(1)
    success = final == targets if targets is not None else final != labels
    delta = adversarial - x
    rest_status = "cancelled" if cancelled else "failed"
    return BatchOutcome(
        adversarial=adversarial,
        success=success,
        status=tuple(
            "clean-wrong" if w else "success" if s else rest_status for w, s in zip(wrong, success, strict=True)
        ),
        snr_db=problem.snr_db(delta, torch.arange(len(x), device=x.device)),
        l2=delta.norm(dim=1),
        linf=delta.abs().amax(1),
        gradients=ledger.gradients,
        forwards=ledger.forwards,
        trace={name: torch.stack(lines) if lines else torch.empty(0, len(x)) for name, lines in ledger.trace.items()},
    )


def _logits(model: Classifier, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([model.logits(part.to(model.device)).to(x.device) for part in x.split(model.micro_batch)])


def _targets(
    model: Classifier,
    z: torch.Tensor,
    labels: torch.Tensor,
    target: str | torch.Tensor | None,
    goal: str,
    seed: int,
) -> torch.Tensor | None:
    """The class each row is to reach `(rows,)`, or None; `z` are the clean logits."""
    if goal != "as-set":
        if target is not None:
            raise UsageError(f"Give the label to bring out once: either as a target or as the goal {goal!r}.")
        rows = zip(z, labels.tolist(), strict=True)
        return torch.tensor([choose_target(goal, row, None, own, seed) for row, own in rows], device=z.device)
    if target is None:
        return None
    if isinstance(target, str):
        targets = torch.full_like(labels, model.index(target))
    else:
        targets = torch.as_tensor(target, device=z.device).long()
    if bool((targets == labels).any()):
        raise UsageError("Some rows have the target as their label already; choose another target for them.")
    return targets
