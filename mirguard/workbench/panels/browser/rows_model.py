"""The rows of the dataset browser's table, with a sign and a colour for what counts."""

from __future__ import annotations

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtWidgets import QWidget

from mirguard.workbench.collection.collection import Collection
from mirguard.workbench.collection.row import ACCEPT, ADVERSARIAL, COLUMNS, FAILED, HEARD, RELABEL, UNSURE, Row
from mirguard.workbench.panels.browser.row_words import text_of, told

Index = QModelIndex | QPersistentModelIndex
ROOT = QModelIndex()

ICON, ICON_ROLE, TEXT_ROLE = (Qt.ItemDataRole.UserRole + number for number in range(3))
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
DECISION_ICONS = {
    ACCEPT: ("check", "good"),
    ADVERSARIAL: ("flag", "danger"),
    UNSURE: ("help", "warning"),
    RELABEL: ("tag", "accent"),
}


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
