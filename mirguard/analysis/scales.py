"""Frequency scales of a display: linear, logarithmic and mel, and the ticks that belong to each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mirguard.errors import UsageError

LOWEST_LOG_HZ = 30.0  # a logarithmic axis has to begin somewhere; below lies no pitch that matters in music


@dataclass(frozen=True)
class Scale:
    """A monotone map from Hz to the axis coordinate and back; both take numbers or arrays."""

    name: str
    lowest: float  # Hz at the bottom of the axis
    forward: Callable
    inverse: Callable

    def span(self, top_hz: float) -> tuple[float, float]:
        """The axis coordinates of the lowest frequency and of `top_hz`."""
        return float(self.forward(self.lowest)), float(self.forward(max(top_hz, self.lowest * 2, 1.0)))

    def ticks(self, low: float, high: float, most: int) -> tuple[list[float], list[float]]:
        """Labelled and minor tick frequencies in Hz inside [low, high] Hz, about `most` labelled ones.

        On every scale ticks keep a distance of about 1/most of the axis, so that labels never collide.
        """
        most = max(2, most)
        low, high = max(low, self.lowest), max(high, self.lowest + 1e-6)
        if (
            self.name == "linear"
            or (self.name == "log" and high / low < 3)
            or (self.name == "mel" and high - low < 500)
        ):
            step = nice_step((high - low) / most)
            return _multiples(step, low, high), _multiples(step / 5, low, high)
        bottom, top = float(self.forward(low)), float(self.forward(high))
        apart = (top - bottom) / most
        chosen: list[float] = []
        # Rounder numbers first: each gets its label if no label taken before stands too near.
        for ring in _ROUND:
            for hz in ring:
                at = float(self.forward(hz))
                if low <= hz <= high and all(abs(at - float(self.forward(other))) >= apart for other in chosen):
                    chosen.append(hz)
        minor = [hz for ring in _ROUND for hz in ring if low <= hz <= high and hz not in chosen]
        return sorted(chosen), sorted(minor)


def _log_forward(hz):
    return np.log2(np.maximum(hz, 1e-3))


def _mel_forward(hz):
    return 2595.0 * np.log10(1.0 + np.asarray(hz, float) / 700.0)


def _mel_inverse(mel):
    return 700.0 * (10.0 ** (np.asarray(mel, float) / 2595.0) - 1.0)


# mel: the formula of O'Shaughnessy, Speech Communication (1987), as in HTK.
SCALES = {
    "linear": Scale("linear", 0.0, lambda hz: np.asarray(hz, float), lambda value: np.asarray(value, float)),
    "log": Scale("log", LOWEST_LOG_HZ, _log_forward, np.exp2),
    "mel": Scale("mel", 0.0, _mel_forward, _mel_inverse),
}

_DECADES = [10.0**power for power in range(6)]
_ROUND = [
    [0.0],
    [1000.0, 100.0, 10000.0],
    [2000.0, 5000.0, 500.0, 200.0, 50.0, 20000.0, 50000.0],
    [digit * decade for decade in _DECADES for digit in (3.0, 4.0, 8.0, 6.0)],
    [digit * decade for decade in _DECADES for digit in (7.0, 9.0, 1.5, 2.5)],
]


def scale(name: str) -> Scale:
    """The scale of that name; raises UsageError."""
    try:
        return SCALES[name]
    except KeyError:
        raise UsageError(f"There is no frequency scale {name!r}; choose {', '.join(SCALES)}.") from None


def nice_step(rough: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least `rough`."""
    if not rough > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(rough))
    for digit in (1.0, 2.0, 5.0, 10.0):
        if digit * power >= rough * (1 - 1e-9):
            return float(digit * power)
    return float(10.0 * power)


def nice_time_step(rough: float) -> float:
    """As nice_step, in seconds as people count them: 1, 2, 5, 10, 15, 30, 60 s, 2, 5, 10 min …"""
    if rough <= 1.0:
        return nice_step(rough)
    for step in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600):
        if step >= rough * (1 - 1e-9):
            return float(step)
    return 3600.0 * nice_step(rough / 3600.0)


def _multiples(step: float, low: float, high: float) -> list[float]:
    first, last = int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9))
    return [index * step for index in range(first, min(last, first + 2000) + 1)]
