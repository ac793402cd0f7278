"""The scale of decibels beside the spectrograms; its ends can be dragged."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from mirguard.analysis.scales import nice_step
from mirguard.analysis.spectrogram import CEILING_DB, FLOOR_DB, SpectrogramSettings
from mirguard.workbench.theme import colours, notifier
from mirguard.workbench.views.axes import small_font
from mirguard.workbench.views.colourmaps import colours_of
from mirguard.workbench.views.formats import format_number

WIDTH = 58
MARGIN = 1
NARROWEST_DB = 12.0


class ColourBar(QWidget):
    """Drag near the top to move the brightest level, near the bottom the darkest, in between both; wheel widens."""

    rangeChanged = Signal(float, float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings = SpectrogramSettings()
        self._held: tuple[str, float, float, float] | None = None
        self.setAccessibleName("Colour scale in dB")
        self.setToolTip(
            "Level in dB re full scale.\nDrag the top or the bottom to change the shown range, the middle to shift it; "
            "double-click to reset."
        )
        self.setFont(small_font(self.font()))
        self.setFixedWidth(WIDTH)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self.setMouseTracking(True)
        notifier().changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(WIDTH, 200)

    def set_settings(self, settings: SpectrogramSettings) -> None:
        self._settings = settings
        self.setAccessibleDescription(f"from {settings.floor_db:.0f} to {settings.ceiling_db:.0f} dB")
        self.update()

    def _bar(self) -> QRectF:
        return QRectF(8, MARGIN, 12, max(1, self.height() - 2 * MARGIN))

    def paintEvent(self, event: QPaintEvent) -> None:
        chosen, settings, bar = colours(), self._settings, self._bar()
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(chosen.window))
        ramp = colours_of(settings.colours)[::-1].copy()
        image = QImage(ramp.data, 1, 256, 3, QImage.Format.Format_RGB888)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(bar, image)
        painter.setPen(QColor(chosen.border))
        painter.drawRect(bar.adjusted(0, 0, -1, -1))
        span = settings.ceiling_db - settings.floor_db
        step = max(1.0, nice_step(span * 44 / bar.height()))
        index = round(settings.floor_db / step)
        painter.setPen(QColor(chosen.muted))
        while index * step <= settings.ceiling_db + 1e-6:
            db = index * step
            index += 1
            if db < settings.floor_db - 1e-6:
                continue
            y = bar.bottom() - (db - settings.floor_db) / span * bar.height()
            painter.drawLine(round(bar.right()) + 1, round(y), round(bar.right()) + 4, round(y))
            area = QRectF(bar.right() + 7, min(max(y - 8, 0), self.height() - 16), self.width() - bar.right() - 7, 16)
            painter.drawText(area, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, format_number(db, 0))
        painter.end()

    def _part(self, y: float) -> str:
        bar = self._bar()
        share = (bar.bottom() - y) / bar.height()
        return "top" if share > 0.75 else "bottom" if share < 0.25 else "both"

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            y = event.position().y()
            self._held = (self._part(y), y, self._settings.floor_db, self._settings.ceiling_db)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._held is None:
            both = self._part(event.position().y()) == "both"
            self.setCursor(Qt.CursorShape.SizeAllCursor if both else Qt.CursorShape.SizeVerCursor)
            return
        part, start, floor, ceiling = self._held
        # The ends follow the hand: dragging the top down makes lower levels as bright as can be.
        moved = (start - event.position().y()) / self._bar().height() * (ceiling - floor)
        self._ask(floor + moved * (part != "top"), ceiling + moved * (part != "bottom"), part)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._held = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        usual = SpectrogramSettings()
        self._held = None
        self.rangeChanged.emit(usual.floor_db, usual.ceiling_db)

    def wheelEvent(self, event: QWheelEvent) -> None:
        change = 5.0 * event.angleDelta().y() / 120
        self._ask(self._settings.floor_db - change, self._settings.ceiling_db, "bottom")
        event.accept()

    def _ask(self, floor: float, ceiling: float, part: str) -> None:
        floor, ceiling = max(FLOOR_DB, round(floor)), min(CEILING_DB, round(ceiling))
        if ceiling - floor < NARROWEST_DB:
            floor = min(floor, ceiling - NARROWEST_DB) if part == "bottom" else floor
            ceiling = max(ceiling, floor + NARROWEST_DB)
        if (floor, ceiling) != (self._settings.floor_db, self._settings.ceiling_db):
            self.rangeChanged.emit(float(floor), float(ceiling))
