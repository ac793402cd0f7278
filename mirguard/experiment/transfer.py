"""Transfer: what an attack made on some models does to others, at one and the same SNR, beside white noise.

Papernot, McDaniel & Goodfellow 2016 ("Transferability in machine learning") count it across learning techniques, Liu, Chen, Liu &
Song 2017 for single models and for ensembles: untargeted, how often another model's label changes; targeted, how often the
target itself comes out (their matching rate).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mirguard.attacks.attack import LIMIT, Attack
from mirguard.attacks.catalogue import find_attack
from mirguard.attacks.problem import Batch, row_seed
from mirguard.attacks.view import View
from mirguard.errors import Cancelled, UsageError
from mirguard.experiment.attack import Rest, attack_problem
from mirguard.experiment.plan import check_knowledge, resolve_values
from mirguard.intervals import wilson
from mirguard.models.contract import Classifier
from mirguard.models.tracks import heard_as

UNTARGETED, TARGETED = "untargeted", "targeted"
GOALS = (UNTARGETED, TARGETED)
CLIPPINGS = 5  # how often δ is brought back to its size after the box has cut off its tips


@dataclass(frozen=True)
class Cell:
    """Of the `clips` sounds that `target` got right, how many `hits` there were by what was made on `sources` in equal parts.

    No sources: white noise at the same SNR."""

    sources: tuple[str, ...]
    target: str
    hits: int
    clips: int

    @property
    def rate(self) -> float:
        """nan where the target got nothing right."""
        return self.hits / self.clips if self.clips else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the rate (Wilson)."""
        return wilson(self.hits, self.clips)

    @property
    def known(self) -> bool:
        """Whether the attack saw the target itself: then nothing was transferred."""
        return self.target in self.sources

    def to_json(self) -> dict[str, Any]:
        return {"sources": list(self.sources), "target": self.target, "hits": self.hits, "clips": self.clips}


