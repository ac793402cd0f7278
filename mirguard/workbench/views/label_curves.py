"""How probable a few labels are along something: curves that differ in stroke as in colour, and the key to them."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

from mirguard.workbench.theme import colours, notifier
from mirguard.workbench.views.two_axes import TwoAxes

ROLES = ("original", "adversarial", "perturbation", "good", "warning", "danger")
STROKES = (
    Qt.PenStyle.SolidLine,
    Qt.PenStyle.SolidLine,
    Qt.PenStyle.DashLine,
    Qt.PenStyle.DotLine,
    Qt.PenStyle.DashDotLine,
    Qt.PenStyle.DashDotDotLine,
)
SIGNS = ("━", "━", "╍", "┈", "╍", "┅")
MOST = 5


def leading(labels: Sequence[str], values: np.ndarray, first: Sequence[str | None] = ()) -> list[str]:
    """At most five labels: those of `first` that there are, then those that reach the highest `values (places, K)`."""
    highest = [labels[k] for k in np.argsort(-values.max(0), kind="stable")[:MOST]] if len(values) else []
    return list(dict.fromkeys([name for name in first if name in labels] + highest))[:MOST]


class Key(QLabel):
    """Which stroke is which label; long names wrap."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._names: tuple[str, ...] = ()
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setWordWrap(True)
        self.setAccessibleName("Key to the curves")
        notifier().changed.connect(self._write)

    def set_names(self, names: Sequence[str]) -> None:
        if tuple(names) != self._names:
            self._names = tuple(names)
            self._write()

    def _write(self) -> None:
        chosen = colours()
        parts = [
            f"<span style='color:{getattr(chosen, role)}'>{sign}</span>&nbsp;{html.escape(name).replace(' ', '&nbsp;')}"
            for name, role, sign in zip(self._names, ROLES, SIGNS, strict=False)
        ]
        self.setText(" &nbsp; ".join(parts))
        self.setAccessibleDescription(", ".join(self._names))


class LabelCurves(TwoAxes):
    """Curves of at most five labels over the places at which they were heard."""

    def __init__(self, name: str, steps: str, empty: str, values: str, parent: QWidget | None = None) -> None:
        super().__init__(name, steps=steps, empty=empty, sign="model", top=6, parent=parent)
        self.viewport().setAccessibleName(f"{name}, curves")
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._values = values
        self.places = np.empty(0)
        self.names: tuple[str, ...] = ()
        self._curves = [pg.PlotCurveItem() for _ in ROLES]
        for curve in self._curves:
            self.addItem(curve)
        self.restyle()
        self._show()

    @property
    def empty(self) -> bool:
        return not len(self.places)

    def set_curves(self, places: np.ndarray, names: Sequence[str], values: np.ndarray) -> None:
        """Show `values (places, len(names))`, places rising; none at all brings the empty state."""
        if self.closed:
            return
        self.places, self.names = np.asarray(places, float), tuple(names)
        for number, curve in enumerate(self._curves):
            if number < len(self.names) and len(self.places):
                curve.setData(self.places, np.ascontiguousarray(values[:, number], float))
            else:
                curve.setData([], [])
        self._show()

    def restyle(self) -> None:
        """Take the theme's colours."""
        if self.closed:
            return
        self.style_axes()
        chosen = colours()
        for curve, role, stroke in zip(self._curves, ROLES, STROKES, strict=True):
            curve.setPen(pg.mkPen(getattr(chosen, role), width=1.6 * self.devicePixelRatioF(), style=stroke))
        self.getPlotItem().setLabel("left", self._values, color=chosen.muted)
        self._show()

    def _show(self) -> None:
        item = self.getPlotItem()
        item.showAxis("left", not self.empty)
        item.showAxis("bottom", not self.empty)
        if self.empty:
            self.describe_emptiness()
        self.viewport().update()
