"""Sliders, menus and boxes made from the declarations of an attack's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from mirguard.attacks.universal_file import universal_names
from mirguard.parameters import Parameter
from mirguard.workbench.panels.parts import (
    check,
    combo,
    field_width,
    keyboard_only,
    label,
    label_width,
    named,
    silently,
    tool_button,
)
from mirguard.workbench.views.level_slider import LevelSlider

# What a slider spans where a declaration leaves an end open or reaches farther than a hand wants to travel.
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
HANDY = {"steps": (1, 1000), "restarts": (1, 100), "confidence": (0, 20)}
FILES = ("file", "path", "source", "start")  # names of parameters that are a file's
WORDS = {
    "l1": "L1 (mean |δ|)",
    "l2": "L2 (RMS of δ)",
    "linf": "L∞ (largest |δ|)",
    "rbf": "RBF",
    "as-set": "As chosen above",
}


class ParameterForm(QWidget):
    """One row per parameter; those declared advanced fold away. `changed` carries a name and a value, None for "as
    declared"."""

    changed = Signal(str, object)
    committed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._declared: tuple[Parameter, ...] = ()
        self.rows: dict[str, QWidget] = {}
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(6)
        self._plain, self._folded = self._group(), self._group()
        self.more = QToolButton()
        self.more.setText("More settings")
        self.more.setCheckable(True)
        self.more.setProperty("folds", True)
        keyboard_only(named(self.more, "More settings", "Show or hide what seldom needs to be changed"))
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.more.setArrowType(Qt.ArrowType.RightArrow)
        self.more.toggled.connect(self._fold)
        self._layout.addWidget(self._plain)
        self._layout.addWidget(self.more)
        self._layout.addWidget(self._folded)
        self._folded.hide()

    def _fold(self, shown: bool) -> None:
        self._folded.setVisible(shown)
        self.more.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)

    def unfolded_height(self) -> int:
        """What the rows that fold away take now."""
        return 0 if self._folded.isHidden() else self._folded.minimumSizeHint().height() + self._layout.spacing()

    @staticmethod
    def _group() -> QWidget:
        group = QWidget()
        layout = QVBoxLayout(group)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        return group

    def show_parameters(
        self, declared: tuple[Parameter, ...], given: Mapping[str, Any], values: Mapping[str, Any]
    ) -> None:
        """Rows for these parameters: `given` is what a person set, `values` every value that counts."""
        if declared != self._declared:
            self._build(declared, values)
        for parameter in declared:
            row = self.rows[parameter.name]
            with QSignalBlocker(row):
                row.show_value(values[parameter.name], parameter.name in given)

    def _build(self, declared: tuple[Parameter, ...], values: Mapping[str, Any]) -> None:
        for row in self.rows.values():
            row.setParent(None)
            row.deleteLater()
        self.rows = {}
        self._declared = declared
        for parameter in (p for p in declared if not p.advanced):
            self._plain.layout().addWidget(self._row(parameter, values))
        # Tab goes from widget to widget in the order in which they came: "more" comes again, before what it unfolds.
        self.more.setParent(None)
        self._layout.insertWidget(1, self.more)
        for parameter in (p for p in declared if p.advanced):
            self._folded.layout().addWidget(self._row(parameter, values))
        # Words before menus and fields have one width, so that these begin at one line.
        captions = [row.caption for row in self.rows.values() if row.caption is not None]
        width = max((caption.sizeHint().width() for caption in captions), default=0)
        for caption in captions:
            caption.setMinimumWidth(max(width, caption.minimumWidth()))
        self.more.setVisible(any(parameter.advanced for parameter in declared))
        self._plain.setVisible(any(not parameter.advanced for parameter in declared))

    def _row(self, parameter: Parameter, values: Mapping[str, Any]) -> Row:
        row = make_row(parameter, values[parameter.name])
        row.changed.connect(lambda value, name=parameter.name: self.changed.emit(name, value))
        row.committed.connect(self.committed)
        self.rows[parameter.name] = row
        return row


class Row(QWidget):
    """One parameter; None stands for "as declared"."""

    changed = Signal(object)
    committed = Signal()

    def __init__(self, parameter: Parameter) -> None:
        super().__init__()
        self.parameter = parameter
        self.caption: QWidget | None = None  # the words before a menu or a field
        self.line = QHBoxLayout(self)
        self.line.setContentsMargins(0, 0, 0, 0)
        self.line.setSpacing(6)

    def show_value(self, value: Any, given: bool) -> None:
        raise NotImplementedError

    def say(self, value: Any) -> None:
        self.changed.emit(value)
        self.committed.emit()


