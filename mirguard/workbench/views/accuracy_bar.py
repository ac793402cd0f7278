"""An accuracy with its interval on a line from 0 to 100 %, and where guessing would lie."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from mirguard.workbench.theme import colours, notifier


def percent(share: float) -> str:
    """A share as people write it: "92 %", with a decimal only where it has one to tell."""
    value = 100 * share
    return f"{value:.0f} %" if value in (0.0, 100.0) or abs(value - round(value)) < 0.05 else f"{value:.1f} %"


def interval_words(share: float, interval: tuple[float, float]) -> str:
    """ "92 % (95 % interval 74 to 98 %)"."""
    low, high = interval
    return f"{percent(share)} (95 % interval {100 * low:.0f} to {100 * high:.0f} %)"


class AccuracyBar(QWidget):
    """A dot on a band: the accuracy measured, and where the true one lies in 95 of 100 such measurements."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._share: float | None = None
        self._interval, self._chance = (0.0, 1.0), 0.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Accuracy")
        notifier().changed.connect(self.update)

    def set_accuracy(self, share: float, interval: tuple[float, float], chance: float = 0.0) -> None:
        """All from 0 to 1; `chance` is what guessing would reach."""
        self._share, self._interval, self._chance = share, interval, chance
        words = f"{interval_words(share, interval)}; guessing would reach {percent(chance)}"
        self.setAccessibleDescription(words)
        self.setToolTip(words)
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(220, 16)

    def minimumSizeHint(self) -> QSize:
        return QSize(80, 16)

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._share is None:
            return
        chosen = colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        left, width, middle = 7.0, self.width() - 14.0, self.height() / 2

        def x(share: float) -> float:
            return left + width * share

        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(chosen.border))
        painter.drawRoundedRect(QRectF(left, middle - 2, width, 4), 2, 2)
        low, high = self._interval
        painter.setBrush(chosen.faint("accent", 110))
        painter.drawRoundedRect(QRectF(x(low), middle - 5, max(3.0, x(high) - x(low)), 10), 4, 4)
        if self._chance > 0:
            painter.setPen(QPen(QColor(chosen.muted), 1.5))
            painter.drawLine(QPointF(x(self._chance), middle - 7), QPointF(x(self._chance), middle + 7))
        painter.setPen(QPen(QColor(chosen.window), 1.5))
        painter.setBrush(QColor(chosen.accent))
        painter.drawEllipse(QPointF(x(self._share), middle), 5.5, 5.5)
        painter.end()
