"""How an attack went: loss and other figures by iteration."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QWidget

from mirguard.workbench.theme import colours
from mirguard.workbench.views.axes import small_font
from mirguard.workbench.views.formats import format_figures
from mirguard.workbench.views.two_axes import SIDES, TwoAxes

REDRAW_MS = 40
SERIES = {"loss": "Loss", "margin": "Margin", "snr_db": "SNR, dB"}
COLOURS = {"loss": "accent", "margin": "adversarial", "snr_db": "original"}


class _Growing:
    """Numbers appended one at a time, in an array that doubles."""

    def __init__(self) -> None:
        self._held = np.empty(256)
        self.count = 0

    def append(self, value: float) -> None:
        if self.count == len(self._held):
            self._held = np.concatenate([self._held, np.empty(len(self._held))])
        self._held[self.count] = value
        self.count += 1

    @property
    def values(self) -> np.ndarray:
        return self._held[: self.count]


class TracePlot(TwoAxes):
    """Two curves at most: one to the left axis, another to the right.

    `append` costs nothing to speak of; the curves are redrawn at most 25 times a second.
    """

    def __init__(self, left: str = "loss", right: str | None = "margin", parent: QWidget | None = None) -> None:
        super().__init__(
            "Trace of the attack",
            steps="Iteration",
            empty="The loss at each iteration appears here",
            sign="run",
            top=6,
            parent=parent,
        )
        self.viewport().setAccessibleName("Trace of the attack, curves")
        self.setMinimumSize(200, 100)
        self._names = {"left": left, "right": right}
        self._steps = _Growing()
        self._values: dict[str, _Growing] = {}
        self._marks: list[pg.InfiniteLine] = []
        self._points: Sequence[tuple[float, float, float]] | None = None  # what is drawn
        self._step_word, self._fooled = "Iteration", False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REDRAW_MS)
        self._timer.timeout.connect(self.redraw)
        self._curves = {"left": pg.PlotCurveItem(), "right": pg.PlotCurveItem()}
        self.getPlotItem().addItem(self._curves["left"])
        self.second.addItem(self._curves["right"])
        self.restyle()
        self._show()

    @property
    def empty(self) -> bool:
        return not self._steps.count

    def reset(self) -> None:
        """Forget the trace; the empty state comes back."""
        self._steps, self._values = _Growing(), {}
        for line in self._marks:
            self.removeItem(line)
        self._marks = []
        self._timer.stop()
        for curve in self._curves.values():
            curve.setData([], [])
        self._show()

    def append(self, iteration: float, **values: float | None) -> None:
        """One iteration's figures by name, for example `loss=0.7, margin=-1.2`; absent ones leave a gap."""
        for name in values:
            if name not in self._values:
                self._values[name] = _Growing()
                for _ in range(self._steps.count):
                    self._values[name].append(math.nan)
        self._steps.append(iteration)
        for name, column in self._values.items():
            value = values.get(name)
            column.append(math.nan if value is None else float(value))
        if not self._timer.isActive():
            self._timer.start()

    def follow(
        self,
        points: Sequence[tuple[float, float, float]] | None,
        step_word: str = "Iteration",
        fooled: str = "fooled",
    ) -> None:
        """Draw what has come to this list of points (loss, margin, SNR) since the last call; another list begins anew. The first
        step with a margin above 0 gets a line with the word `fooled`."""
        if points is not self._points or len(points or ()) < self._steps.count:
            self._points, self._fooled = points, False
            self.reset()
        if step_word != self._step_word:
            self._step_word = step_word
            self.getPlotItem().setLabel("bottom", step_word)
            self._show()
        for number in range(self._steps.count, len(points or ())):
            loss, margin, _snr = points[number]
            self.append(number + 1, loss=loss, margin=margin)
            if margin > 0 and not self._fooled:
                self._fooled = True
                self.mark(number + 1, fooled)

    def set_series(self, left: str, right: str | None) -> None:
        """Choose what is drawn to the left and to the right axis."""
        self._names = {"left": left, "right": right}
        self.redraw()
        self._show()

    def mark(self, iteration: float, text: str) -> None:
        """A vertical line with a word, for example where the decision flipped."""
        options = {"position": 0.55, "color": colours().adversarial, "fill": colours().base, "movable": False}
        line = pg.InfiniteLine(iteration, pen=self._mark_pen(), label=text, labelOpts=options)
        line.setZValue(10)  # its word stands on a plate of its own, above the curves
        line.label.setFont(small_font(self.font()))
        self._marks.append(line)
        self.addItem(line, ignoreBounds=True)

    def _mark_pen(self):
        return pg.mkPen(colours().adversarial, width=1, style=pg.QtCore.Qt.PenStyle.DashLine)

    def redraw(self) -> None:
        """Bring the curves up to date now."""
        if self.closed:
            return
        self._timer.stop()
        steps = self._steps.values
        for side, name in self._names.items():
            column = self._values.get(name) if name else None
            box = self.getPlotItem().vb if side == "left" else self.second
            values = column.values if column is not None else np.empty(0)
            finite = np.isfinite(values)
            self._curves[side].setData(steps[finite] if len(values) else [], values[finite])
            # Without figures an axis would keep the numbers of what was drawn before.
            self.getPlotItem().getAxis(side).setStyle(showValues=bool(finite.any()))
            if finite.any():
                low, high = float(values[finite].min()), float(values[finite].max())
                margin = 0.08 * (high - low) or max(abs(high) * 0.1, 1e-6)
                box.setYRange(low - margin, high + margin, padding=0)
        if len(steps):
            self.getPlotItem().vb.setXRange(float(steps[0]), max(float(steps[-1]), float(steps[0]) + 4), padding=0.02)
            latest = ", ".join(
                f"{SERIES.get(name, name)} {format_figures(column.values[-1])}"
                for name, column in self._values.items()
                if math.isfinite(column.values[-1])
            )
            self.setAccessibleDescription(f"{self._step_word} {steps[-1]:g}: {latest}")
        self._show()

    def restyle(self) -> None:
        """Take the theme's colours."""
        if self.closed:
            return
        self.style_axes()
        chosen = colours()
        for side in SIDES:
            axis = self.getPlotItem().getAxis(side)
            axis.labelStyle = {"color": chosen.muted}
            if axis.label.isVisible():
                axis.setLabel(axis.labelText)
        self._colour_sides()
        for line in self._marks:
            line.setPen(self._mark_pen())
            line.label.setColor(chosen.adversarial)
            line.label.fill = pg.mkBrush(chosen.base)
        self.viewport().update()

    def _colour_sides(self) -> None:
        chosen, item = colours(), self.getPlotItem()
        for side, name in self._names.items():
            if name is None:
                continue
            colour = getattr(chosen, COLOURS.get(name, "accent"))
            self._curves[side].setPen(pg.mkPen(colour, width=1.5 * self.devicePixelRatioF()))
            item.getAxis(side).setLabel(SERIES.get(name, name), color=colour)
            item.getAxis(side).setTextPen(pg.mkPen(colour))

    def _show(self) -> None:
        item, any_points = self.getPlotItem(), not self.empty
        item.showAxis("left", any_points)
        item.showAxis("bottom", any_points)
        right = self._names["right"] is not None and self._names["right"] in self._values and any_points
        item.showAxis("right", right)
        self._curves["right"].setVisible(right)
        if any_points:
            self._colour_sides()
        else:
            self.describe_emptiness()
        self.viewport().update()
