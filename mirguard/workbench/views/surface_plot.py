"""The margin over two directions: blue where the label holds, orange where the model is fooled, a line where it is undecided."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QWidget

from mirguard.workbench.theme import colours
from mirguard.workbench.views.formats import format_figures, format_number
from mirguard.workbench.views.two_axes import TwoAxes


class SurfacePlot(TwoAxes):
    """A picture over ε along δ (to the right) and along the second direction (upwards)."""

    hovered = Signal(str)  # what is under the cursor, in words

    def __init__(self, parent: QWidget | None = None) -> None:
        self._surface = None
        super().__init__(
            "Surface of the margin",
            steps="ε along δ",
            empty="The margin over the perturbation and a second direction appears here",
            sign="matrix",
            top=8,
            parent=parent,
        )
        self.viewport().setAccessibleName("Surface of the margin, picture")
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setMinimumSize(200, 130)
        item = self.getPlotItem()
        self._image = pg.ImageItem(axisOrder="row-major")
        item.addItem(self._image)
        self._contour = pg.IsocurveItem(level=0.0, axisOrder="row-major")
        self._contour.setParentItem(self._image)
        self._places = pg.ScatterPlotItem(size=9)
        self._places.setZValue(5)
        item.addItem(self._places)
        self.setMouseTracking(True)
        self.scene().sigMouseMoved.connect(self._moved)
        self.restyle()

    @property
    def empty(self) -> bool:
        return self._surface is None

    def show_surface(self, surface) -> None:
        """Show this, holes and all; None brings the empty state."""
        self._surface = surface
        if surface is not None:
            reach, count = float(surface.scales[-1]), len(surface.scales)
            step = 2 * reach / (count - 1)
            for side in ("left", "bottom"):
                self.getPlotItem().getAxis(side).setScale(surface.rms)
            whole = filled(surface.margins)
            self._image.setImage(self._coloured(whole), autoLevels=False, levels=(0, 255))
            self._image.setRect(QRectF(-reach - step / 2, -reach - step / 2, 2 * reach + step, 2 * reach + step))
            self._contour.setData(whole if np.nanmin(whole) < 0 < np.nanmax(whole) else None)
            vb = self.getPlotItem().vb
            vb.setXRange(-reach, reach, padding=0.02)
            vb.setYRange(-reach, reach, padding=0.02)
            self.setAccessibleDescription(f"Margins from {whole.min():.2f} to {whole.max():.2f} logits")
        self.restyle()

    def _coloured(self, margins: np.ndarray) -> np.ndarray:
        chosen = colours()
        ground, held, fooled = (
            np.array(QColor(c).getRgb()[:3]) for c in (chosen.base, chosen.original, chosen.adversarial)
        )
        share = margins / max(float(np.abs(margins).max()), 1e-9)
        weight = np.abs(share)[..., None] ** 0.7
        return np.rint(ground + weight * (np.where(share[..., None] > 0, fooled, held) - ground)).astype(np.uint8)

    def _moved(self, position) -> None:
        box, surface = self.getPlotItem().vb, self._surface
        if surface is None or not box.sceneBoundingRect().contains(position):
            return
        there = box.mapSceneToView(position)
        column, row = (int(np.argmin(np.abs(surface.scales - value))) for value in (there.x(), there.y()))
        margin = surface.margins[row, column]
        if math.isfinite(margin):
            s, t = (format_figures(surface.scales[place] * surface.rms, 2) for place in (column, row))
            self.hovered.emit(f"ε {s} along δ, {t} across: margin {format_number(margin, 2)} logits")

    def restyle(self) -> None:
        """Take the theme's colours."""
        if self.closed:
            return
        self.style_axes()
        chosen, item, surface = colours(), self.getPlotItem(), self._surface
        across = "" if surface is None else "along the gradient" if surface.across == "gradient" else "at random"
        item.setLabel("left", f"ε {across}", color=chosen.muted)
        item.setLabel("bottom", "ε along δ, RMS of full scale", color=chosen.muted)
        for side in ("left", "bottom"):
            item.showAxis(side, surface is not None)  # after the labels, which bring their axes back
        self._image.setVisible(surface is not None)
        self._places.setVisible(surface is not None)
        self._contour.setPen(pg.mkPen(chosen.text, width=1.5 * self.devicePixelRatioF()))
        if surface is None:
            self._contour.setData(None)
            self.describe_emptiness()
        else:
            self._image.setImage(self._coloured(filled(surface.margins)), autoLevels=False, levels=(0, 255))
            spots = [
                {"pos": (0.0, 0.0), "brush": chosen.base, "pen": pg.mkPen(chosen.text, width=1.5), "symbol": "o"},
                {"pos": (1.0, 0.0), "brush": chosen.text, "pen": pg.mkPen(chosen.base, width=1.5), "symbol": "o"},
            ]
            self._places.setData(spots=spots)
        self.viewport().update()


def filled(margins: np.ndarray) -> np.ndarray:
    """Every hole with the value of the nearest place of the coarser grid that is known already."""
    if np.isfinite(margins).all():
        return margins
    for step in (2, 4, 8):
        coarse = margins[::step, ::step]
        if np.isfinite(coarse).all():
            rows, columns = (
                np.minimum(np.arange(n) // step, m - 1) for n, m in zip(margins.shape, coarse.shape, strict=True)
            )
            return np.where(np.isfinite(margins), margins, coarse[np.ix_(rows, columns)])
    return np.nan_to_num(margins)
