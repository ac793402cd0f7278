"""The dataset browser's first line: which collection is open, and what can be done with the whole of it."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QMenu, QToolButton, QWidget

from mirguard.words import counted
from mirguard.workbench.actions import plain_name, tip
from mirguard.workbench.collection.collection import LABELLED, REVIEW, Collection
from mirguard.workbench.panels.parts import Elided, named, tool_button


class Head(QWidget):
    """A title and buttons; `confusion_button` stays pressed while the matrix is on show."""

    open_wanted = Signal(str)  # "dataset", "list" or "review"

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = Elided()
        self.title.setProperty("role", "heading")
        named(self.title, "Dataset")
        self.confusion_button = tool_button(
            "matrix", "Confusion matrix", "Which label was heard as which; a cell shows its clips", True
        )
        self.export_button = tool_button("export", plain_name("export-decisions"), tip("export-decisions"))
        self.open_button = tool_button("folder", "Open another", "Open another dataset, list or review queue")
        self.open_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.open_button)
        for kind, name in (("dataset", "open-dataset"), ("list", "open-list"), ("review", "open-review")):
            action = menu.addAction(plain_name(name) + " …")
            action.triggered.connect(lambda _checked=False, kind=kind: self.open_wanted.emit(kind))
        self.open_button.setMenu(menu)
        self.close_button = tool_button("close", "Close the dataset", "Put the dataset away; decisions are kept")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        row.addWidget(self.title, 1)
        for button in (self.confusion_button, self.export_button, self.open_button, self.close_button):
            row.addWidget(button)

    def show_opening(self, sentence: str, collection: Collection | None) -> None:
        """Another collection is being opened; "" when that is over, and `collection` is the one that is open."""
        self.open_button.setEnabled(not sentence)
        if collection is None:
            return
        if sentence:
            self.title.setText(sentence)
        else:
            self.show_collection(collection)

    def show_collection(self, collection: Collection) -> None:
        """Its name, how large it is, and in the tool tip where it lies and what is to be said of it."""
        self.confusion_button.setVisible(collection.mode == LABELLED)
        clips = counted(len(collection.rows), "clip")
        if collection.mode == REVIEW:
            self.title.setText(f"{collection.name} · review queue · {clips}")
        else:
            classes = f"{len(collection.labels)} class{'' if len(collection.labels) == 1 else 'es'}"
            self.title.setText(f"{collection.name} · {clips} in {classes}")
        self.title.setToolTip("\n".join((collection.source, *collection.remarks[:20])))
