"""The second page of a new classifier: how it is made, what it is called, which clips it is tested on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QSpinBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from mirguard.errors import UsageError
from mirguard.parameters import resolve
from mirguard.workbench.control.learning import Course
from mirguard.workbench.dialogs.notices import Notices, Sign
from mirguard.workbench.model_names import free_name, model_name_trouble
from mirguard.workbench.panels.parameter_form import ParameterForm
from mirguard.workbench.panels.parts import Flow, Scroll, label, named, set_role, silently
from mirguard.workbench.views.count_table import CountTable
from mirguard.workbench.views.grouped_entries import GroupedEntries
from mirguard.workbench.views.level_slider import LevelSlider

KINDS = {
    "backbone": "On a music model",
    "network": "A network from scratch",
    "learner": "Classical learners",
}
GRADIENTS = "Gives gradients: every attack can be used on it."
NO_GRADIENTS = "Gives no gradients: only attacks that need none can be used on it directly."
FINE_TUNE, OF_FINE_TUNING = "fine_tune", ("epochs", "learning_rate")
SPLITS = ("train", "validation", "test")


class MethodPage(QWidget):
    """Asks for another division of the data; what else was chosen is read from it (`name`, `method`, `settings`)."""

    divided = Signal(int, float)  # seed, share of the test
    changed = Signal()

    def __init__(self, methods: Sequence[Any], models: Sequence[Any], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._methods = {method.name: method for method in methods}
        self.taken: tuple[str, ...] = ()
        self._absent: dict[str, str] = {}  # models that are not here, and what has to be done for them
        self._settings: dict[str, Any] = {}
        self._own_name = False

        self.list = QListWidget()
        named(self.list, "Methods", "Ways to make a classifier of labelled sounds")
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setItemDelegate(GroupedEntries(self.list))
        self._fill(methods)
        self.list.currentItemChanged.connect(self._chosen)

        self.title = label("", "heading", wrap=True)
        self.help = label("", wrap=True)
        self.sign = Sign("check", "good")
        self.gradients = label("", "muted", wrap=True)
        gradients = QHBoxLayout()
        gradients.setSpacing(6)
        gradients.addWidget(self.sign, 0, Qt.AlignmentFlag.AlignTop)
        gradients.addWidget(self.gradients, 1)
        self.absent = label("", "warning", wrap=True)
        # A form for each, made now: Tab goes through widgets in the order in which they were made.
        self._forms = {method.name: ParameterForm() for method in methods}
        self.forms = QStackedWidget()
        for method in methods:
            form = self._forms[method.name]
            form.changed.connect(self._set)
            form.show_parameters(method.parameters, {}, values_of(method, {}))
            self.forms.addWidget(form)
        inner = Flow()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 8, 0)
        column.setSpacing(8)
        column.addWidget(self.title)
        column.addWidget(self.help)
        column.addLayout(gradients)
        column.addWidget(self.absent)
        column.addSpacing(4)
        column.addWidget(self.forms)
        column.addStretch(1)

        self.name_field = QLineEdit()
        self.name_field.setMaxLength(80)
        named(self.name_field, "Name of the classifier", "What it is called in the model menu")
        self.name_field.textEdited.connect(self._named)
        self.name_words = label("", "danger", wrap=True)
        self.seed = QSpinBox()
        self.seed.setRange(0, 2**31 - 1)
        named(self.seed, "Seed", "The same seed divides and trains in the same way")
        self.test = LevelSlider("Test share", 5, 50, 20, unit="%", about="How much is kept for the test", integer=True)
        for signal in (self.seed.valueChanged, self.test.valueChanged):
            signal.connect(lambda _value: self.divided.emit(self.seed.value(), self.test.value() / 100))
        self.division = CountTable("Clips in each part", ("Class", "Train", "Valid.", "Test"), sums=True)
        self.division.setToolTip("Learned from, watched while learning, and heard only at the end")
        self.notices = Notices("Warnings about the division")
        name_row = QHBoxLayout()
        name_row.setSpacing(10)
        name_label = label("Name")
        name_label.setBuddy(self.name_field)
        name_row.addWidget(name_label)
        name_row.addWidget(self.name_field, 1)
        seed_row = QHBoxLayout()
        seed_row.setSpacing(10)
        seed_label = label("Seed")
        seed_label.setBuddy(self.seed)
        width = max(part.sizeHint().width() for part in (name_label, seed_label))
        for part in (name_label, seed_label):
            part.setMinimumWidth(width)
        seed_row.addWidget(seed_label)
        seed_row.addWidget(self.seed, 1)
        right = QVBoxLayout()
        right.setSpacing(8)
        right.addLayout(name_row)
        right.addWidget(self.name_words)
        right.addLayout(seed_row)
        right.addWidget(self.test)
        right.addWidget(self.division, 3)
        right.addWidget(self.notices, 1)

        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(18)
        layout.addWidget(self.list, 6)
        layout.addWidget(Scroll(inner, "Settings of the method"), 7)
        layout.addLayout(right, 7)
        self.notices.setMaximumHeight(120)
        self.list.setMinimumWidth(230)
        self.set_models(models)
        self.choose(next(iter(self._methods), None))

    def _fill(self, methods: Sequence[Any]) -> None:
        kind = None
        for method in methods:
            if method.kind != kind:
                kind = method.kind
                head = QListWidgetItem(KINDS.get(kind, kind.capitalize()))
                head.setFlags(Qt.ItemFlag.NoItemFlags)
                self.list.addItem(head)
            item = QListWidgetItem(method.title)
            item.setData(Qt.ItemDataRole.UserRole, method.name)
            item.setToolTip(method.help)
            self.list.addItem(item)

    # --- what was chosen ---

    @property
    def method(self) -> Any:
        item = self.list.currentItem()
        return self._methods.get(item.data(Qt.ItemDataRole.UserRole)) if item is not None else None

    @property
    def form(self) -> ParameterForm:
        """That of the method chosen."""
        return self._forms[self.method.name]

    @property
    def name(self) -> str:
        return self.name_field.text().strip()

    @property
    def settings(self) -> dict[str, Any]:
        """What a person has set of the method's parameters."""
        return dict(self._settings)

    def trouble(self, course: Course) -> str:
        """Why training cannot begin, in a sentence; "" if it can."""
        if course.undivided:
            return course.undivided
        if course.divided is None:
            return "Dividing the clips …" if course.found is not None else "There is no data yet."
        if self.method is None:
            return "Choose a method."
        return model_name_trouble(self.name, self.taken)

    # --- what is shown ---

    def suggest_name(self, source: str) -> None:
        """A free name after that of the data, unless the person gave one."""
        if not self._own_name:
            self.name_field.setText(free_name(source, self.taken))
            self._show_name()

    def next_name(self) -> None:
        """A name for another one beside the one just made."""
        plain = re.sub(r"-\d+$", "", self.name)
        self.name_field.setText(free_name(plain, (*self.taken, self.name)))
        self._show_name()

    def set_models(self, models: Sequence[Any]) -> None:
        """The models there are: their names are taken; some a method builds on may have to be fetched first."""
        self.taken = tuple(info.name for info in models)
        self._absent = {info.name: info.how for info in models if info.state != "ready"}
        self._show_name()
        self._show_absent()

    def _show_absent(self) -> None:
        how = self._absent.get(self.method.name, "") if self.method is not None else ""
        self.absent.setText(f"The model it builds on is not here yet. {how}" if how else "")
        self.absent.setVisible(bool(how))

    def show_course(self, course: Course) -> None:
        silently(self.seed, self.seed.setValue, course.seed)
        if round(self.test.value()) != round(100 * course.test):
            silently(self.test, self.test.set_value, 100 * course.test)
        given = course.found is not None and bool(course.found.items) and course.found.is_split
        self.test.setEnabled(not given)
        self.test.setToolTip("The data says itself which clips are for the test" if given else "")
        dataset = course.divided
        if dataset is not None:
            counts = dataset.counts()
            self.division.set_rows([(name, [of[part] for part in SPLITS]) for name, of in counts.items()])
        sentences = [course.undivided] if course.undivided else list(dataset.warnings) if dataset is not None else []
        self.notices.set_sentences(sentences)
        self.notices.setVisible(bool(sentences))

    def choose(self, name: str | None) -> None:
        for row in range(self.list.count()):
            if self.list.item(row).data(Qt.ItemDataRole.UserRole) == name:
                self.list.setCurrentRow(row)

    def _chosen(self) -> None:
        method = self.method
        if method is None:
            return
        self._settings = {}
        self.title.setText(method.title)
        self.help.setText(method.help)
        self.gradients.setText(GRADIENTS if method.gradients else NO_GRADIENTS)
        self.sign.put("check" if method.gradients else "warning", "good" if method.gradients else "warning")
        self._show_settings()
        self._show_absent()
        self.changed.emit()

    def _set(self, name: str, value: Any) -> None:
        if value is None:
            self._settings.pop(name, None)
        else:
            self._settings[name] = value
        self._show_settings()

    def _show_settings(self) -> None:
        declared, values = self.method.parameters, values_of(self.method, self._settings)
        self.forms.setCurrentWidget(self.form)
        self.form.show_parameters(declared, self._settings, values)
        if FINE_TUNE in values:  # what is about fine-tuning alone waits for it
            for name in OF_FINE_TUNING:
                if name in self.form.rows:
                    self.form.rows[name].setEnabled(bool(values[FINE_TUNE]))

    def _named(self) -> None:
        self._own_name = bool(self.name)
        self._show_name()
        self.changed.emit()

    def _show_name(self) -> None:
        trouble = model_name_trouble(self.name, self.taken)
        self.name_words.setText(trouble)
        self.name_words.setVisible(bool(trouble))
        set_role(self.name_words, "danger")

    def sizeHint(self) -> QSize:
        return QSize(900, 440)


def values_of(method: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """Every value of a method's, set or default."""
    try:
        return resolve(method.parameters, settings)
    except UsageError:  # a default that cannot be had without data: shown as declared
        return {p.name: settings.get(p.name, None if callable(p.default) else p.default) for p in method.parameters}
