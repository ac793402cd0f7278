"""How much of an attack made on the models at the left carries over to those above: rates, coloured by their size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPen
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from mirguard.words import counted
from mirguard.workbench.theme import colours, contrast, notifier
from mirguard.workbench.theme.style import mixed
from mirguard.workbench.views.formats import format_percent

if TYPE_CHECKING:
    from mirguard.experiment.transfer import Cell, TransferMatrix

RATE, KNOWN = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1
NOISE = "White noise"
WIDTH, HEIGHT = 110, 40  # pixels of a cell where there is room
NARROW, LOW = 84, 30  # and where there is not; what still does not fit is scrolled to


class TransferTable(QTableWidget):
    """Rows are what the attack saw, columns what the result was played to. A frame marks where a model was attacked itself,
    which is no transfer. Each cell tells its counts and its interval when it is pointed at."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Transfer matrix")
        self.setAccessibleDescription("Rows are the models the attack was made on, columns those it was played to")
        self.viewport().setAccessibleName("Transfer matrix, cells")
        self.setItemDelegate(_Cells(self))
        self.setShowGrid(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setProperty("matrix", True)
        self.setCornerButtonEnabled(False)
        self.setTabKeyNavigation(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        for header, name in ((self.horizontalHeader(), "Played to"), (self.verticalHeader(), "Made on")):
            header.setAccessibleName(name)
            header.setHighlightSections(False)
            header.setSectionsClickable(False)
            header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.horizontalHeader().setMinimumSectionSize(NARROW)
        self.verticalHeader().setMinimumSectionSize(LOW)
        self.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap)
        self.verticalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        notifier().changed.connect(self.viewport().update)

    def show_matrix(self, matrix: TransferMatrix | None, titles: Mapping[str, str]) -> None:
        """Show this; `titles` by model name."""
        sources = matrix.sources if matrix else ()
        targets = matrix.targets if matrix else ()
        self.setRowCount(len(sources))
        self.setColumnCount(len(targets))
        for row, names in enumerate(sources):
            words = said(names, titles, targets)
            self.setVerticalHeaderItem(row, _head(words))
            for column, target in enumerate(targets):
                cell = matrix.cell(names, target)
                item = QTableWidgetItem(format_percent(cell.rate) if cell.clips else "–")
                item.setData(RATE, cell.rate)
                item.setData(KNOWN, cell.known)
                text = explained(cell, matrix, titles)
                item.setToolTip(text)
                item.setData(Qt.ItemDataRole.AccessibleTextRole, text)
                self.setItem(row, column, item)
        for column, target in enumerate(targets):
            self.setHorizontalHeaderItem(column, _head(titles.get(target, target)))
        names = [self.verticalHeaderItem(row).text() for row in range(len(sources))]
        self.verticalHeader().setFixedWidth(
            min(280, max((self.fontMetrics().horizontalAdvance(n) for n in names), default=40) + 18)
        )
        self._fit()

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Give the cells the room that there is, within limits."""
        across, down = self.horizontalHeader(), self.verticalHeader()
        columns, rows, metrics = self.columnCount(), self.rowCount(), self.fontMetrics()
        inside = self.contentsRect()
        width = min(WIDTH, max(NARROW, (inside.width() - down.width()) // max(1, columns)))
        room, wrap = QRect(0, 0, width - 16, 400), int(Qt.TextFlag.TextWordWrap)
        heads = [self.horizontalHeaderItem(column).text() for column in range(columns)]
        heights = [metrics.boundingRect(room, wrap, head).height() for head in heads]
        across.setFixedHeight(max(heights, default=20) + metrics.height())
        across.setDefaultSectionSize(width)
        down.setDefaultSectionSize(min(HEIGHT, max(LOW, (inside.height() - across.height()) // max(1, rows))))

    def sizeHint(self) -> QSize:
        return QSize(self.verticalHeader().width() + WIDTH * 4, self.horizontalHeader().height() + HEIGHT * 5)


def _head(words: str) -> QTableWidgetItem:
    item = QTableWidgetItem(words)
    item.setToolTip(words)
    return item


def said(names: tuple[str, ...], titles: Mapping[str, str], among: tuple[str, ...] = ()) -> str:
    """What an attack was made on, in words; all but one `among` the models that it was played to are said so."""
    left = [name for name in among if name not in names]
    if len(names) > 1 and len(left) == 1 and len(names) == len(among) - 1:
        return f"All but {titles.get(left[0], left[0])}"
    return " + ".join(titles.get(name, name) for name in names) or NOISE


def explained(cell: Cell, matrix: TransferMatrix, titles: Mapping[str, str]) -> str:
    """A cell in a sentence."""
    made = f"{matrix.attack} on {said(cell.sources, titles)}" if cell.sources else f"{NOISE} at the same SNR"
    target = titles.get(cell.target, cell.target)
    if not cell.clips:
        return f"{made}: {target} got no clip right before, so there is nothing to count."
    what = "brought out the target" if matrix.goal == "targeted" else "changed the label"
    low, high = (format_percent(end) for end in cell.interval)
    text = f"{made} {what} of {target} in {cell.hits} of {counted(cell.clips, 'clip')} that it got right "
    text += f"({format_percent(cell.rate)}; 95 % interval {low} to {high})."
    return f"{text} It was attacked itself." if cell.known else text


class _Cells(QStyledItemDelegate):
    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index) -> None:
        chosen, rate = colours(), index.data(RATE)
        known = bool(index.data(KNOWN))
        share = 0.0 if rate is None or math.isnan(rate) else rate
        ground = mixed(chosen.adversarial, chosen.base, 0.06 + 0.7 * share)
        ink = max((chosen.text, chosen.base, "#000000", "#ffffff"), key=lambda colour: contrast(colour, ground))
        inside = option.rect.adjusted(1, 1, -1, -1)
        painter.save()
        painter.fillRect(option.rect, QColor(chosen.base))
        painter.fillRect(inside, QColor(ground))
        if known:
            painter.setPen(QPen(QColor(chosen.muted), 1))
            painter.drawRect(inside.adjusted(1, 1, -2, -2))
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QPen(QColor(chosen.accent), 2))
            painter.drawRect(inside.adjusted(0, 0, -1, -1))
        font = QFont(option.font)
        font.setBold(not known)
        painter.setFont(font)
        painter.setPen(QColor(ink))
        painter.drawText(option.rect, Qt.AlignmentFlag.AlignCenter, index.data())
        painter.restore()
