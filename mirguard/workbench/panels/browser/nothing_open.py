"""What the dataset browser shows while no dataset is open: what it is for, and what can be opened."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from mirguard.workbench.actions import tip
from mirguard.workbench.panels.parts import Elided, label, named, push_button
from mirguard.workbench.theme import colours, notifier, pixmap

WORDS = (
    "Open labelled sounds, a folder with one sub-folder for each class or a CSV with the columns file and label, "
    "to see what the model mistakes for what.\n\n"
    "Or open a folder of unknown clips as a review queue: what the detector flags comes first, and you decide."
)


class NothingOpen(QWidget):
    """A page with a button for each kind of collection."""

    open_wanted = Signal(str)  # "dataset", "list" or "review"

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.sign = QLabel()
        self.sign.setAlignment(Qt.AlignmentFlag.AlignCenter)
        words = label(WORDS, "muted", wrap=True)
        words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        words.setMaximumWidth(560)
        heading = label("No dataset is open", "heading")
        heading.setAlignment(Qt.AlignmentFlag.AlignCenter)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addStretch(1)
        self.open_buttons = {
            "dataset": push_button("Labelled folder …", "folder", tip("open-dataset")),
            "list": push_button("List …", "open", tip("open-list")),
            "review": push_button("Review queue …", "flag", tip("open-review")),
        }
        for kind, button in self.open_buttons.items():
            button.clicked.connect(lambda _checked=False, kind=kind: self.open_wanted.emit(kind))
            buttons.addWidget(button)
        buttons.addStretch(1)
        self.opening = Elided()
        named(self.opening, "What is being opened")
        self.opening.setProperty("role", "muted")
        column = QVBoxLayout()
        column.setSpacing(10)
        column.addStretch(2)
        column.addWidget(self.sign)
        column.addWidget(heading)
        centred = QHBoxLayout()
        centred.addStretch(1)
        centred.addWidget(words, 8)
        centred.addStretch(1)
        column.addLayout(centred)
        column.addSpacing(4)
        column.addLayout(buttons)
        column.addWidget(self.opening)
        column.addStretch(3)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 12, 16, 12)
        row.addLayout(column)
        self.restyle()
        notifier().changed.connect(self.restyle)

    def restyle(self) -> None:
        self.sign.setPixmap(pixmap("matrix", 32, colours().muted))

    def show_opening(self, sentence: str, fraction: float | None) -> None:
        """A collection is being opened; "" when that is over."""
        self.opening.setText(sentence if fraction is None else f"{sentence} {fraction:.0%}")
        for button in self.open_buttons.values():
            button.setEnabled(not sentence)
