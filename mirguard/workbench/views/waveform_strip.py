"""The whole sound in a strip: its outline, what part of it is on screen, where the playhead is."""

from __future__ import annotations

from PySide6.QtCore import QLineF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPixmap, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from mirguard.analysis.peaks import Peaks
from mirguard.workbench.theme import colours, notifier
from mirguard.workbench.views.navigation import Navigation
from mirguard.workbench.views.overlay import paint_empty
from mirguard.workbench.views.spectrogram_view import WHEEL_NOTCH, ZOOM_PER_NOTCH


class WaveformStrip(QWidget):
    """Click to seek, drag to move the view, wheel to zoom it.

    Given a stack's Navigation it shades and moves that; alone it shows the whole sound.
    """

    seekRequested = Signal(float)

    def __init__(self, navigation: Navigation | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._navigation = navigation
        self._peaks: Peaks | None = None
        self._playhead: float | None = None
        self._region: tuple[float, float] | None = None
        self._picture: QPixmap | None = None
        self._press: tuple[float, float] | None = None
        self._dragging = False
        self.setAccessibleName("Overview of the sound")
        self.setToolTip("Click to move the playhead, drag to move the view, turn the wheel to zoom")
        self.setMinimumHeight(36)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        if navigation is not None:
            navigation.changed.connect(self.update)
        notifier().changed.connect(self.restyle)

    def sizeHint(self) -> QSize:
        return QSize(400, 48)

    def set_peaks(self, peaks: Peaks | None) -> None:
        """Show an outline, or the empty state."""
        self._peaks, self._picture = peaks, None
        self.update()

    def set_playhead(self, seconds: float | None) -> None:
        if seconds != self._playhead:
            for moment in (self._playhead, seconds):
                if moment is not None:
                    self.update(round(self._x(moment)) - 2, 0, 5, self.height())
            self._playhead = seconds

    def set_region(self, region: tuple[float, float] | None) -> None:
        self._region = region
        self.update()

    def restyle(self) -> None:
        self._picture = None
        self.update()

    @property
    def duration(self) -> float:
        return self._peaks.duration if self._peaks is not None else 0.0

    def _x(self, seconds: float) -> float:
        return seconds / self.duration * self.width() if self.duration else 0.0

    def _seconds(self, x: float) -> float:
        return min(max(x / max(1, self.width()), 0.0), 1.0) * self.duration

    def _outline(self) -> QPixmap:
        ratio = self.devicePixelRatioF()
        width, height = round(self.width() * ratio), round(self.height() * ratio)
        if self._picture is None or self._picture.width() != width or self._picture.height() != height:
            picture = QPixmap(width, height)
            picture.fill(QColor(colours().base))
            painter = QPainter(picture)
            painter.setPen(QPen(colours().of("original"), 1))
            low, high = self._peaks.fitted(width)
            middle, reach = height / 2, height / 2 - 3 * ratio
            painter.drawLines(
                [
                    QLineF(x + 0.5, middle - top * reach - 0.5, x + 0.5, middle - bottom * reach + 0.5)
                    for x, (bottom, top) in enumerate(zip(low.tolist(), high.tolist(), strict=True))
                ]
            )
            painter.end()
            picture.setDevicePixelRatio(ratio)
            self._picture = picture
        return self._picture

    def paintEvent(self, event: QPaintEvent) -> None:
        chosen = colours()
        painter = QPainter(self)
        if self._peaks is None:
            painter.fillRect(self.rect(), QColor(chosen.base))
            paint_empty(painter, QRectF(self.rect()), "The whole sound appears here")
            painter.end()
            return
        painter.drawPixmap(0, 0, self._outline())
        navigation = self._navigation
        if (
            navigation is not None
            and navigation.duration
            and navigation.t1 - navigation.t0 < navigation.duration - 1e-6
        ):
            start, stop = self._x(navigation.t0), self._x(navigation.t1)
            shade = chosen.faint("window", 165)
            painter.fillRect(QRectF(0, 0, start, self.height()), shade)
            painter.fillRect(QRectF(stop, 0, self.width() - stop, self.height()), shade)
            painter.setPen(QPen(QColor(chosen.muted), 1))
            painter.drawRect(QRectF(start + 0.5, 0.5, max(2.0, stop - start - 1), self.height() - 1))
        if self._region is not None:
            start, stop = self._x(self._region[0]), self._x(self._region[1])
            painter.fillRect(QRectF(start, 0, max(1.0, stop - start), self.height()), chosen.faint("accent", 52))
            painter.fillRect(QRectF(start, self.height() - 3, max(1.0, stop - start), 3), QColor(chosen.accent))
        if self._playhead is not None:
            painter.fillRect(QRectF(round(self._x(self._playhead)), 0, 1, self.height()), QColor(chosen.text))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self._peaks is not None:
            start = self._navigation.t0 if self._navigation is not None else 0.0
            self._press, self._dragging = (event.position().x(), start), False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._press is None:
            return
        moved = event.position().x() - self._press[0]
        self._dragging |= abs(moved) > 3
        if self._dragging and self._navigation is not None:
            length = self._navigation.t1 - self._navigation.t0
            start = self._press[1] + moved / max(1, self.width()) * self.duration
            self._navigation.show_times(start, start + length)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._press is not None and event.button() == Qt.MouseButton.LeftButton:
            self._press = None
            if not self._dragging:
                self.seekRequested.emit(self._seconds(event.position().x()))

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self._navigation is not None and self._peaks is not None:
            notches = event.angleDelta().y() / WHEEL_NOTCH
            self._navigation.zoom_time(ZOOM_PER_NOTCH**notches, self._seconds(event.position().x()))
        event.accept()
