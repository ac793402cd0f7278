"""A detector's readings in one line: where original and adversarial stand among clean clips."""

from __future__ import annotations

import logging

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from mirguard.workbench.theme import colours

log = logging.getLogger(__name__)
MARKS = (
    Qt.ItemDataRole.UserRole + 1
)  # (original, adversarial, share of clean clips that pass), in per cent; None where unknown
PAD, HEIGHT = 8, 6


class PlainDelegate(QStyledItemDelegate):
    """Words that keep their colour in a chosen row, whose ground is a little lighter."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(super().sizeHint(option, index).width(), option.fontMetrics.height() + 10)

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        super().initStyleOption(option, index)
        if option.state & QStyle.StateFlag.State_Selected:
            option.state &= ~QStyle.StateFlag.State_Selected
            option.backgroundBrush = QBrush(QColor(colours().hover))


class StripDelegate(QStyledItemDelegate):
    """A bar from the least to the most anomalous of the clean clips: the part that is flagged is red, original is marked from below
    and adversarial from above."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(80, option.fontMetrics.height() + 10)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        try:
            self._paint(painter, option, index)
        except Exception:  # an exception that leaves a paint method may end the process
            log.exception("a strip could not be painted")

    def _paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        chosen = colours()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, QColor(chosen.hover))
        marks = index.data(MARKS)
        bar = QRectF(option.rect).adjusted(PAD, 0, -PAD, 0)
        bar.setTop(option.rect.center().y() - HEIGHT / 2)
        bar.setHeight(HEIGHT)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(chosen.faint("muted", 90))
        painter.drawRect(bar)
        if marks is not None:
            original, adversarial, passes = marks
            if passes is not None:
                edge = bar.left() + passes / 100.0 * bar.width()
                painter.setBrush(chosen.faint("danger", 150))
                painter.drawRect(QRectF(edge, bar.top(), bar.right() - edge, HEIGHT))
            for percent, colour, up in ((original, chosen.original, True), (adversarial, chosen.adversarial, False)):
                if percent is not None:
                    self._mark(painter, bar, percent, QColor(colour), up)
        painter.restore()

    @staticmethod
    def _mark(painter: QPainter, bar: QRectF, percent: float, colour: QColor, up: bool) -> None:
        x = bar.left() + min(max(percent, 0.0), 100.0) / 100.0 * bar.width()
        tip, base = (bar.bottom() - 1, bar.bottom() + 6) if up else (bar.top() + 1, bar.top() - 6)
        painter.setPen(QPen(colour, 1))
        painter.setBrush(colour)
        painter.drawPolygon(QPolygonF([QPointF(x, tip), QPointF(x - 4, base), QPointF(x + 4, base)]))
