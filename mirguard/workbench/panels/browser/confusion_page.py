"""The confusion matrix of the open collection; a cell leads to its clips."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from mirguard.workbench.collection.collection import Collection
from mirguard.workbench.panels.parts import label
from mirguard.workbench.views.confusion_table import ConfusionTable


class ConfusionPage(QWidget):
    """The matrix below a sentence on how to read it."""

    cell_chosen = Signal(str, str)  # true label, heard label

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.words = label("", "muted", wrap=True)
        self.matrix = ConfusionTable()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.words)
        column.addWidget(self.matrix, 100)
        column.addStretch(1)
        self.matrix.clicked.connect(self._choose)
        self.matrix.activated.connect(self._choose)

    def show_collection(self, collection: Collection) -> None:
        """The counts as they are now."""
        labels, counts = collection.confusion()
        if labels:
            self.words.setText("Rows are true labels, columns what was heard. A cell shows its clips.")
        else:
            self.words.setText("There is nothing to compare: the model knows none of these classes.")
        self.matrix.setVisible(bool(labels))
        if (labels, tuple(map(tuple, counts))) != (self.matrix.counts.labels, self.matrix.counts.confusion):
            self.matrix.set_matrix(labels, counts)
            rows, columns = self.matrix.verticalHeader(), self.matrix.horizontalHeader()
            self.matrix.setMaximumSize(rows.width() + columns.length() + 16, columns.height() + rows.length() + 16)

    def _choose(self, index) -> None:
        labels, counts = self.matrix.counts.labels, self.matrix.counts.confusion
        if index.isValid() and counts[index.row()][index.column()]:
            self.cell_chosen.emit(labels[index.row()], labels[index.column()])
