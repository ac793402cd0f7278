"""The last page of a new classifier: how good it is, what to be wary of, where it is kept."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from mirguard.workbench.control.learning import Course
from mirguard.workbench.dialogs.figures import AccuracyFigures, Confusion, TestFigures
from mirguard.workbench.dialogs.notices import Notices
from mirguard.workbench.panels.parts import label
from mirguard.workbench.panels.run_row import duration


class ResultPage(QWidget):
    """Shows a training's `Trained`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.headline = label("", "heading", wrap=True)
        self.accuracy = AccuracyFigures()
        self.confusion = Confusion()
        self.notices = Notices()
        self.place = label("", "muted", wrap=True)
        self.place.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        left = QVBoxLayout()
        left.setSpacing(12)
        left.addWidget(self.headline)
        left.addWidget(self.accuracy)
        left.addWidget(label("Before you trust it", "heading"))
        left.addWidget(self.notices, 1)
        left.addWidget(self.place)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(24)
        layout.addLayout(left, 1)
        layout.addWidget(self.confusion, 1)

    def show_course(self, course: Course) -> None:
        trained: Any = course.trained
        if trained is None:
            return
        file, report = trained.file, trained.report
        seconds = file.card.get("seconds")
        took = f" in {duration(seconds)}" if isinstance(seconds, int | float) else ""
        self.headline.setText(f"{file.title or file.name} was made{took}")
        figures = TestFigures.from_card(file.card.get("test", {}))
        for part in (self.accuracy, self.confusion):
            part.setVisible(figures is not None)
        if figures is not None:
            self.accuracy.set_figures(figures, len(report.labels))
            self.confusion.set_matrix(report.labels, report.confusion)
        said = list(dict.fromkeys([*course.warnings(), *file.card.get("data", {}).get("warnings", [])]))
        if figures is None:
            said.insert(0, "No clips were kept for a test, so nobody knows how good it is.")
        self.notices.set_sentences(said, "No sound is there twice, and no group is torn between training and test.")
        self.place.setText(f"Kept as {file.name} in {file.folder}")
