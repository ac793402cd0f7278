"""Which label was heard as which: a table of counts, coloured by their share of the row."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPen, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from mirguard.words import counted
from mirguard.workbench.theme import colours, contrast, notifier
from mirguard.workbench.theme.style import mixed
from mirguard.workbench.views.formats import format_percent

Index = QModelIndex | QPersistentModelIndex
ROOT = QModelIndex()
SHARE = Qt.ItemDataRole.UserRole
MOST_SEEN = 14  # rows and columns before it scrolls
SMALLEST_CELL, LARGEST_CELL, EDGE = 24, 36, 3
LONGEST = 140  # pixels of a label before it is cut with dots


class ConfusionTable(QTableView):
    """Rows are the true labels, columns what was heard; the diagonal is what was right. Cells tell more when pointed at."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Confusion matrix")
        self.setAccessibleDescription("Rows are the true labels, columns the labels heard")
        self.counts = _Counts(self)
        self._least = SMALLEST_CELL
        self.setModel(self.counts)
        self.setItemDelegate(_Cells(self))
        self.setHorizontalHeader(_Labels(Qt.Orientation.Horizontal, self))
        self.setVerticalHeader(_Labels(Qt.Orientation.Vertical, self))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setProperty("matrix", True)
        self.setShowGrid(False)
        self.setCornerButtonEnabled(False)
        self.setTabKeyNavigation(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setMouseTracking(True)
        rows = self.verticalHeader()
        for header, name in ((rows, "True labels"), (self.horizontalHeader(), "Labels heard")):
            header.setAccessibleName(name)
            header.setHighlightSections(False)
            header.setSectionsClickable(False)
        self.viewport().setAccessibleName("Confusion matrix, cells")
        notifier().changed.connect(self.viewport().update)

    def set_matrix(self, labels: Sequence[str], confusion: Sequence[Sequence[int]]) -> None:
        """Show counts `(K, K)`, rows true, in the order of `labels`."""
        self.counts.put(tuple(labels), tuple(tuple(int(count) for count in row) for row in confusion))
        metrics = self.fontMetrics()
        widest = max((metrics.horizontalAdvance(label) for label in labels), default=0)
        largest = max((count for row in self.counts.confusion for count in row), default=0)
        self._least = max(SMALLEST_CELL, metrics.horizontalAdvance(str(largest)) + 8)
        self.verticalHeader().setFixedWidth(min(widest, LONGEST) + 16)
        self.horizontalHeader().setFixedHeight(min(widest, LONGEST) + 16)
        for header in (self.horizontalHeader(), self.verticalHeader()):
            header.setMinimumSectionSize(self._least)
        self._fit()
        self.updateGeometry()

    def _fit(self) -> None:
        """Cells as large as there is room for all of them, within reason."""
        count = max(1, self.counts.rowCount())
        room = min(
            self.width() - self.verticalHeader().width() - EDGE, self.height() - self.horizontalHeader().height() - EDGE
        )
        side = max(self._least, min(LARGEST_CELL, room // count))
        for header in (self.horizontalHeader(), self.verticalHeader()):
            if header.defaultSectionSize() != side:
                header.setDefaultSectionSize(side)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _size_of(self, side: int) -> QSize:
        seen = side * min(self.counts.rowCount(), MOST_SEEN) + EDGE
        return QSize(self.verticalHeader().width() + seen, self.horizontalHeader().height() + seen)

    def sizeHint(self) -> QSize:
        """All of it, as long as that is not much."""
        return self._size_of(max(self._least, LARGEST_CELL))

    def minimumSizeHint(self) -> QSize:
        return self._size_of(self._least)


class _Counts(QAbstractTableModel):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.labels: tuple[str, ...] = ()
        self.confusion: tuple[tuple[int, ...], ...] = ()

    def put(self, labels: tuple[str, ...], confusion: tuple[tuple[int, ...], ...]) -> None:
        self.beginResetModel()
        self.labels, self.confusion = labels, confusion
        self.endResetModel()

    def rowCount(self, parent: Index = ROOT) -> int:
        return 0 if parent.isValid() else len(self.confusion)

    columnCount = rowCount

    def flags(self, index: Index) -> Qt.ItemFlag:
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole):
        row = self.confusion[index.row()]
        count, total = row[index.column()], sum(row)
        if role == Qt.ItemDataRole.DisplayRole:
            return str(count) if count else ""
        if role == SHARE:
            return count / total if total else 0.0
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            true, heard = self.labels[index.row()], self.labels[index.column()]
            words = f"{true} heard as {heard}" if true != heard else f"{true} heard as such"
            share = f" ({format_percent(count / total)})" if total else ""
            return f"{words}: {count} of {counted(total, 'clip')}{share}"
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole):
        if role == Qt.ItemDataRole.DisplayRole:
            return self.labels[section]
        if role == Qt.ItemDataRole.ToolTipRole:
            if orientation == Qt.Orientation.Horizontal:
                return f"Heard as {self.labels[section]}"
            return f"{self.labels[section]}: {counted(sum(self.confusion[section]), 'clip')}"
        return None


def cell_colours(share: float, right: bool) -> tuple[str, str]:
    """Ground and text of a cell: the more of its row, the stronger; the text is what reads best on it."""
    chosen = colours()
    ground = (
        chosen.base if share <= 0 else mixed(chosen.good if right else chosen.danger, chosen.base, 0.12 + 0.6 * share)
    )
    return ground, max((chosen.text, chosen.base, "#000000", "#ffffff"), key=lambda ink: contrast(ink, ground))


class _Cells(QStyledItemDelegate):
    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        chosen = colours()
        right = index.row() == index.column()
        ground, ink = cell_colours(index.data(SHARE), right)
        inside = option.rect.adjusted(1, 1, -1, -1)
        painter.save()
        painter.fillRect(option.rect, QColor(chosen.base))
        painter.fillRect(inside, QColor(ground))
        if right and index.data(SHARE) <= 0:
            painter.setPen(QColor(chosen.border))
            painter.drawRect(inside.adjusted(0, 0, -1, -1))
        painter.setPen(QColor(ink))
        font = QFont(option.font)
        font.setBold(right)
        painter.setFont(font)
        painter.drawText(option.rect, Qt.AlignmentFlag.AlignCenter, index.data() or "")
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QPen(QColor(chosen.accent), 2))
            painter.drawRect(inside.adjusted(0, 0, -1, -1))
        painter.restore()


class _Labels(QHeaderView):
    """The labels of rows, and those of columns written upwards so that columns can be narrow."""

    def __init__(self, orientation: Qt.Orientation, parent: QWidget) -> None:
        super().__init__(orientation, parent)
        self.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)

    def paintSection(self, painter: QPainter, rect: QRect, section: int) -> None:
        chosen = colours()
        painter.save()
        painter.fillRect(rect, QColor(chosen.window))
        painter.setPen(QColor(chosen.muted))
        text = str(self.model().headerData(section, self.orientation()))
        if self.orientation() == Qt.Orientation.Horizontal:
            painter.translate(rect.left(), rect.bottom())
            painter.rotate(-90)
            room, side = QRect(8, 0, rect.height() - 12, rect.width()), Qt.AlignmentFlag.AlignLeft
        else:
            room, side = rect.adjusted(4, 0, -8, 0), Qt.AlignmentFlag.AlignRight
        text = self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, side | Qt.AlignmentFlag.AlignVCenter, text)
        painter.restore()
