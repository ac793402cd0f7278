"""A classifier of one's own in four steps: data, method, training, result. It asks and shows; the work is done elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSize, QTimer, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QMessageBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from mirguard.workbench.control.learning import Course, Learning
from mirguard.workbench.dialogs.classifier_data import DataPage
from mirguard.workbench.dialogs.classifier_method import MethodPage
from mirguard.workbench.dialogs.classifier_result import ResultPage
from mirguard.workbench.dialogs.classifier_training import TrainingPage
from mirguard.workbench.panels.parts import label, push_button, set_role
from mirguard.workbench.settings import Settings
from mirguard.workbench.views.steps import Steps

DATA, METHOD, TRAINING, RESULT = range(4)
NAMES = ("Data", "Method", "Training", "Result")
FRAME = QSize(8, 44)  # what a window manager puts around
QUESTION = "New classifier"
TICK_MS = 500  # so often are the seconds counted on


class NewClassifierDialog(QDialog):
    """Beside the window, not over it: what is on the screen goes on being served while a training runs."""

    use_wanted = Signal(str)
    card_wanted = Signal(str)

    def __init__(
        self,
        learning: Learning,
        methods: Sequence[Any],
        models: Sequence[Any],
        settings: Settings,
        known: Sequence[Any] = (),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("New classifier from a folder")
        self._learning, self._settings = learning, settings
        self.steps = Steps(NAMES)
        self.data = DataPage(known)
        self._known = {one.name: one for one in known}
        self.method = MethodPage(methods, models)
        self.training = TrainingPage()
        self.result = ResultPage()
        self.pages = QStackedWidget()
        for page in (self.data, self.method, self.training, self.result):
            self.pages.addWidget(page)
        self.words = label("", "muted", wrap=True)
        self.skip_button = push_button("Skip comparing", "", "Train without looking for the same sound twice")
        self.close_button = push_button("Close")
        self.back_button = push_button("Back")
        self.card_button = push_button("Model card", "model", "All that is known of the classifier")
        self.next_button = push_button("Next", primary=True)
        for button in (self.skip_button, self.close_button, self.back_button, self.card_button, self.next_button):
            button.setAutoDefault(False)
        rule = QFrame()
        rule.setFrameShape(QFrame.Shape.HLine)
        rule.setProperty("rule", True)
        foot = QHBoxLayout()
        foot.setSpacing(8)
        foot.addWidget(self.words, 1)
        for button in (self.skip_button, self.close_button, self.back_button, self.card_button, self.next_button):
            foot.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 16, 20, 14)
        layout.setSpacing(14)
        layout.addWidget(self.steps)
        layout.addWidget(self.pages, 1)
        layout.addWidget(rule)
        layout.addLayout(foot)

        self.data.folder_wanted.connect(self._choose_folder)
        self.data.table_wanted.connect(self._choose_table)
        self.data.dropped.connect(self.scan)
        self.data.known_wanted.connect(self._choose_known)
        self.data.grouping_chosen.connect(lambda chosen: self._learning.scan(self._course.source, chosen))
        self.method.divided.connect(learning.divide)
        self.method.changed.connect(self._show_buttons)
        self.skip_button.clicked.connect(learning.skip_check)
        self.close_button.clicked.connect(self.reject)
        self.back_button.clicked.connect(self._back)
        self.next_button.clicked.connect(self._next)
        self.card_button.clicked.connect(lambda: self.card_wanted.emit(self._course.trained.file.name))
        learning.changed.connect(self._show)
        learning.progressed.connect(self._show_progress)
        learning.finished.connect(self._finished)
        self._tick = QTimer(self, interval=TICK_MS)
        self._tick.timeout.connect(self._show_progress)
        # Qt would give a dialog two thirds of the screen at most.
        self.resize(self.sizeHint().boundedTo(self.screen().availableSize() - FRAME))
        self._go(DATA)
        self._show()

    def sizeHint(self) -> QSize:
        return QSize(960, 640)

    def minimumSizeHint(self) -> QSize:
        return QSize(780, 520).expandedTo(super().minimumSizeHint())

    @property
    def _course(self) -> Course:
        return self._learning.course

    @property
    def page(self) -> int:
        return self.pages.currentIndex()

    # --- what the person does ---

    def scan(self, path: str | Path) -> None:
        """Read this folder or table."""
        path = Path(path)
        self._settings.set_folder("dataset", path if path.is_dir() else path.parent)
        self._learning.scan(path)

    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder with one sub-folder per class", self._kept_folder())
        if folder:
            self.scan(folder)

    def _choose_table(self) -> None:
        file, _ = QFileDialog.getOpenFileName(
            self, "Table of files and labels", self._kept_folder(), "Tables (*.csv *.tsv);;All files (*)"
        )
        if file:
            self.scan(file)

    def _choose_known(self, name: str) -> None:
        """Where a collection usually lies, or lay the last time; else the person is asked."""
        known, kept = self._known[name], self._settings.folder(f"dataset/{name}")
        home = kept or (str(known.home) if known.home.is_dir() else "")
        if not home:
            home = QFileDialog.getExistingDirectory(
                self, f"Folder of {known.title.partition(':')[0]}", self._kept_folder()
            )
        if home:
            self._settings.set_folder(f"dataset/{name}", home)
        # Without a folder the reader says how to get the collection.
        self._learning.scan(home or known.home, known=name)

    def _kept_folder(self) -> str:
        return self._settings.folder("dataset")

    def _next(self) -> None:
        if self.page == DATA:
            self.method.suggest_name(self._course.source.stem)
            self._go(METHOD)
        elif self.page == METHOD:
            self._train()
        elif self.page == RESULT:
            self.use_wanted.emit(self._course.trained.file.name)
            self.accept()

    def _train(self) -> None:
        method = self.method.method
        if self.method.trouble(self._course) or not self._learning.train(
            self.method.name, method.name, self.method.settings
        ):
            return
        self.training.begin(self._course, method.kind == "network" or bool(self.method.settings.get("fine_tune")))
        self._go(TRAINING)

    def _back(self) -> None:
        if self.page == TRAINING and self._course.training:
            self._learning.cancel()
        elif self.page in (TRAINING, RESULT):
            if self.page == RESULT:
                self.method.next_name()
            self._go(METHOD)
        else:
            self._go(DATA)

    def set_models(self, models: Sequence[Any]) -> None:
        """The models there are now: their names are taken, and some are yet to be fetched."""
        self.method.set_models(models)
        self._show_buttons()

    # --- what is shown ---

    def _go(self, page: int) -> None:
        self.pages.setCurrentIndex(page)
        self.steps.set_current(page)
        if page == TRAINING:
            self._tick.start()
        else:
            self._tick.stop()
        self._show_buttons()
        first = {DATA: self.data.zone.folder_button, METHOD: self.method.list, TRAINING: self.back_button}
        first.get(page, self.next_button).setFocus()

    def _show(self) -> None:
        course = self._course
        self.data.show_course(course)
        self.method.show_course(course)
        if self.page == TRAINING:
            self.training.show_course(course)
        before = self.next_button.isEnabled()
        self._show_buttons()
        if self.page == DATA and self.next_button.isEnabled() and not before:
            self.next_button.setFocus()

    def _show_progress(self) -> None:
        self.data.show_progress(self._course)
        if self.page == TRAINING:
            self.training.show_progress(self._course)

    def _finished(self) -> None:
        for question in (self.parent() or self).findChildren(QMessageBox):
            if question.windowTitle() == QUESTION:  # whether to stop what has now ended by itself
                question.reject()
        if self.page != TRAINING:
            return
        if self._course.trained is not None:
            self.result.show_course(self._course)
            self._go(RESULT)
        else:
            self.training.show_course(self._course)
            self._tick.stop()
            self._show_buttons()

    def _show_buttons(self) -> None:
        page, course = self.page, self._course
        training = course.training
        self.close_button.setVisible(not training)
        self.skip_button.setVisible(page == TRAINING and training and course.checking is not None)
        self.back_button.setVisible(page != DATA)
        self.back_button.setText(
            {TRAINING: "Cancel" if training else "Back to the method", RESULT: "Train another"}.get(page, "Back")
        )
        self.back_button.setEnabled(not course.cancelling)
        self.card_button.setVisible(page == RESULT)
        self.next_button.setVisible(page != TRAINING)
        self.next_button.setText({METHOD: "Train", RESULT: "Use it now"}.get(page, "Next"))
        trouble = ""
        if page == METHOD:
            trouble = self.method.trouble(course)
        enabled = {DATA: course.found is not None and not course.reading, METHOD: not trouble}
        self.next_button.setEnabled(enabled.get(page, True))
        for button in (self.back_button, self.next_button):
            button.setAccessibleName(button.text())
        # Return presses what leads on.
        self.next_button.setDefault(page != TRAINING)
        if trouble == self.method.name_words.text():
            trouble = ""  # said beside the name
        self.words.setText("Training goes on while you work in the window; Esc cancels it." if training else trouble)
        set_role(self.words, "warning" if trouble and not training else "muted")

    # --- the end ---

    def reject(self) -> None:
        """Esc: a training stops; without one the wizard closes."""
        if self._course.training and not self._course.cancelling:
            self._learning.cancel()
        else:
            super().reject()

    def done(self, result: int) -> None:
        self._tick.stop()
        self._learning.cancel()
        self._learning.forget_data()
        super().done(result)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Closed by its frame: whatever it was doing ends, a training only if that is meant."""
        if self.isVisible() and self._course.training and not self._course.cancelling and not stop_wanted(self):
            event.ignore()
            return
        self._tick.stop()
        self._learning.cancel()
        self._learning.forget_data()
        super().closeEvent(event)


def stop_wanted(parent: QWidget) -> bool:
    """Ask whether a training is to end with what is being closed."""
    answer = QMessageBox.question(
        parent,
        QUESTION,
        "A training is running. Stop it and close? Nothing of it is kept.",
        QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.Cancel,
        QMessageBox.StandardButton.Cancel,
    )
    return answer == QMessageBox.StandardButton.Yes
