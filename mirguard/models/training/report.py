"""How good a classifier is on clips that it never heard: by clip, by window, by class, with intervals. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mirguard.intervals import wilson


@dataclass(frozen=True)
class OfLabel:
    """One class of the test clips."""

    label: str
    clips: int
    right: int
    interval: tuple[float, float]


@dataclass(frozen=True)
class Report:
    """Figures on test clips. `confusion[true][said]` counts clips.

    A clip's windows are alike, so they are no independent trials: `window_interval` is Wilson's with the number of clips in the
    place of the number of windows, as wide as if every clip were right or wrong as a whole.
    """

    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    clips: int
    clips_right: int
    windows: int
    windows_right: int

    @classmethod
    def of(
        cls, labels: Sequence[str], wanted: np.ndarray, said: np.ndarray, clip: np.ndarray, window_said: np.ndarray
    ) -> Report:
        """From label numbers: `wanted` and `said (clips,)`, and for each window its `clip` and what was said of it."""
        confusion = np.zeros((len(labels), len(labels)), np.int64)
        np.add.at(confusion, (wanted, said), 1)
        return cls(
            tuple(labels),
            tuple(tuple(int(n) for n in row) for row in confusion),
            len(wanted),
            int((wanted == said).sum()),
            len(clip),
            int((wanted[clip] == window_said).sum()),
        )

    @property
    def clip_accuracy(self) -> float:
        return self.clips_right / self.clips

    @property
    def window_accuracy(self) -> float:
        return self.windows_right / self.windows

    @property
    def clip_interval(self) -> tuple[float, float]:
        return wilson(self.clips_right, self.clips)

    @property
    def window_interval(self) -> tuple[float, float]:
        return wilson(self.window_accuracy * self.clips, self.clips)

    @property
    def by_label(self) -> tuple[OfLabel, ...]:
        found = []
        for number, (label, row) in enumerate(zip(self.labels, self.confusion, strict=True)):
            found.append(OfLabel(label, sum(row), row[number], wilson(row[number], sum(row))))
        return tuple(found)

    @property
    def sentence(self) -> str:
        low, high = self.clip_interval
        clips = f"{self.clips} held-out clip{'s' if self.clips != 1 else ''}"
        return f"{100 * self.clip_accuracy:.0f} % of {clips} (95 % interval {100 * low:.0f}–{100 * high:.0f} %)"

    def card(self) -> dict[str, Any]:
        """What a model's card says under `test`."""
        return {
            "clips": self.clips,
            "clips_right": self.clips_right,
            "clip_accuracy": round(self.clip_accuracy, 6),
            "clip_interval": [round(bound, 6) for bound in self.clip_interval],
            "windows": self.windows,
            "windows_right": self.windows_right,
            "window_accuracy": round(self.window_accuracy, 6),
            "window_interval": [round(bound, 6) for bound in self.window_interval],
            "confusion": [list(row) for row in self.confusion],
        }

    @classmethod
    def from_card(cls, labels: Sequence[str], card: dict[str, Any]) -> Report:
        """The report that `card` came from."""
        counts = (card[key] for key in ("clips", "clips_right", "windows", "windows_right"))
        return cls(tuple(labels), tuple(tuple(row) for row in card["confusion"]), *counts)
