"""How a training goes: loss, and accuracy on what is learned from and on what is held out, by epoch."""

from __future__ import annotations

import math

import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from mirguard.workbench.theme import colours
from mirguard.workbench.views.formats import format_figures
from mirguard.workbench.views.two_axes import SIDES, TwoAxes

LOSS, TRAINING, VALIDATION = "loss", "training", "validation"
WORDS = {LOSS: "Loss", TRAINING: "Accuracy in training", VALIDATION: "Accuracy in validation"}
COLOURS = {LOSS: "muted", TRAINING: "original", VALIDATION: "adversarial"}
STYLES = {LOSS: Qt.PenStyle.DotLine, TRAINING: Qt.PenStyle.DashLine, VALIDATION: Qt.PenStyle.SolidLine}


class LearningCurves(TwoAxes):
    """The accuracies in per cent on the left axis, the loss on the right one. Curves differ in stroke as in colour."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            "Learning curves",
            steps="Epoch",
            empty="Loss and accuracy of each epoch appear here",
            sign="model",
            top=8,
            parent=parent,
        )
        self.viewport().setAccessibleName("Learning curves, plot")
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setMinimumSize(260, 120)
        self._epochs = 0
        self.values: dict[str, list[float]] = {name: [] for name in WORDS}
        item = self.getPlotItem()
        item.showAxis("right")
        self._curves = {name: pg.PlotDataItem(symbolSize=6, symbolPen=None) for name in WORDS}
        for name, curve in self._curves.items():
            (self.second if name == LOSS else item).addItem(curve)
        self.reset()
        self.restyle()

    @property
    def empty(self) -> bool:
        return not self.values[LOSS]

    def reset(self) -> None:
        """Forget the curves; the empty state comes back."""
        self.values = {name: [] for name in WORDS}
        for curve in self._curves.values():
            curve.setData([], [])
        self._show()

    def append(self, number: int, of: int, loss: float, accuracy: float, validation: float | None) -> None:
        """What is known after an epoch, accuracies from 0 to 1. An epoch numbered 1 begins the curves anew."""
        if number == 1 and self.values[LOSS]:
            self.reset()
        self._epochs = of
        found = {LOSS: loss, TRAINING: 100 * accuracy, VALIDATION: math.nan if validation is None else 100 * validation}
        for name, value in found.items():
            self.values[name].append(float(value))
        self._redraw()

    @property
    def summary(self) -> str:
        """The last epoch in words, "" before the first."""
        if not self.values[LOSS]:
            return ""
        parts = [f"Epoch {len(self.values[LOSS])} of {self._epochs}", f"loss {format_figures(self.values[LOSS][-1])}"]
        parts.append(f"training {self.values[TRAINING][-1]:.0f} %")
        if math.isfinite(self.values[VALIDATION][-1]):
            parts.append(f"validation {self.values[VALIDATION][-1]:.0f} %")
        return " · ".join(parts)

    def _redraw(self) -> None:
        if self.closed:
            return
        numbers = list(range(1, len(self.values[LOSS]) + 1))
        # One epoch alone is no line: it is marked with a dot.
        symbol = "o" if len(numbers) == 1 else None
        for name, curve in self._curves.items():
            pairs = [(x, y) for x, y in zip(numbers, self.values[name], strict=True) if math.isfinite(y)]
            curve.setData([x for x, _ in pairs], [y for _, y in pairs], symbol=symbol)
        accuracies = [v for name in (TRAINING, VALIDATION) for v in self.values[name] if math.isfinite(v)]
        item = self.getPlotItem()
        low = min(accuracies, default=0.0)
        item.vb.setYRange(max(0.0, 10 * math.floor((low - 5) / 10)), 100, padding=0.04)
        losses = [v for v in self.values[LOSS] if math.isfinite(v)]
        if losses:
            self.second.setYRange(0.0, max(losses) or 1.0, padding=0.04)
        item.vb.setXRange(1, max(2, self._epochs), padding=0.02)
        self.setAccessibleDescription(self.summary)
        self._show()

    def _show(self) -> None:
        for side in SIDES:
            self.getPlotItem().showAxis(side, not self.empty)
        if self.empty:
            self.describe_emptiness()
        self.viewport().update()

    def restyle(self) -> None:
        """Take the theme's colours."""
        if self.closed:
            return
        self.style_axes()
        chosen, item = colours(), self.getPlotItem()
        item.setLabel("left", "Accuracy, %", color=chosen.muted)
        item.setLabel("right", "Loss", color=chosen.muted)
        item.setLabel("bottom", "Epoch", color=chosen.muted)
        for name, curve in self._curves.items():
            colour = getattr(chosen, COLOURS[name])
            curve.setPen(pg.mkPen(colour, width=2 * self.devicePixelRatioF(), style=STYLES[name]))
            curve.setSymbolBrush(pg.mkBrush(colour))
        self._show()