class SliderRow(Row):
    """A number; where its default follows other values or may be left open, with a box that lets it."""

    def __init__(self, parameter: Parameter, value: float) -> None:
        super().__init__(parameter)
        low, high = HANDY.get(parameter.name, (parameter.minimum, parameter.maximum))
        # Amplitudes say their unit in words, which is too long for a field.
        amplitude = parameter.unit == "of full scale"
        if value is None:  # left open: the slider stands in the middle until it is moved
            value = (low * high) ** 0.5 if parameter.scale == "log" else (low + high) / 2
        self.slider = LevelSlider(
            parameter.title,
            low,
            high,
            value,
            scale=parameter.scale,
            unit="" if amplitude else parameter.unit,
            about=parameter.help,
            integer=parameter.kind is int,
        )
        self.slider.field.setFixedWidth(max(field_width(self), self.slider.field.width() if parameter.unit else 0))
        self.line.addWidget(self.slider, 1)
        self.auto = None
        if callable(parameter.default) or parameter.optional:
            self.auto = QToolButton()
            self.auto.setText("Auto")
            self.auto.setCheckable(True)
            self.auto.setProperty("small", True)
            keyboard_only(named(self.auto, f"{parameter.title}, automatic", "Let it follow the rest"))
            self.auto.clicked.connect(lambda on: self.say(None if on else self.slider.value()))
            # In the label's own line, at its end: fields of all rows keep one edge.
            self.slider.layout().addWidget(self.auto, 0, 0, RIGHT)
        self.slider.valueChanged.connect(self._slid)
        self.slider.committed.connect(lambda _value: None if self.signalsBlocked() else self.committed.emit())

    def show_value(self, value: float | None, given: bool) -> None:
        self.slider.slider.setEnabled(value is not None)
        self.slider.field.setEnabled(value is not None)
        if value is not None:
            with QSignalBlocker(self.slider):
                self.slider.set_value(value)
        if self.auto is not None:
            check(self.auto, not given)

    def _slid(self, value: float) -> None:
        self.changed.emit(int(value) if self.parameter.kind is int else value)


class ChoiceRow(Row):
    """One of a few words."""

    def __init__(self, parameter: Parameter) -> None:
        super().__init__(parameter)
        self.menu: QComboBox = combo(parameter.title, parameter.help)
        for choice in parameter.choices:
            self.menu.addItem(WORDS.get(choice, choice.replace("-", " ").capitalize()), choice)
        text = label(parameter.title)
        text.setToolTip(parameter.help)
        text.setBuddy(self.menu)
        text.setMinimumWidth(label_width(self))
        self.line.setSpacing(10)
        self.caption = text
        self.line.addWidget(text)
        self.line.addWidget(self.menu, 1)
        self.menu.activated.connect(lambda: self.say(self.menu.currentData()))

    def show_value(self, value: str, given: bool) -> None:
        silently(self.menu, self.menu.setCurrentIndex, self.menu.findData(value))


class SwitchRow(Row):
    """Yes or no."""

    def __init__(self, parameter: Parameter) -> None:
        super().__init__(parameter)
        self.box = QCheckBox(parameter.title)
        keyboard_only(named(self.box, parameter.title, parameter.help))
        self.line.addWidget(self.box, 1)
        self.box.clicked.connect(self.say)

    def show_value(self, value: bool, given: bool) -> None:
        check(self.box, bool(value))


class TextRow(Row):
    """Words of one's own; none stands for "as declared"."""

    def __init__(self, parameter: Parameter) -> None:
        super().__init__(parameter)
        self.field = QLineEdit()
        named(self.field, parameter.title, parameter.help)
        text = label(parameter.title)
        text.setToolTip(parameter.help)
        text.setBuddy(self.field)
        text.setMinimumWidth(label_width(self))
        self.line.setSpacing(10)
        self.caption = text
        self.line.addWidget(text)
        self.line.addWidget(self.field, 1)
        self.field.editingFinished.connect(lambda: self.say(self.field.text().strip() or None))

    def show_value(self, value: str | None, given: bool) -> None:
        silently(self.field, self.field.setText, value or "")


class FileRow(TextRow):
    """The path of a file, typed or chosen."""

    def __init__(self, parameter: Parameter) -> None:
        super().__init__(parameter)
        self.choose = tool_button("open", f"Choose {parameter.title.lower()}", "Choose a file")
        self.choose.clicked.connect(self._choose)
        self.line.addWidget(self.choose)

    def _choose(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, self.parameter.title, self.field.text())
        if path:
            self.say(path)


class PerturbationRow(Row):
    """One of the universal perturbations that are kept, or a file."""

    def __init__(self, parameter: Parameter) -> None:
        super().__init__(parameter)
        self.menu: QComboBox = combo(parameter.title, parameter.help)
        self.caption = label(parameter.title)
        self.caption.setToolTip(parameter.help)
        self.caption.setBuddy(self.menu)
        self.caption.setMinimumWidth(label_width(self))
        self.choose = tool_button("open", f"Choose {parameter.title.lower()}", "Choose a file")
        self.choose.clicked.connect(self._choose)
        self.line.setSpacing(10)
        self.line.addWidget(self.caption)
        self.line.addWidget(self.menu, 1)
        self.line.addWidget(self.choose)
        self.menu.activated.connect(lambda: self.say(self.menu.currentData()))

    def show_value(self, value: str, given: bool) -> None:
        names = universal_names()
        with QSignalBlocker(self.menu):
            self.menu.clear()
            for name in dict.fromkeys((*names, value)):
                self.menu.addItem(name if name in names else Path(name).name, name)
            self.menu.setCurrentIndex(self.menu.findData(value))

    def _choose(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, self.parameter.title, "", "Universal perturbations (*.safetensors)")
        if path:
            self.say(path)


def make_row(parameter: Parameter, value: Any) -> Row:
    """The row that suits a declaration."""
    if parameter.choices:
        return ChoiceRow(parameter)
    if parameter.kind is bool:
        return SwitchRow(parameter)
    if parameter.name == "perturbation":
        return PerturbationRow(parameter)
    if parameter.kind is str and parameter.name in FILES:
        return FileRow(parameter)
    if parameter.kind is str:
        return TextRow(parameter)
    return SliderRow(parameter, value)
