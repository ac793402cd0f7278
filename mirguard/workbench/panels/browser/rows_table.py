"""The dataset browser's table: a row a clip, marked in signs as well as in colours."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QKeySequence, QPainter, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHeaderView, QTableView, QWidget

from mirguard.workbench.actions import BROWSER_DEEDS
from mirguard.workbench.collection.collection import LABELLED, REVIEW, Collection
from mirguard.workbench.collection.row import COLUMNS
from mirguard.workbench.panels.browser.row_delegate import RowDelegate
from mirguard.workbench.panels.browser.rows_model import RowsModel
from mirguard.workbench.theme import colours, notifier

# Of the window these move through time.
MOVES = (Qt.Key.Key_Home, Qt.Key.Key_End, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown)
NARROW = 500  # pixels


class RowsTable(QTableView):
    """Keys of the browser belong to it while it has the focus, whatever they mean in the window."""

    asked = Signal(str)  # the name of a deed of BROWSER_DEEDS
    touched = Signal()  # the person chose rows

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows = RowsModel(self)
        self.setModel(self.rows)
        self.setItemDelegate(RowDelegate(self))
        self.setAccessibleName("Clips of the dataset")
        self.viewport().setAccessibleName("Clips of the dataset, rows")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setCornerButtonEnabled(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        rows, heads = self.verticalHeader(), self.horizontalHeader()
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(self.fontMetrics().height() + 10)
        heads.setAccessibleName("Headings; press one to sort by it")
        heads.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        heads.setSectionsClickable(True)
        heads.setHighlightSections(False)
        heads.setMinimumSectionSize(44)
        heads.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        heads.sectionResized.connect(self._resized)
        self._keys = {
            QKeySequence(key)[0].toCombined(): deed.name for deed in BROWSER_DEEDS.values() for key in deed.keys
        }
        self._own_widths = self._fitting = False
        self._silent: set[str] = set()
        self._empty = ""
        notifier().changed.connect(self.viewport().update)

    # --- columns ---

    def show_columns(self, collection: Collection, detector: bool) -> None:
        """Only columns that have something to say; `detector` is whether there can be scores."""
        silent = {"true"} if collection.mode == REVIEW else set()
        if not collection.splits():
            silent.add("split")
        if not detector:
            silent.add("score")
        if collection.mode == LABELLED and not any(row.record is not None for row in collection.rows):
            silent.add("decision")
        if silent != self._silent:
            self._silent, self._own_widths = silent, False
            self.fit_columns()

    def fit_columns(self) -> None:
        """Give the columns the width there is, until the person has moved one. Where it is little, the confidence is told
        below the table only."""
        self._fitting = True
        narrow = self.viewport().width() < NARROW
        for number, column in enumerate(COLUMNS):
            self.setColumnHidden(number, column in self._silent or (narrow and column == "confidence"))
        if not self._own_widths:
            self._share_width()
        self._fitting = False

    def _share_width(self) -> None:
        width = self.fontMetrics().horizontalAdvance
        arrow = 14 if self.viewport().width() > 600 else 0  # room for the sign of the sorting
        fixed = {
            "confidence": width("Confidence") + 24 + arrow,
            "score": width("Detector") + 32 + arrow,
            "split": width("validation") + 18,
            "decision": width("adversarial") + 36,
        }
        shown = [column for number, column in enumerate(COLUMNS) if not self.isColumnHidden(number)]
        left = self.viewport().width() - sum(fixed[column] for column in shown if column in fixed)
        words = [column for column in shown if column in ("true", "predicted")]
        most = width("electric piano") + 56
        each = max(52, min(most, round(0.6 * left / max(1, len(words)))))
        for number, column in enumerate(COLUMNS):
            if column in fixed:
                self.setColumnWidth(number, fixed[column])
            elif column != "name":
                self.setColumnWidth(number, each)
        self.setColumnWidth(0, max(72, left - each * len(words)))

    def _resized(self) -> None:
        if not self._fitting:
            self._own_widths = True

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.fit_columns()

    # --- rows ---

    def numbers(self) -> list[int]:
        """The chosen rows, from top to bottom."""
        places = sorted(index.row() for index in self.selectionModel().selectedRows())
        return [self.rows.order[place] for place in places]

    @property
    def current_number(self) -> int | None:
        index = self.currentIndex()
        return self.rows.order[index.row()] if index.isValid() and index.row() < len(self.rows.order) else None

    def choose(self, number: int | None) -> None:
        """Make a row the only chosen one and have it seen."""
        place = self.rows.place_of(number)
        if place is not None:
            index = self.rows.index(place, 0)
            self.setCurrentIndex(index)
            self.selectRow(place)
            self.scrollTo(index)

    def put(self, collection: Collection | None, order: Sequence[int], keep: bool) -> None:
        """Show rows in another order. With `keep`, chosen rows stay chosen and the current one stays where it is seen."""
        current, chosen = self.current_number, set(self.numbers())
        height = self.rowViewportPosition(self.currentIndex().row()) if current is not None else None
        selection = self.selectionModel()
        blocked = selection.blockSignals(True)
        self.rows.put(collection, list(order))
        place = self.rows.place_of(current) if keep else None
        if place is not None:
            flags = selection.SelectionFlag
            selection.setCurrentIndex(self.rows.index(place, 0), flags.ClearAndSelect | flags.Rows)
            for number in chosen - {current}:
                other = self.rows.place_of(number)
                if other is not None:
                    selection.select(self.rows.index(other, 0), flags.Select | flags.Rows)
        selection.blockSignals(blocked)
        if place is not None and height is not None and 0 <= height < self.viewport().height():
            self.updateGeometries()
            row = self.verticalHeader().defaultSectionSize()
            self.verticalScrollBar().setValue(max(0, place * row - height))
        self.viewport().update()

    def set_empty_text(self, text: str) -> None:
        """What stands there while there are no rows."""
        if text != self._empty:
            self._empty = text
            self.viewport().update()

    def paintEvent(self, event) -> None:
        super().paintEvent(event)
        if not self.rows.order and self._empty:
            painter = QPainter(self.viewport())
            painter.setPen(QColor(colours().muted))
            area = self.viewport().rect().adjusted(20, 10, -20, -10)
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self._empty)
            painter.end()

    # --- keys ---

    def _deed(self, event: QKeyEvent) -> str | None:
        modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        return self._keys.get(modifiers.value | event.key()) if event.key() else None

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride and (self._deed(event) or event.key() in MOVES):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        name = self._deed(event)
        if name:
            self.asked.emit(name)
            return
        self.touched.emit()
        if event.key() in (Qt.Key.Key_Home, Qt.Key.Key_End) and not event.modifiers() and self.rows.order:
            self.choose(self.rows.order[0 if event.key() == Qt.Key.Key_Home else -1])
            return
        super().keyPressEvent(event)

    def mousePressEvent(self, event) -> None:
        self.touched.emit()
        super().mousePressEvent(event)

    def keyboardSearch(self, search: str) -> None:
        """Letters are decisions here; the field above the table searches."""
