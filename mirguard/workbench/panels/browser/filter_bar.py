"""What chooses the clips that the dataset browser's table shows, and their order."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QToolButton, QWidget

from mirguard.workbench.collection.filter import ALL, DECIDED, FLAGGED, RIGHT, UNDECIDED, UNHEARD, UNREAD, WRONG, Filter
from mirguard.workbench.collection.order import AS_LISTED, FLAGGED_FIRST, MISPREDICTED_FIRST, Order
from mirguard.workbench.panels.parts import combo, named, silently

TYPING_MS = 150
STATUS_WORDS = {
    ALL: "All clips",
    WRONG: "Mispredicted",
    RIGHT: "Right",
    FLAGGED: "Flagged",
    UNDECIDED: "Undecided",
    DECIDED: "Decided",
    UNREAD: "Unreadable",
    UNHEARD: "Not heard yet",
}
ORDER_WORDS = {
    MISPREDICTED_FIRST: "Mispredicted first",
    FLAGGED_FIRST: "Flagged first",
    AS_LISTED: "As listed",
}


class FilterBar(QWidget):
    """A search, menus for class, status and split, and one for the order. It keeps nothing but what it shows."""

    narrowed = Signal(object)  # the Filter's fields that the person changed, by name
    ordered = Signal(object)  # an Order
    left = Signal()  # Return was pressed in the search

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = QLineEdit()
        self.text.setPlaceholderText("Search")
        self.text.setClearButtonEnabled(True)
        self.text.setMinimumWidth(56)
        named(self.text, "Search", "Words in name, artist, labels or notes; all of them must be there")
        clear = self.text.findChild(QToolButton)
        if clear is not None:
            named(clear, "Clear the search")
        self.label_filter = combo("Class", "Only clips of this class", 6)
        self.status_filter = combo("Status", "Only clips of this kind", 6)
        self.split_filter = combo("Split", "Only clips of this split", 6)
        self.order_menu = combo("Order", "Which clips come first; a column's heading sorts by it", 6)
        for status, words in STATUS_WORDS.items():
            self.status_filter.addItem(words, status)
        for by, words in ORDER_WORDS.items():
            self.order_menu.addItem(words, by)
        self._filters = {"label": self.label_filter, "status": self.status_filter, "split": self.split_filter}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.text, 3)
        for menu in (*self._filters.values(), self.order_menu):
            row.addWidget(menu, 2)
        self._typing = QTimer(self, singleShot=True, interval=TYPING_MS)
        self._typing.timeout.connect(lambda: self.narrowed.emit({"text": self.text.text()}))
        self.text.textChanged.connect(lambda: self._typing.start())
        self.text.returnPressed.connect(self.left)
        for name, menu in self._filters.items():
            menu.activated.connect(lambda _index, menu=menu, name=name: self.narrowed.emit({name: menu.currentData()}))
        self.order_menu.activated.connect(lambda: self.ordered.emit(Order(self.order_menu.currentData())))

    def set_narrow(self, narrow: bool) -> None:
        for menu in (*self._filters.values(), self.order_menu):
            menu.setMinimumContentsLength(2 if narrow else 6)

    def begin(self, splits: tuple[str, ...]) -> None:
        """Another collection, with these splits: nothing is filtered."""
        silently(self.text, self.text.clear)
        silently(self.status_filter, self.status_filter.setCurrentIndex, 0)
        _fill(self.split_filter, "Every split", splits)
        self.split_filter.setVisible(bool(splits))

    def show_classes(self, classes: tuple[str, ...], chosen: str) -> None:
        """The classes that there are now."""
        _fill(self.label_filter, "Every class", classes, chosen)

    def show_filter(self, wanted: Filter) -> None:
        if not self._typing.isActive() and self.text.text() != wanted.text:
            silently(self.text, self.text.setText, wanted.text)
        for name, menu in self._filters.items():
            silently(menu, menu.setCurrentIndex, max(0, menu.findData(getattr(wanted, name))))

    def show_order(self, order: Order) -> None:
        place = self.order_menu.findData(order.by)
        silently(self.order_menu, self.order_menu.setCurrentIndex, place)
        if place < 0:
            self.order_menu.setPlaceholderText("By column")


def _fill(menu: QComboBox, first: str, names: tuple[str, ...], chosen: str = "") -> None:
    if [menu.itemData(index) for index in range(1, menu.count())] == list(names) and menu.count():
        return
    blocked = menu.blockSignals(True)
    menu.clear()
    menu.addItem(first, "")
    for name in names:
        menu.addItem(name, name)
    menu.setCurrentIndex(max(0, menu.findData(chosen)))
    menu.blockSignals(blocked)
