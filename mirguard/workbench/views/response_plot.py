"""The labels' logits along a perturbation: the clip and the result marked, and where the decision changes."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from mirguard.workbench.theme import colours
from mirguard.workbench.views.axes import small_font
from mirguard.workbench.views.formats import format_number
from mirguard.workbench.views.label_curves import LabelCurves, leading


class SnrAxis(pg.AxisItem):
    """The SNR of so many times a perturbation that itself has `snr_db`."""

    snr_db = 0.0

    def tickValues(self, minimum, maximum, size):
        reach = max(abs(minimum), abs(maximum)) / 1.04
        shares = (-1, -0.5, -0.25, 0.25, 0.5, 1) if size > 260 else (-1, -0.5, 0.5, 1)
        return [(reach / 2, [share * reach for share in shares])]

    def tickStrings(self, values, scale, spacing):
        return [format_number(self.snr_db - 20 * math.log10(abs(value)), 0) if value else "∞" for value in values]


class ResponsePlot(LabelCurves):
    """Logits or probabilities over ε, the RMS of what is added along the perturbation; above it the SNR that this makes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._response, self._shares = None, False
        self._lines: list[pg.InfiniteLine] = []
        super().__init__(
            "Response along the perturbation",
            steps="ε along δ, RMS of full scale",
            empty="Run an attack to see how the model answers along its perturbation",
            values="Logit",
            parent=parent,
        )
        self.setMinimumSize(200, 130)
        item = self.getPlotItem()
        self._snr = SnrAxis("top")
        self._snr.setTickFont(small_font(self.font()))
        self._snr.setStyle(tickTextOffset=4)
        item.setAxisItems({"top": self._snr})
        item.showAxis("top", False)
        self.restyle()

    def show_response(self, response, snr_db: float | None, first: tuple[str | None, ...]) -> None:
        """Show this, the labels in `first` among the curves; None brings the empty state."""
        self._response = response
        for line in self._lines:
            self.removeItem(line)
        self._lines = []
        if response is None:
            self.set_curves(np.empty(0), (), np.empty((0, 0)))
            return
        shown = self._values_of(response)
        names = leading(response.labels, shown, first)
        self._snr.snr_db = 0.0 if snr_db is None else snr_db
        self.getPlotItem().getAxis("bottom").setScale(response.rms)
        self.set_curves(response.scales, names, shown[:, [response.labels.index(name) for name in names]])
        reach = float(response.scales[-1])
        self.getPlotItem().vb.setXRange(-reach, reach, padding=0.02)
        low, high = float(shown.min()), float(shown.max())
        self.getPlotItem().vb.setYRange(low, high + 0.16 * (high - low), padding=0.03)  # room for the words
        self._mark(0.0, "clip", "muted", Qt.PenStyle.SolidLine)
        self._mark(1.0, "result", "adversarial", Qt.PenStyle.SolidLine)
        for at, _below, _above in response.boundaries():
            self._mark(at, "", "danger", Qt.PenStyle.DashLine)
        told = "; ".join(f"{below} becomes {above} at {at:.2f} times δ" for at, below, above in response.boundaries())
        self.setAccessibleDescription(told or "One label holds all along")

    def show_shares(self, on: bool) -> None:
        """Probabilities in per cent instead of logits; whoever shows the response shows it again."""
        self._shares = on
        self._values = "Probability, %" if on else "Logit"
        self.restyle()

    def _values_of(self, response) -> np.ndarray:
        return 100.0 * response.probabilities if self._shares else response.mean_logits

    def _mark(self, at: float, words: str, role: str, stroke: Qt.PenStyle) -> None:
        colour = getattr(colours(), role)
        options = {"position": 0.95, "color": colour, "movable": False, "anchors": [(0, 0.5), (0, 0.5)]}
        line = pg.InfiniteLine(at, label=words or None, labelOpts=options)
        line.role, line.stroke = role, stroke
        line.setPen(pg.mkPen(colour, width=self.devicePixelRatioF(), style=stroke))
        if words:
            line.label.setFont(small_font(self.font()))
        line.setZValue(4)
        self._lines.append(line)
        self.addItem(line, ignoreBounds=True)

    def restyle(self) -> None:
        """Take the theme's colours."""
        super().restyle()
        if self.closed or not hasattr(self, "_snr"):
            return
        chosen = colours()
        self._snr.setPen(pg.mkPen(chosen.border))
        self._snr.setTextPen(pg.mkPen(chosen.muted))
        self.getPlotItem().setLabel("top", "SNR, dB", color=chosen.muted)
        self.getPlotItem().setLabel("bottom", "ε along δ, RMS of full scale", color=chosen.muted)
        for line in self._lines:
            line.setPen(pg.mkPen(getattr(chosen, line.role), width=self.devicePixelRatioF(), style=line.stroke))
            if hasattr(line, "label"):
                line.label.setColor(getattr(chosen, line.role))
        self._show()

    def _show(self) -> None:
        super()._show()
        self.getPlotItem().showAxis("top", not self.empty and hasattr(self, "_snr"))