@dataclass(frozen=True)
class TransferMatrix:
    """One attack with one goal at one SNR: a row for each of `sources` (the first, (), is white noise), a column for each of
    `targets`; `cells` are row by row."""

    attack: str
    goal: str
    snr_db: float
    sounds: int
    seed: int
    sources: tuple[tuple[str, ...], ...]
    targets: tuple[str, ...]
    cells: tuple[Cell, ...]

    def cell(self, sources: Sequence[str], target: str) -> Cell:
        return self.cells[self.sources.index(tuple(sources)) * len(self.targets) + self.targets.index(target)]

    def to_json(self) -> dict[str, Any]:
        return {
            "attack": self.attack,
            "goal": self.goal,
            "snr_db": self.snr_db,
            "sounds": self.sounds,
            "seed": self.seed,
            "sources": [list(names) for names in self.sources],
            "targets": list(self.targets),
            "cells": [cell.to_json() for cell in self.cells],
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> TransferMatrix:
        cells = (
            Cell(tuple(cell["sources"]), cell["target"], cell["hits"], cell["clips"]) for cell in document["cells"]
        )
        rest = {key: document[key] for key in ("attack", "goal", "snr_db", "sounds", "seed")}
        return cls(
            **rest,
            sources=tuple(tuple(names) for names in document["sources"]),
            targets=tuple(document["targets"]),
            cells=tuple(cells),
        )


def transfer_matrix(
    sources: Sequence[Classifier | Sequence[Classifier]],
    targets: Sequence[Classifier],
    x: torch.Tensor,
    truth: Sequence[str],
    attack: str = "pgd",
    *,
    snr: float = 30.0,
    goal: str = UNTARGETED,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    cancel: threading.Event | None = None,
    rest: Rest | None = None,
    **parameters: Any,
) -> TransferMatrix:
    """Attack windows `x (rows, window)` whose true labels are `truth` on each of the `sources` (a model, or several in equal
    parts), bring every δ to an RMS of exactly `snr` dB below its sound, and ask all `targets`.

    Attacks use their whole budget. Targeted, each sound is to become another label drawn by chance, the same for all
    sources. `progress` is told how many of the sources, white noise being the first, are done. Raises Cancelled."""
    if goal not in GOALS:
        raise UsageError(f"What is to transfer is {' or '.join(GOALS)}; got {goal!r}.")
    groups = [(one,) if isinstance(one, Classifier) else tuple(one) for one in sources]
    if not groups or not targets or len(truth) != len(x):
        raise UsageError("A transfer matrix needs a source, a target and the true label of every sound.")
    found = find_attack(attack)
    if goal == UNTARGETED and not found.untargeted:
        raise UsageError(f"{attack} needs a target; let labels that are aimed at transfer ({TARGETED}).")
    if goal == TARGETED and not found.targeted:
        raise UsageError(f"{attack} knows no target: it makes any other label come out.")
    for group in groups:
        check_knowledge(found, group, False)
    level = x.square().mean(1).sqrt()
    if bool((level <= 0).any()):
        raise UsageError("A silent sound has no SNR; leave it out.")
    wanted = _wanted(groups[0][0].labels, truth, goal, x, seed)
    columns = [(model, heard_as(model, x, rest) == _numbers(model, truth)) for model in targets]
    cells = []
    for done, group in enumerate([(), *groups]):
        if progress is not None:
            progress(done, len(groups) + 1)
        delta = _perturbation(
            group or groups[0], found if group else None, x, truth, wanted, snr, seed, cancel, rest, parameters
        )
        adversarial = x + delta
        for model, right in columns:
            said = heard_as(model, adversarial, rest)
            hit = said != _numbers(model, truth) if wanted is None else said == _numbers(model, wanted)
            names = tuple(one.name for one in group)
            cells.append(Cell(names, model.name, int((hit & right).sum()), int(right.sum())))
    if progress is not None:
        progress(len(groups) + 1, len(groups) + 1)
    rows = ((), *(tuple(model.name for model in group) for group in groups))
    return TransferMatrix(attack, goal, snr, len(x), seed, rows, tuple(model.name for model in targets), tuple(cells))


def _perturbation(
    group: Sequence[Classifier],
    attack: Attack | None,
    x: torch.Tensor,
    truth: Sequence[str],
    wanted: Sequence[str] | None,
    snr: float,
    seed: int,
    cancel: threading.Event | None,
    rest: Rest | None,
    parameters: dict[str, Any],
) -> torch.Tensor:
    """δ `(rows, n)` at exactly `snr` dB, made on `group`; white noise without an attack."""
    level = x.square().mean(1).sqrt()
    epsilon, typical = level * 10.0 ** (-snr / 20.0), float(level.median())
    values: dict[str, Any] = {"norm": "l2"}
    if attack is not None:
        declared = {parameter.name for parameter in attack.parameters}
        whole = {"stop_early": False} if "stop_early" in declared else {}
        # What looks for the smallest perturbation has no budget: it is made larger or smaller afterwards.
        limit = None if LIMIT in attack.parameters else snr
        values = resolve_values(attack, typical, None, limit, {**whole, **parameters})
        if limit is None:
            epsilon = torch.full_like(level, values["epsilon"])
    first = group[0]
    aims = None if wanted is None else _numbers(first, wanted)
    problem = Batch(x, first.sample_rate, _numbers(first, truth), aims, values["norm"], epsilon, seed, level / typical)
    if attack is None:
        delta = problem.noise()
    else:
        ledger, cancelled = attack_problem(problem, View(*group, like=first), attack, values, None, cancel, rest, None)
        if cancelled:
            raise Cancelled
        delta = ledger.best
    goal = level * 10.0 ** (-snr / 20.0)
    for _ in range(CLIPPINGS):
        size = delta.square().mean(1).sqrt().clamp_min(1e-30)
        delta = (delta * (goal / size)[:, None]).clamp(problem.lower, problem.upper)
    return delta


def _wanted(
    labels: Sequence[str], truth: Sequence[str], goal: str, x: torch.Tensor, seed: int
) -> tuple[str, ...] | None:
    if goal == UNTARGETED:
        return None
    found = []
    for row, own in zip(x, truth, strict=True):
        others = [label for label in labels if label != own]
        generator = row_seed(seed, b"transfer" + row.cpu().contiguous().numpy().tobytes())
        found.append(others[int(torch.randint(len(others), (), generator=generator))])
    return tuple(found)


def _numbers(model: Classifier, labels: Sequence[str]) -> torch.Tensor:
    return torch.tensor([model.index(label) for label in labels])
