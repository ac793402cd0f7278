"""A hardened model in three steps: defence, training, result. It asks and shows; the work is done elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QSize, QTimer, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QDialog, QFrame, QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from mirguard.workbench.control.hardening import Hardening, Interrupted
from mirguard.workbench.defence_requests import HardenModel
from mirguard.workbench.dialogs.classifier_result import ResultPage
from mirguard.workbench.dialogs.classifier_training import TrainingPage
from mirguard.workbench.dialogs.harden_setup import HardenSetup
from mirguard.workbench.panels.parts import label, push_button, set_role
from mirguard.workbench.settings import Settings
from mirguard.workbench.views.steps import Steps

SETUP, TRAINING, RESULT = range(3)
NAMES = ("Defence", "Training", "Result")
FRAME = QSize(8, 44)  # what a window manager puts around
STOPPED = "Stopped. What was learned until now is kept: go back, and Resume goes on from there."
TICK_MS = 500  # so often are the seconds counted on


class HardenDialog(QDialog):
    """Beside the window, not over it: what is on the screen goes on being served while a training runs."""

    use_wanted = Signal(str)
    card_wanted = Signal(str)

    def __init__(
        self,
        hardening: Hardening,
        defences: Sequence[Any],
        models: Sequence[Any],
        chosen: str,
        settings: Settings,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Harden a model")
        self._hardening = hardening
        self.steps = Steps(NAMES)
        self.setup = HardenSetup(defences, models, chosen, settings)
        self.training, self.result = TrainingPage(), ResultPage()
        self.pages = QStackedWidget()
        for page in (self.setup, self.training, self.result):
            self.pages.addWidget(page)
        self.words = label("", "muted", wrap=True)
        self.close_button = push_button("Close")
        self.back_button = push_button("Back")
        self.card_button = push_button("Model card", "model", "All that is known of the hardened model")
        self.next_button = push_button("Harden", primary=True)
        buttons = (self.close_button, self.back_button, self.card_button, self.next_button)
        rule = QFrame()
        rule.setFrameShape(QFrame.Shape.HLine)
        rule.setProperty("rule", True)
        foot = QHBoxLayout()
        foot.setSpacing(8)
        foot.addWidget(self.words, 1)
        for button in buttons:
            button.setAutoDefault(False)
            foot.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 16, 20, 14)
        layout.setSpacing(14)
        layout.addWidget(self.steps)
        layout.addWidget(self.pages, 1)
        layout.addWidget(rule)
        layout.addLayout(foot)
        self.setup.changed.connect(self._show_buttons)
        self.setup.resume_wanted.connect(self._resume)
        self.setup.discard_wanted.connect(lambda one: hardening.discard(one.wish.name))
        self.close_button.clicked.connect(self.reject)
        self.back_button.clicked.connect(self._back)
        self.next_button.clicked.connect(self._next)
        self.card_button.clicked.connect(lambda: self.card_wanted.emit(hardening.course.trained.file.name))
        hardening.changed.connect(self._show)
        hardening.progressed.connect(self._show_progress)
        hardening.finished.connect(self._finished)
        self._tick = QTimer(self, interval=TICK_MS)
        self._tick.timeout.connect(self._show_progress)
        self.resize(self.sizeHint().boundedTo(self.screen().availableSize() - FRAME))
        self._go(TRAINING if hardening.course.training else SETUP)
        self._show()

    def sizeHint(self) -> QSize:
        return QSize(960, 640)

    def minimumSizeHint(self) -> QSize:
        return QSize(780, 520).expandedTo(super().minimumSizeHint())

    @property
    def page(self) -> int:
        return self.pages.currentIndex()

    # --- what the person does ---

    def _next(self) -> None:
        if self.page == SETUP:
            if not self.setup.trouble():
                self._begin(self.setup.wish())
        elif self.page == RESULT:
            self.use_wanted.emit(self._hardening.course.trained.file.name)
            self.accept()

    def _resume(self, one: Interrupted) -> None:
        self._begin(replace(one.wish, resume=True))

    def _begin(self, wish: HardenModel) -> None:
        self._hardening.begin(wish)
        self.training.begin(self._hardening.course, True)
        self._go(TRAINING)

    def _back(self) -> None:
        if self._hardening.course.training:
            self._hardening.cancel()
        else:
            self._go(SETUP)
            self._show()

    def set_models(self, models: Sequence[Any]) -> None:
        """The models there are now."""
        self.setup.set_models(models)
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

    def _show(self) -> None:
        self.setup.show_interrupted([] if self._hardening.course.training else self._hardening.interrupted())
        if self.page == TRAINING:
            course, left = self._hardening.course, self._hardening.interrupted()
            self.training.show_course(course)
            if not course.training and not course.failure and left:
                self.training.stage.setText(STOPPED)
        self._show_buttons()

    def _show_progress(self) -> None:
        if self.page == TRAINING:
            self.training.show_progress(self._hardening.course)

    def _finished(self) -> None:
        course = self._hardening.course
        if self.page != TRAINING:
            return
        self._tick.stop()
        if course.trained is not None:
            self.result.show_course(course)
            self._go(RESULT)
        else:
            self._show()

    def _show_buttons(self) -> None:
        page, course = self.page, self._hardening.course
        busy = course.training
        self.close_button.setVisible(not busy)
        self.back_button.setVisible(page != SETUP)
        self.back_button.setText("Cancel" if busy else "Harden another" if page == RESULT else "Back")
        self.back_button.setEnabled(not course.cancelling)
        self.card_button.setVisible(page == RESULT)
        self.next_button.setVisible(page != TRAINING)
        self.next_button.setText("Use it now" if page == RESULT else "Harden")
        trouble = self.setup.trouble() if page == SETUP else ""
        self.next_button.setEnabled(not trouble and not (busy and page == SETUP))
        self.next_button.setDefault(page != TRAINING)
        for button in (self.back_button, self.next_button):
            button.setAccessibleName(button.text())
        if trouble == self.setup.name_words.text():
            trouble = ""  # said below the name
        going = "Training goes on while you work in the window; Esc stops it, and it can go on later."
        self.words.setText(going if busy else trouble)
        set_role(self.words, "warning" if trouble and not busy else "muted")

    # --- the end ---

    def reject(self) -> None:
        """Esc: a training stops; without one the dialog closes."""
        if self._hardening.course.training and not self._hardening.course.cancelling:
            self._hardening.cancel()
        else:
            super().reject()

    def done(self, result: int) -> None:
        self._tick.stop()
        super().done(result)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Closed by its frame: the training goes on behind it; the Model menu brings it back."""
        self._tick.stop()
        super().closeEvent(event)
