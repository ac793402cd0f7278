"""Where a perturbation may be, as an area on a pane: what is outside lies in the shade, the edges can be dragged."""

from __future__ import annotations

import pyqtgraph as pg
from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPainterPath

GRIP = 5  # pixels on either side of an edge
SHADE = QColor(8, 10, 16, 165)
EDGE = "#ffd166"
BESIDE = {"left": Qt.CursorShape.SizeHorCursor, "right": Qt.CursorShape.SizeHorCursor}
ABOVE = {"bottom": Qt.CursorShape.SizeVerCursor, "top": Qt.CursorShape.SizeVerCursor}


class PermittedArea(pg.GraphicsObject):
    """In the coordinates of its view box: x in seconds, y on the axis of frequencies. `dragged` carries the area while one of
    its edges is moved (left, right, bottom, top) and whether that is done. An edge at None is none."""

    dragged = Signal(object, bool)

    def __init__(self) -> None:
        super().__init__()
        self.edges: dict[str, float | None] = dict.fromkeys(("left", "right", "bottom", "top"))
        self._view = QRectF()
        self._held: tuple[str, ...] = ()
        self.setZValue(4)
        self.hide()

    def place(self, view: QRectF, edges: dict[str, float | None]) -> None:
        """Show these edges in a pane that shows `view`; without any there is nothing to see."""
        self.prepareGeometryChange()
        self._view, self.edges = QRectF(view), dict(edges)
        self.setVisible(any(edge is not None for edge in edges.values()))
        self.update()

    @property
    def inside(self) -> QRectF:
        """What is permitted of what is in view."""
        view, edges = self._view, self.edges
        left = view.left() if edges["left"] is None else edges["left"]
        right = view.right() if edges["right"] is None else edges["right"]
        bottom = view.top() if edges["bottom"] is None else edges["bottom"]
        top = view.bottom() if edges["top"] is None else edges["top"]
        return QRectF(left, bottom, right - left, top - bottom)

    def boundingRect(self) -> QRectF:
        return self._view

    def paint(self, painter: QPainter, *_args) -> None:
        outside = QPainterPath()
        outside.addRect(self._view)
        hole = QPainterPath()
        hole.addRect(self.inside.intersected(self._view))
        painter.fillPath(outside.subtracted(hole), SHADE)
        painter.setPen(pg.mkPen(EDGE, width=painter.device().devicePixelRatioF()))
        box = self.inside
        ends = {
            "left": (box.left(), box.top(), box.left(), box.bottom()),
            "right": (box.right(), box.top(), box.right(), box.bottom()),
            "bottom": (box.left(), box.top(), box.right(), box.top()),
            "top": (box.left(), box.bottom(), box.right(), box.bottom()),
        }
        for name, (x0, y0, x1, y1) in ends.items():
            if self.edges[name] is not None:
                painter.drawLine(pg.Point(x0, y0), pg.Point(x1, y1))

    # --- the mouse: only the edges are there for it ---

    def _grip(self) -> tuple[float, float]:
        wide, high = self.pixelLength(pg.Point(1, 0)), self.pixelLength(pg.Point(0, 1))
        return GRIP * (wide or 0.0), GRIP * (high or 0.0)

    def shape(self) -> QPainterPath:
        wide, high = self._grip()
        whole, core = QPainterPath(), QPainterPath()
        box, edges = self.inside, self.edges
        whole.addRect(box.adjusted(-wide, -high, wide, high))
        margins = [
            0.0 if edges[name] is None else grip
            for name, grip in (("left", wide), ("bottom", high), ("right", wide), ("top", high))
        ]
        core.addRect(box.adjusted(margins[0], margins[1], -margins[2], -margins[3]))
        return whole.subtracted(core)

    def _near(self, at: pg.Point) -> tuple[str, ...]:
        """The edges at a place: two at a corner."""
        wide, high = self._grip()
        found = []
        for names, place, grip in ((BESIDE, at.x(), wide), (ABOVE, at.y(), high)):
            away = {name: abs(self.edges[name] - place) for name in names if self.edges[name] is not None}
            nearest = min(away, key=away.get, default=None)
            if nearest is not None and away[nearest] <= 1.5 * grip:
                found.append(nearest)
        return tuple(found)

    def hoverEvent(self, event) -> None:
        near = () if event.isExit() else self._near(event.pos())
        # With a key something else is meant: a loop, or another area.
        if not near or _keys(event) or not event.acceptDrags(Qt.MouseButton.LeftButton):
            self.unsetCursor()
        elif len(near) == 2:
            falling = near in (("left", "top"), ("right", "bottom"))
            self.setCursor(Qt.CursorShape.SizeFDiagCursor if falling else Qt.CursorShape.SizeBDiagCursor)
        else:
            self.setCursor((BESIDE | ABOVE)[near[0]])

    def mouseDragEvent(self, event) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            event.ignore()
            return
        if event.isStart():
            self._held = () if _keys(event) else self._near(event.buttonDownPos())
        if not self._held:  # claimed before the key was there: the pane has it
            event.currentItem = self.getViewBox()
            event.currentItem.mouseDragEvent(event)
            return
        event.accept()
        at = event.pos()
        moved = dict(self.edges)
        for name in self._held:
            moved[name] = at.x() if name in BESIDE else at.y()
        self.dragged.emit(moved, event.isFinish())


def _keys(event) -> bool:
    return event.modifiers() != Qt.KeyboardModifier.NoModifier
