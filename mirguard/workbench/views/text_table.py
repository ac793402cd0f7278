"""A small table of texts that can be read but not edited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from mirguard.workbench.views.count_table import LEFT, PAD, Padded

WIDEST = 340  # pixels; longer texts go on in further lines


class TextTable(QTableWidget):
    """Columns as wide as their texts, the last one with the room that is left."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.viewport().setAccessibleName(f"{name}, rows")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setTabKeyNavigation(False)
        self.setShowGrid(False)
        self.setWordWrap(True)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setItemDelegate(Padded(self))
        self.verticalHeader().hide()
        heads = self.horizontalHeader()
        heads.setAccessibleName(f"{name}, headings")
        heads.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        heads.setHighlightSections(False)
        heads.setSectionsClickable(False)
        heads.setDefaultAlignment(LEFT)

    def set_texts(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Show these rows; numbers are shortened to what a person reads."""
        self.clear()
        self.setColumnCount(len(columns))
        self.setRowCount(len(rows))
        self.setHorizontalHeaderLabels(list(columns))
        for place, row in enumerate(rows):
            for column, value in enumerate(row):
                item = QTableWidgetItem(f"{value:.2g}" if isinstance(value, float) else str(value))
                item.setFlags(Qt.ItemFlag.ItemIsEnabled)
                item.setTextAlignment(LEFT)
                self.setItem(place, column, item)
        self._fit()

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        count = self.columnCount()
        for column in range(count):
            texts = [self.item(row, column).text() for row in range(self.rowCount())]
            widest = max((self.fontMetrics().horizontalAdvance(text) for text in texts), default=0) + 4 * PAD
            wanted = max(widest, self.horizontalHeader().sectionSizeHint(column))
            if column == count - 1:
                room = self.viewport().width() - sum(self.columnWidth(other) for other in range(column))
                self.setColumnWidth(column, max(min(wanted, WIDEST), room))
            else:
                self.setColumnWidth(column, min(wanted, WIDEST))
        self.resizeRowsToContents()
        for row in range(self.rowCount()):
            self.setRowHeight(row, self.rowHeight(row) + PAD)

    def minimumSizeHint(self) -> QSize:
        return QSize(60, 60)
