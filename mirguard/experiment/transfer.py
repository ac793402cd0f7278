"""Transfer: what an attack made on some models does to others, at one and the same SNR, beside white noise.

Papernot, McDaniel & Goodfellow 2016 ("Transferability in machine learning") count it across learning techniques, Liu, Chen, Liu &
Song 2017 for single models and for ensembles: untargeted, how often another model's label changes; targeted, how often the
target itself comes out (their matching rate).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mirguard.models.training.report import wilson

UNTARGETED, TARGETED = "untargeted", "targeted"
GOALS = (UNTARGETED, TARGETED)


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
