"""ROC curves of one detector: what it catches of attacked clips against what it flags of clean and noisy ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from mirguard.workbench.theme import colours
from mirguard.workbench.views.two_axes import SIDES, TwoAxes

STATIC, ADAPTIVE = "static", "adaptive"
TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
LOG_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
ROLES = {STATIC: "original", ADAPTIVE: "adversarial"}
STROKES = {STATIC: Qt.PenStyle.SolidLine, ADAPTIVE: Qt.PenStyle.DashLine}
Curves = Mapping[str, tuple[np.ndarray, np.ndarray]]


class RocPlot(TwoAxes):
    """The curves "static" and "adaptive" over a linear or logarithmic false-positive rate; dotted: guessing."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            "ROC curves",
            steps="False-positive rate",
            empty="The ROC curves appear here",
            sign="detector",
            top=8,
            parent=parent,
        )
        self.viewport().setAccessibleName("ROC curves, plot")
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setMinimumSize(240, 200)
        self.curves: Curves = {}
        self._log = False
        self._chance = pg.PlotCurveItem()
        self._drawn = {name: pg.PlotCurveItem() for name in ROLES}
        for curve in (self._chance, *self._drawn.values()):
            self.addItem(curve)
        self.restyle()

    @property
    def empty(self) -> bool:
        return not self.curves

    def show_curves(self, curves: Curves) -> None:
        """(false-positive rates, true-positive rates) by name; none brings the empty state."""
        self.curves = dict(curves)
        self._draw()

    def show_log(self, on: bool) -> None:
        """The false-positive rate on a logarithmic axis, which begins where a single clip counts."""
        self._log = on
        self._draw()

    def _draw(self) -> None:
        if self.closed:
            return
        low = min((float(x[x > 0].min(initial=1.0)) for x, _y in self.curves.values()), default=0.01)
        low = min(low, 0.1)
        rates = np.geomspace(low, 1.0, 100) if self._log else np.array([0.0, 1.0])
        self._chance.setData(self._placed(rates, low), rates) if self.curves else self._chance.setData([], [])
        for name, curve in self._drawn.items():
            x, y = self.curves.get(name, ((), ()))
            x, y = np.asarray(x, float), np.asarray(y, float)
            if self._log:
                inside = x >= low
                before = y[~inside].max(initial=0.0)
                x, y = np.concatenate([[low], x[inside]]), np.concatenate([[before], y[inside]])
            curve.setData(self._placed(x, low), y) if name in self.curves else curve.setData([], [])
        item = self.getPlotItem()
        marks = LOG_TICKS if self._log else TICKS
        places = [(float(np.log10(rate)) if self._log else rate, f"{rate:g}") for rate in marks]
        item.getAxis("bottom").setTicks([places])
        item.vb.setXRange(np.log10(low) if self._log else 0.0, 0.0 if self._log else 1.0, padding=0.02)
        item.vb.setYRange(0.0, 1.0, padding=0.03)
        told = [
            f"{name}: {np.interp(0.05, *pair):.0%} caught at 5 % false positives" for name, pair in self.curves.items()
        ]
        self.setAccessibleDescription("; ".join(told))
        self._show()

    def _placed(self, rates: np.ndarray, low: float) -> np.ndarray:
        return np.log10(np.maximum(rates, low)) if self._log else rates

    def restyle(self) -> None:
        """Take the theme's colours."""
        if self.closed:
            return
        self.style_axes()
        chosen, item = colours(), self.getPlotItem()
        item.setLabel("left", "Attacked clips flagged (true-positive rate)", color=chosen.muted)
        item.setLabel("bottom", "Other clips flagged (false-positive rate)", color=chosen.muted)
        ratio = self.devicePixelRatioF()
        self._chance.setPen(pg.mkPen(chosen.muted, width=ratio, style=Qt.PenStyle.DotLine))
        for name, curve in self._drawn.items():
            curve.setPen(pg.mkPen(getattr(chosen, ROLES[name]), width=2 * ratio, style=STROKES[name]))
        self._show()

    def _show(self) -> None:
        for side in SIDES:
            self.getPlotItem().showAxis(side, not self.empty and side != "right")
        if self.empty:
            self.describe_emptiness()
        self.viewport().update()
