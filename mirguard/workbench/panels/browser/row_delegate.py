"""How a row of the dataset browser's table is painted."""

from __future__ import annotations

import logging

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from mirguard.workbench.collection.row import COLUMNS
from mirguard.workbench.panels.browser.rows_model import ICON, ICON_ROLE, TEXT_ROLE, Index
from mirguard.workbench.theme import colours, pixmap

log = logging.getLogger(__name__)
ICON_SIZE, GAP, PAD = 14, 5, 8


class RowDelegate(QStyledItemDelegate):
    """A sign and words; the chosen rows are marked by an edge as in the list of clips."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(60, option.fontMetrics.height() + 10)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        try:
            self._paint(painter, option, index)
        except Exception:  # an exception that leaves a paint method may end the process
            log.exception("a row could not be painted")

    def _paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        chosen, area = colours(), option.rect
        painter.save()
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        if selected:
            painter.fillRect(area, QColor(chosen.hover))
            if index.column() == 0:
                active = option.widget is not None and option.widget.hasFocus()
                edge = QColor(chosen.accent if active else chosen.muted)
                painter.fillRect(QRect(area.left(), area.top(), 3, area.height()), edge)
        left = area.left() + PAD
        icon = index.data(ICON)
        if icon:
            drawn = pixmap(icon, ICON_SIZE, getattr(chosen, index.data(ICON_ROLE)))
            painter.drawPixmap(left, area.center().y() - ICON_SIZE // 2 + 1, drawn)
        if icon or COLUMNS[index.column()] in ("predicted", "score", "decision"):
            left += ICON_SIZE + GAP  # words begin at one line, with or without a sign
        font = QFont(option.font)
        if index.data(TEXT_ROLE) == "danger":
            font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        painter.setPen(QColor(getattr(chosen, index.data(TEXT_ROLE))))
        room = QRect(left, area.top(), area.right() - left - 4, area.height())
        mode = Qt.TextElideMode.ElideMiddle if index.column() == 0 else Qt.TextElideMode.ElideRight
        words = painter.fontMetrics().elidedText(index.data() or "", mode, room.width())
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, words)
        painter.restore()
