"""Curves over steps of time, to a left axis and a right one, without menus or mouse; a sign and words while there are none."""

from __future__ import annotations

import pyqtgraph as pg
from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QWidget

from mirguard.workbench.theme import colours, notifier
from mirguard.workbench.views.axes import NumberAxis, small_font
from mirguard.workbench.views.overlay import paint_empty

SIDES = ("left", "right", "bottom")


class TwoAxes(pg.PlotWidget):
    """What a plot of progress begins with; `second` is the box of curves that go by the right axis.

    A plot of its kind says when it is `empty`, and calls `restyle` once its curves are there."""

    picked = Signal(float)  # the place below a click, on the axis of steps

    def __init__(self, name: str, steps: str, empty: str, sign: str, top: int, parent: QWidget | None) -> None:
        """`steps` is what the axis below counts; `empty` the words and `sign` the icon while there is nothing; `top` the margin."""
        super().__init__(parent, enableMenu=False, axisItems={side: NumberAxis(side) for side in SIDES})
        self.setAccessibleName(name)
        self._empty_words, self._sign = empty, sign
        self.hideButtons()
        self.setMouseEnabled(False, False)
        item = self.getPlotItem()
        item.hideAxis("right")  # until a plot has something for it
        item.layout.setContentsMargins(2, top, 6, 2)
        self.second = pg.ViewBox(enableMenu=False)
        self.second.setMouseEnabled(False, False)
        self.scene().addItem(self.second)
        item.getAxis("right").linkToView(self.second)
        self.second.setXLink(item)
        item.vb.sigResized.connect(self._align)
        for side in SIDES:
            axis = item.getAxis(side)
            axis.setTickFont(small_font(self.font()))
            axis.enableAutoSIPrefix(False)
            axis.setStyle(tickTextOffset=4, maxTickLevel=0)
        item.setLabel("bottom", steps)
        item.getAxis("bottom").setHeight(36)
        self._here = pg.InfiniteLine(movable=False)
        self._here.setZValue(8)
        self._here.hide()
        self.addItem(self._here, ignoreBounds=True)
        self.scene().sigMouseClicked.connect(self._clicked)
        notifier().changed.connect(self.restyle)

    def show_position(self, step: float | None) -> None:
        """A line at the step that is looked at; None hides it."""
        self._here.setVisible(step is not None)
        if step is not None:
            self._here.setPos(step)

    def _clicked(self, event) -> None:
        box, left = self.getPlotItem().vb, event.button() == Qt.MouseButton.LeftButton
        if left and not self.empty and box.sceneBoundingRect().contains(event.scenePos()):
            self.picked.emit(float(box.mapSceneToView(event.scenePos()).x()))

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        raise NotImplementedError

    def set_empty_text(self, text: str) -> None:
        self._empty_words = text
        self.viewport().update()

    def restyle(self) -> None:
        """Take the theme's colours."""
        raise NotImplementedError

    def style_axes(self) -> None:
        """Ground and axes in the theme's colours."""
        chosen = colours()
        self.setBackground(chosen.base)
        self._here.setPen(pg.mkPen(chosen.accent, width=2 * self.devicePixelRatioF()))
        for side in SIDES:
            axis = self.getPlotItem().getAxis(side)
            axis.setPen(pg.mkPen(chosen.border))
            axis.setTextPen(pg.mkPen(chosen.muted))

    def describe_emptiness(self) -> None:
        self.setAccessibleDescription(self._empty_words)

    def _align(self) -> None:
        self.second.setGeometry(self.getPlotItem().vb.sceneBoundingRect())

    def paintEvent(self, event) -> None:
        super().paintEvent(event)
        if self.empty:
            painter = QPainter(self.viewport())
            paint_empty(painter, QRectF(self.viewport().rect()), self._empty_words, self._sign)
            painter.end()
