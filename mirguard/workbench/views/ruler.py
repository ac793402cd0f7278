"""The time ruler above the panes: minutes and seconds, the playhead's handle, the loop as a band."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from mirguard.analysis.scales import nice_time_step
from mirguard.workbench.theme import colours, notifier
from mirguard.workbench.views.axes import AXIS_WIDTH, small_font
from mirguard.workbench.views.formats import format_time
from mirguard.workbench.views.navigation import Navigation
from mirguard.workbench.views.spectrogram_view import WHEEL_NOTCH, ZOOM_PER_NOTCH

HEIGHT = 24
GRIP = 5  # pixels on either side of a loop's end that take hold of it


class TimeRuler(QWidget):
    """Click to seek, drag to choose a loop, drag a loop's end to move it, double-click to clear it; wheel zooms."""

    seekRequested = Signal(float)
    regionSelected = Signal(float, float)
    regionCleared = Signal()

    def __init__(self, navigation: Navigation, inset: int = AXIS_WIDTH, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._navigation, self._inset = navigation, inset
        self._playhead: float | None = None
        self._region: tuple[float, float] | None = None
        self._press: float | None = None
        self._anchor: float | None = None
        self._shown: tuple[float, float] | None = None
        self.setAccessibleName("Time ruler")
        self.setAccessibleDescription("Click to move the playhead, drag to choose a loop")
        self.setToolTip("Click to move the playhead. Drag to choose a loop; double-click clears it.")
        self.setFont(small_font(self.font()))
        self.setFixedHeight(HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        navigation.changed.connect(self.update)
        notifier().changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(400, HEIGHT)

    def set_playhead(self, seconds: float | None) -> None:
        before = self._playhead
        if seconds is not None and before is not None and abs(self._x(seconds) - self._x(before)) < 0.25:
            return
        if seconds != before:
            for moment in (before, seconds):
                if moment is not None:
                    self.update(round(self._x(moment)) - 8, 0, 17, self.height())
            self._playhead = seconds

    def set_region(self, region: tuple[float, float] | None) -> None:
        self._region = self._shown = region
        self.update()

    def _x(self, seconds: float) -> float:
        navigation = self._navigation
        share = (seconds - navigation.t0) / (navigation.t1 - navigation.t0)
        return self._inset + share * (self.width() - self._inset)

    def _seconds(self, x: float) -> float:
        navigation = self._navigation
        share = (x - self._inset) / max(1, self.width() - self._inset)
        return min(max(navigation.t0 + share * (navigation.t1 - navigation.t0), 0.0), navigation.duration)

    def paintEvent(self, event: QPaintEvent) -> None:
        chosen, navigation = colours(), self._navigation
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(chosen.window))
        metrics = QFontMetricsF(self.font())
        painter.setPen(QColor(chosen.muted))
        unit = QRectF(0, 0, self._inset - 9, self.height())
        painter.drawText(unit, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, "Hz")
        if navigation.duration <= 0:
            painter.end()
            return
        painter.setClipRect(self._inset, 0, self.width() - self._inset, self.height())
        bottom = self.height() - 1
        if self._shown is not None:
            start, stop = self._x(self._shown[0]), self._x(self._shown[1])
            painter.fillRect(QRectF(start, 0, stop - start, self.height()), chosen.faint("accent", 64))
            painter.fillRect(QRectF(start, 0, 2, self.height()), QColor(chosen.accent))
            painter.fillRect(QRectF(stop - 2, 0, 2, self.height()), QColor(chosen.accent))
        length, pixels = navigation.t1 - navigation.t0, max(1, self.width() - self._inset)
        widest = metrics.horizontalAdvance(format_time(navigation.duration, min(1.0, length / 100))) + 24
        step = nice_time_step(length * widest / pixels)
        fine = step / (5 if str(step)[0] in "15" and step < 10 else 4 if step in (2, 20, 120) else 5)
        painter.setPen(QPen(QColor(chosen.border)))
        painter.drawLine(self._inset, bottom, self.width(), bottom)
        # A playhead on its way asks for a few pixels at a time: draw no tick and no text that is not among them.
        per_pixel = length / pixels
        first = navigation.t0 + max(0.0, event.rect().left() - self._inset - 1) * per_pixel
        last = min(navigation.t1, navigation.t0 + (event.rect().right() - self._inset + 2) * per_pixel)
        index = int(first / fine)
        while index * fine <= last:
            x = round(self._x(index * fine))
            painter.drawLine(x, bottom - 3, x, bottom)
            index += 1
        index = int(max(0.0, first - widest * per_pixel) / step)
        while index * step <= last + 1e-9:
            seconds, x = index * step, round(self._x(index * step))
            painter.setPen(QPen(QColor(chosen.muted)))
            painter.drawLine(x, bottom - 7, x, bottom)
            text = format_time(seconds, step)
            area = QRectF(x + 4, 0, metrics.horizontalAdvance(text) + 4, self.height() - 6)
            if x >= self._inset and area.right() < self.width():
                painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, text)
            index += 1
        if self._playhead is not None:
            x = round(self._x(self._playhead)) + 0.5
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(chosen.text))
            painter.drawPolygon(
                QPolygonF([QPointF(x - 5.5, bottom - 8), QPointF(x + 5.5, bottom - 8), QPointF(x, bottom + 1)])
            )
        painter.end()

    def _grip(self, x: float) -> float | None:
        """The loop's other end, if x takes hold of one end."""
        if self._region is None:
            return None
        start, stop = self._region
        if abs(x - self._x(stop)) <= GRIP:
            return start
        return stop if abs(x - self._x(start)) <= GRIP else None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self._navigation.duration > 0:
            self._press = event.position().x()
            self._anchor = self._grip(self._press)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        x = event.position().x()
        if self._press is None:
            gripped = self._grip(x) is not None
            self.setCursor(Qt.CursorShape.SizeHorCursor if gripped else Qt.CursorShape.ArrowCursor)
        elif self._anchor is not None or abs(x - self._press) > 3:
            other = self._seconds(self._press) if self._anchor is None else self._anchor
            self._shown = tuple(sorted((other, self._seconds(x))))
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._press is None or event.button() != Qt.MouseButton.LeftButton:
            return
        x = event.position().x()
        dragged = abs(x - self._press) > 3
        self._press, shown = None, self._shown
        if dragged and shown is not None and shown[1] > shown[0]:
            self._region = shown
            self.regionSelected.emit(*shown)
        else:
            self._shown = self._region
            self.update()
            if not dragged and self._anchor is None:
                self.seekRequested.emit(self._seconds(x))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self._region is not None:
            self.set_region(None)
            self.regionCleared.emit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        turned = event.angleDelta()
        if turned.y():
            self._navigation.zoom_time(
                ZOOM_PER_NOTCH ** (turned.y() / WHEEL_NOTCH), self._seconds(event.position().x())
            )
        elif turned.x():
            self._navigation.pan_by(-0.1 * turned.x() / WHEEL_NOTCH)
        event.accept()
