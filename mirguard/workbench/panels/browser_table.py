"""The dataset browser's table: a row a clip, marked in signs as well as in colours."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from PySide6.QtCore import QAbstractTableModel, QEvent, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QKeyEvent, QKeySequence, QPainter, QResizeEvent
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

from mirguard.workbench.actions import BROWSER_DEEDS
from mirguard.workbench.collection import (
    ACCEPT,
    ADVERSARIAL,
    COLUMNS,
    FAILED,
    HEARD,
    RELABEL,
    REVIEW,
    UNSURE,
    Collection,
    Row,
)
from mirguard.workbench.theme import colours, notifier, pixmap
from mirguard.workbench.views.formats import format_figures, format_percent

log = logging.getLogger(__name__)
Index = QModelIndex | QPersistentModelIndex
ROOT = QModelIndex()

NUMBER, ICON, ICON_ROLE, TEXT_ROLE = (Qt.ItemDataRole.UserRole + number for number in range(4))
HEADINGS = {
    "name": "Clip",
    "true": "True",
    "predicted": "Predicted",
    "confidence": "Confidence",
    "score": "Detector",
    "split": "Split",
    "decision": "Decision",
}
EXPLAINED = {
    "name": "The file; sort by its name",
    "true": "What the data says it is",
    "predicted": "What the model says it is; a tick where that is right, a cross where it is wrong",
    "confidence": "The probability of the predicted label",
    "score": "The detector's score, the higher the more anomalous; a flag where it lies beyond the threshold",
    "split": "Training, validation or test",
    "decision": "What you decided",
}
DECIDED = {ACCEPT: "accepted", ADVERSARIAL: "adversarial", UNSURE: "unsure", RELABEL: "relabelled"}
DECISION_ICONS = {
    ACCEPT: ("check", "good"),
    ADVERSARIAL: ("flag", "danger"),
    UNSURE: ("help", "warning"),
    RELABEL: ("tag", "accent"),
}
# Of the window these move through time.
MOVES = (Qt.Key.Key_Home, Qt.Key.Key_End, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown)
NARROW = 500  # pixels
ICON_SIZE, GAP, PAD = 14, 5, 8


class RowsModel(QAbstractTableModel):
    """The rows of a collection that are shown, in their order. It copies nothing."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.collection: Collection | None = None
        self.order: list[int] = []
        self.played: int | None = None
        self._place: dict[int, int] = {}

    def put(self, collection: Collection | None, order: list[int]) -> None:
        """Show these rows."""
        self.beginResetModel()
        self.collection, self.order = collection, order
        self._place = {number: place for place, number in enumerate(order)}
        self.endResetModel()

    def refresh(self, numbers: set[int] | None) -> None:
        """Rows have changed where they are; None for all."""
        places = self.order if numbers is None else [self._place[number] for number in numbers if number in self._place]
        if not places:
            return
        low, high = (0, len(self.order) - 1) if numbers is None else (min(places), max(places))
        self.dataChanged.emit(self.index(low, 0), self.index(high, len(COLUMNS) - 1))

    def set_played(self, number: int | None) -> None:
        """The row that is being played."""
        if number != self.played:
            changed = {row for row in (number, self.played) if row is not None}
            self.played = number
            self.refresh(changed)

    def place_of(self, number: int | None) -> int | None:
        """Where a row stands; None if it is not shown."""
        return None if number is None else self._place.get(number)

    def rowCount(self, parent: Index = ROOT) -> int:
        return 0 if parent.isValid() else len(self.order)

    def columnCount(self, parent: Index = ROOT) -> int:
        return 0 if parent.isValid() else len(COLUMNS)

    def row(self, place: int) -> Row:
        return self.collection.rows[self.order[place]]

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole):
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return HEADINGS[COLUMNS[section]]
            if role == Qt.ItemDataRole.ToolTipRole:
                return EXPLAINED[COLUMNS[section]]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole):
        row, column = self.row(index.row()), COLUMNS[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return text_of(row, column)
        if role == NUMBER:
            return row.number
        if role in (ICON, ICON_ROLE):
            return self._mark(row, column)[role == ICON_ROLE]
        if role == TEXT_ROLE:
            return self._colour(row, column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return told(row, self.collection)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return self._spoken(row, column)
        return None

    def _mark(self, row: Row, column: str) -> tuple[str, str]:
        """The sign before a cell's words, and its colour; "" for none."""
        if column == "name":
            if row.number == self.played:
                return "play", "accent"
            return ("warning", "danger") if row.state == FAILED else ("", "")
        if column == "predicted" and row.right is not None:
            return ("check", "good") if row.right else ("close", "danger")
        if column == "score" and self.collection.flagged(row):
            return "flag", "danger"
        if column == "decision" and row.decision:
            return DECISION_ICONS[row.decision]
        return "", ""

    def _colour(self, row: Row, column: str) -> str:
        if row.state != HEARD and column != "name":
            return "danger" if row.state == FAILED and column == "predicted" else "muted"
        if column == "predicted" and row.right is False:
            return "danger"
        if column == "score":
            return "danger" if self.collection.flagged(row) else "text"
        return "muted" if column in ("split", "true") and row.right is not False else "text"

    def _spoken(self, row: Row, column: str) -> str:
        text = text_of(row, column) or "nothing"
        if column == "name":
            return f"{text}, cannot be read" if row.state == FAILED else text
        words = f"{HEADINGS[column]}: {text}"
        if column == "predicted" and row.right is not None:
            words += ", right" if row.right else ", wrong"
        if column == "score" and self.collection.flagged(row):
            words += ", flagged"
        return words


def text_of(row: Row, column: str) -> str:
    """A cell's words."""
    heard = row.heard
    if column == "name":
        return row.name
    if column == "true":
        return row.item.label
    if column == "split":
        return row.item.split
    if column == "decision":
        if row.decision == RELABEL:
            return f"→ {row.record.label}"
        return DECIDED.get(row.decision, "") or ("note" if row.note else "")
    if column == "predicted" and heard is None:
        return "cannot be read" if row.state == FAILED else "…"
    if heard is None:
        return ""
    if column == "predicted":
        return heard.label
    if column == "confidence":
        return format_percent(heard.confidence)
    return "" if heard.score is None else format_figures(heard.score)


def told(row: Row, collection: Collection) -> str:
    """All that is known of a row, in lines."""
    lines = [str(row.item.path)]
    if row.trouble:
        lines.append(row.trouble)
    if row.item.label:
        of = f" ({row.item.split})" if row.item.split else ""
        lines.append(f"True label: {row.item.label}{of}")
    if row.heard:
        lines.append(f"Heard as {saying(row)}")
        detected = detection(row, collection)
        if detected:
            lines.append(detected[0].upper() + detected[1:])
    if row.decision:
        to = f" as {row.record.label}" if row.record.label else ""
        lines.append(
            f"You decided: {DECIDED[row.decision]}{to}, {row.record.at.replace('T', ' ').replace('+00:00', ' UTC')}"
        )
    if row.note:
        lines.append(f"Note: {row.note}")
    return "\n".join(lines)


def saying(row: Row) -> str:
    """What the model says: "organ 62 %, brass 21 %, flute 9.1 %"."""
    return ", ".join(f"{label} {format_percent(share)}" for label, share in row.heard.top or [_top(row)])


def _top(row: Row) -> tuple[str, float]:
    return row.heard.label, row.heard.confidence


def detection(row: Row, collection: Collection) -> str:
    """What the detector says, "" where it says nothing."""
    if row.heard is None or row.heard.score is None:
        return ""
    words = f"detector {format_figures(row.heard.score)}"
    percentile = collection.percentile(row.heard.score)
    if percentile is not None:
        words += f", above {percentile:.0f} % of clean clips"
    flagged = collection.flagged(row)
    return words if flagged is None else f"{words}: {'flagged' if flagged else 'passes'}"


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
