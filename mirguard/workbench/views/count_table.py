"""A plain table of names and numbers."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
PAD = 5
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


class Padded(QStyledItemDelegate):
    """Cells whose text stands under their heading's."""

    def paint(self, painter, option: QStyleOptionViewItem, index) -> None:
        option.rect = option.rect.adjusted(PAD, 0, -PAD, 0)
        super().paint(painter, option, index)


class CountTable(QTableWidget):
    """Names to the left, their numbers to the right of them; nothing to be edited. With `sums`, a last row adds up."""

    def __init__(self, name: str, headings: Sequence[str], sums: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(0, len(headings), parent)
        self.setAccessibleName(name)
        self.viewport().setAccessibleName(f"{name}, rows")
        self._sums = sums
        self.setHorizontalHeaderLabels(list(headings))
        for column in range(len(headings)):
            self.horizontalHeaderItem(column).setTextAlignment(RIGHT if column else LEFT)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 9)
        heads = self.horizontalHeader()
        heads.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        heads.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        heads.setHighlightSections(False)
        heads.setSectionsClickable(False)
        heads.setMinimumSectionSize(46)
        heads.setAccessibleName(f"{name}, headings")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        self.setMinimumHeight(110)
        self.setItemDelegate(Padded(self))

    def set_rows(self, rows: Sequence[tuple[str, Sequence[int]]]) -> None:
        """Show these names and numbers."""
        rows = list(rows)
        if self._sums and rows:
            rows.append(("All", [sum(column) for column in zip(*(numbers for _, numbers in rows), strict=True)]))
        self.setRowCount(len(rows))
        for row, (name, numbers) in enumerate(rows):
            last = self._sums and row == len(rows) - 1
            for column, value in enumerate((name, *numbers)):
                item = QTableWidgetItem(str(value))
                item.setTextAlignment(RIGHT if column else LEFT)
                if column == 0:
                    item.setToolTip(name)
                if last:
                    font = item.font()
                    font.setBold(True)
                    item.setFont(font)
                self.setItem(row, column, item)
