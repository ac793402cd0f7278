"""How loud a perturbation may be before a listener hears it: an adaptive forced-choice test.

Levitt, "Transformed up-down methods in psychoacoustics", JASA 49, 1971. A trial plays the sound twice, once with the perturbation;
the listener says which time that was. Three right answers make the next trials harder by a step, one wrong answer makes them
easier ("3-down 1-up"), so that the level settles where p³ = ½: at 79.4 % right answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

STEPS_DB = (8.0, 4.0, 2.0)  # each for two turns, the last one to the end
COUNTED = 8  # turns at the last step, whose mean is the threshold
IN_A_ROW = 3
LOWEST_DB, HIGHEST_DB = -10.0, 100.0  # SNR
MOST_TRIALS = 150
GAP, FADE = 0.4, 0.01  # seconds between the two sounds of a trial, and of their ends


@dataclass
class Staircase:
    """The trials of one listener. `level` is the SNR in dB of the next one: higher is harder."""

    level: float
    trials: int = 0
    turns: list[float] = field(default_factory=list)
    _row: int = 0
    _direction: int = 0

    @property
    def step(self) -> float:
        return STEPS_DB[min(len(self.turns) // 2, len(STEPS_DB) - 1)]

    @property
    def counted(self) -> list[float]:
        """The turns at the last step."""
        return self.turns[2 * (len(STEPS_DB) - 1) :]

    @property
    def done(self) -> bool:
        return len(self.counted) >= COUNTED or self.trials >= MOST_TRIALS

    def answer(self, right: bool) -> None:
        """Take an answer to the trial at `level`."""
        self.trials += 1
        self._row = self._row + 1 if right else 0
        if right and self._row < IN_A_ROW:
            return
        self._row, direction = 0, 1 if right else -1
        if self._direction not in (0, direction):
            self.turns.append(self.level)
        self._direction = direction
        self.level = min(max(self.level + direction * self.step, LOWEST_DB), HIGHEST_DB)

    @property
    def threshold(self) -> float | None:
        """The SNR in dB at which the listener is right in 79.4 % of trials; None before there are enough turns."""
        return float(np.mean(self.counted)) if len(self.counted) >= COUNTED else None

    @property
    def spread(self) -> float | None:
        """How uncertain the threshold is, in dB: the standard deviation of the turns. Of simulated listeners' thresholds it is
        between one and two and a half standard deviations."""
        return float(np.std(self.counted, ddof=1)) if self.threshold is not None else None


def excerpt(perturbation: np.ndarray, rate: int, seconds: float = 2.0) -> tuple[int, int]:
    """The frames `[a, b)` of that length in which the perturbation `(channels, frames)` is strongest."""
    frames = perturbation.shape[1]
    length = min(frames, round(seconds * rate))
    hop = max(1, length // 8)
    starts = np.arange(0, frames - length + 1, hop)
    running = np.concatenate([[0.0], np.cumsum(np.square(perturbation, dtype=np.float64).sum(0))])
    first = int(starts[np.argmax(running[starts + length] - running[starts])])
    return first, first + length


def trial(original: np.ndarray, perturbation: np.ndarray, gain_db: float, second: bool, rate: int) -> np.ndarray:
    """The sound of a trial `(channels, frames)`: the original twice, the first or the second time with the perturbation."""
    changed = np.clip(original + perturbation * np.float32(10.0 ** (gain_db / 20.0)), -1.0, 1.0)
    fade = min(round(FADE * rate), original.shape[1] // 2)
    ends = np.ones(original.shape[1], np.float32)
    ends[:fade] = 0.5 - 0.5 * np.cos(np.pi * np.arange(fade) / max(fade, 1))
    ends[original.shape[1] - fade :] = ends[:fade][::-1]
    silence = np.zeros((len(original), round(GAP * rate)), np.float32)
    pair = (original, changed) if second else (changed, original)
    return np.concatenate([pair[0] * ends, silence, pair[1] * ends], axis=1, dtype=np.float32)
