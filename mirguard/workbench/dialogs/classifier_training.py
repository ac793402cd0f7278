"""The third page of a new classifier: how its training goes."""

from __future__ import annotations

import time

from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from mirguard.workbench.control.learning import Course
from mirguard.workbench.panels.parts import label, named, set_role
from mirguard.workbench.panels.run_row import duration
from mirguard.workbench.theme import colours, notifier
from mirguard.workbench.views.learning_curves import COLOURS, LOSS, STYLES, TRAINING, VALIDATION, WORDS, LearningCurves

WITHOUT_EPOCHS = (
    "Curves appear for methods that learn in epochs; this one hears every clip once and is then fitted at once"
)


class TrainingPage(QWidget):
    """Shows stage, progress, estimate and, for what learns in epochs, curves."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.stage = label("", "heading", wrap=True)
        self.progress = QProgressBar()
        named(self.progress, "Progress of training")
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(8)
        self.state = label("", "muted", wrap=True)
        self.curves = LearningCurves()
        self.key = QWidget()
        key = QHBoxLayout(self.key)
        key.setContentsMargins(0, 0, 0, 0)
        key.setSpacing(18)
        for name in (TRAINING, VALIDATION, LOSS):
            row = QHBoxLayout()
            row.setSpacing(6)
            row.addWidget(_Stroke(name))
            row.addWidget(label(WORDS[name], "muted"))
            key.addLayout(row)
        key.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.stage)
        layout.addWidget(self.progress)
        layout.addWidget(self.state)
        layout.addSpacing(6)
        layout.addWidget(self.curves, 1)
        layout.addWidget(self.key)
        self._shown = 0

    def begin(self, course: Course, epochs: bool) -> None:
        """A training begins; `epochs` says whether it will have any."""
        self.curves.set_empty_text("Loss and accuracy of each epoch appear here" if epochs else WITHOUT_EPOCHS)
        self.curves.reset()
        self._shown = 0
        self.show_course(course)

    def show_course(self, course: Course) -> None:
        self.show_progress(course)
        set_role(self.stage, "danger" if course.failure else "heading")

    def show_progress(self, course: Course) -> None:
        for epoch in course.epochs[self._shown :]:
            self.curves.append(epoch.number, epoch.of, epoch.loss, epoch.accuracy, epoch.validation)
        self._shown = len(course.epochs)
        self.key.setVisible(bool(course.epochs))
        self.stage.setText(headline(course))
        self.state.setText(words(course))
        fraction = _fraction(course)
        self.progress.setVisible(course.training)
        self.progress.setRange(0, 0 if fraction is None else 1000)
        self.progress.setValue(round(1000 * (fraction or 0.0)))


def _fraction(course: Course) -> float | None:
    if course.progress is not None:
        return course.progress.fraction
    return course.checking[1] if course.checking else None


def headline(course: Course) -> str:
    """What is being done, in a sentence."""
    if course.failure:
        return course.failure
    if course.cancelling:
        return "Cancelling …"
    if not course.training:
        return "Cancelled; nothing was kept."
    if course.progress is not None:
        return course.progress.sentence or f"{course.progress.stage.capitalize()} …"
    if course.checking is not None:
        return course.checking[0]
    return "Starting …"


def words(course: Course) -> str:
    """How long it has taken, and about how long it will: "12 s so far · about 40 s left of this step"."""
    if not course.training or course.cancelling:
        return ""
    parts = [f"{duration(time.monotonic() - course.began)} so far"]
    if course.seconds_left is not None:
        parts.append(f"about {duration(course.seconds_left)} left of this step")
    return " · ".join(parts)


class _Stroke(QWidget):
    """A short piece of a curve."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.setFixedSize(30, 12)
        notifier().changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(30, 12)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(QPen(QColor(getattr(colours(), COLOURS[self._name])), 2, STYLES[self._name]))
        painter.drawLine(1, self.height() // 2, self.width() - 1, self.height() // 2)
        painter.end()
