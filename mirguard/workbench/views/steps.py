"""Where one is in a row of steps."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from mirguard.workbench.theme import colours, notifier, pixmap

DISC, GAP, LINE = 22, 8, 40


class Steps(QWidget):
    """Numbered discs with their names: past ones ticked, the present one in the accent."""

    def __init__(self, names: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._names = list(names)
        self.current = 0
        self.setAccessibleName("Steps")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        notifier().changed.connect(self.update)
        self.set_current(0)

    def set_current(self, number: int) -> None:
        self.current = number
        self.setAccessibleDescription(f"Step {number + 1} of {len(self._names)}: {self._names[number]}")
        self.update()

    def sizeHint(self) -> QSize:
        font = self.font()
        font.setBold(True)
        metrics = QFontMetricsF(font)
        words = sum(metrics.horizontalAdvance(name) for name in self._names)
        return QSize(round(words + len(self._names) * (DISC + 2 * GAP + 12) + (len(self._names) - 1) * 24), DISC + 6)

    minimumSizeHint = sizeHint

    def paintEvent(self, event: QPaintEvent) -> None:
        chosen = colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle, x = self.height() / 2, 1.0
        for number, name in enumerate(self._names):
            now, past = number == self.current, number < self.current
            if number:
                painter.setPen(QPen(QColor(chosen.accent if past or now else chosen.border), 1.5))
                painter.drawLine(QPointF(x, middle), QPointF(x + LINE - 2 * GAP, middle))
                x += LINE - GAP
            disc = QRectF(x, middle - DISC / 2, DISC, DISC)
            painter.setPen(QPen(QColor(chosen.accent if now or past else chosen.border), 1.5))
            painter.setBrush(QColor(chosen.accent) if now else Qt.BrushStyle.NoBrush)
            painter.drawEllipse(disc)
            font = self.font()
            font.setBold(now)
            painter.setFont(font)
            if past:
                drawn = pixmap("check", 14, chosen.accent, self.devicePixelRatioF())
                painter.drawPixmap(QPointF(disc.center().x() - 7, disc.center().y() - 7), drawn)
            else:
                painter.setPen(QColor(chosen.accent_text if now else chosen.muted))
                painter.drawText(disc, Qt.AlignmentFlag.AlignCenter, str(number + 1))
            painter.setPen(QColor(chosen.text if now else chosen.muted))
            x += DISC + GAP
            width = QFontMetricsF(font).horizontalAdvance(name)
            painter.drawText(QRectF(x, 0, width + 4, self.height()), Qt.AlignmentFlag.AlignVCenter, name)
            x += width + GAP
        painter.end()
