"""Entries of a list or menu under headings, which are the ones that stand for nothing."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from mirguard.workbench.theme import colours


class GroupedEntries(QStyledItemDelegate):
    """Headings are bold and quiet; what belongs to them stands in a little. An entry has its value as user data, a heading
    has none."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index) -> None:
        chosen, head = colours(), index.data(Qt.ItemDataRole.UserRole) is None
        enabled = bool(index.flags() & Qt.ItemFlag.ItemIsEnabled)
        selected = bool(option.state & QStyle.StateFlag.State_Selected) and not head
        painter.save()
        if selected or (option.state & QStyle.StateFlag.State_MouseOver and enabled):
            painter.fillRect(option.rect, chosen.of("accent" if selected else "hover"))
        font = QFont(option.font)
        font.setBold(head)
        painter.setFont(font)
        plain = "text" if enabled else "muted"
        painter.setPen(chosen.of("accent_text" if selected else plain))
        room = option.rect.adjusted(8 if head else 18, 4 if head and index.row() else 0, -4, 0)
        text = QFontMetrics(font).elidedText(index.data(), Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter, text)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index) -> QSize:
        head = index.data(Qt.ItemDataRole.UserRole) is None
        width = option.fontMetrics.horizontalAdvance(index.data() or "") + 30
        return QSize(width, option.fontMetrics.height() + (14 if head and index.row() else 8))
