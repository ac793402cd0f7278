"""A number with a slider and a field, kept in step."""

from __future__ import annotations

import math

from PySide6.QtCore import QEvent, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QKeyEvent, QValidator, QWheelEvent
from PySide6.QtWidgets import QDoubleSpinBox, QGridLayout, QLabel, QSizePolicy, QSlider, QWidget

from mirguard.workbench.views.formats import MINUS, format_figures

POSITIONS = 1000  # of the slider
FIELD_WIDTH = 108  # pixels
PER_DECADE = 20  # steps of the field's arrows on a logarithmic scale


class _Field(QDoubleSpinBox):
    """A spin box that writes figures as people do, and steps by a ratio where the scale is logarithmic."""

    def __init__(self, owner: LevelSlider) -> None:
        super().__init__()
        self._owner = owner
        self.setDecimals(0 if owner.integer else 12)
        self.setRange(owner.minimum, owner.maximum)
        self.setKeyboardTracking(False)
        self.setCorrectionMode(QDoubleSpinBox.CorrectionMode.CorrectToNearestValue)
        self.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        if owner.unit:
            self.setSuffix(f" {owner.unit}")

    def textFromValue(self, value: float) -> str:
        return self._owner.text_of(value)

    def valueFromText(self, text: str) -> float:
        return _number(text, self._owner.unit)

    def validate(self, text: str, position: int):
        bare = _bare(text, self._owner.unit)
        try:
            value = float(bare)
        except ValueError:
            # A number may be on its way: "", "-", "1e", "1e-", "0."
            state = QValidator.State.Intermediate if set(bare) <= set("0123456789.-+eE") else QValidator.State.Invalid
            return state, text, position
        inside = self.minimum() <= value <= self.maximum() and math.isfinite(value)
        return (QValidator.State.Acceptable if inside else QValidator.State.Intermediate), text, position

    def fixup(self, text: str) -> str:
        try:
            value = float(_bare(text, self._owner.unit))
        except ValueError:
            value = self.value()
        return self.textFromValue(min(max(value, self.minimum()), self.maximum())) + self.suffix()

    def stepBy(self, steps: int) -> None:
        self._owner.step(steps)

    def wheelEvent(self, event: QWheelEvent) -> None:
        # A wheel that scrolls the designer must not change what the cursor happens to pass over.
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class _Slider(QSlider):
    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {
            Qt.Key.Key_Right: 1,
            Qt.Key.Key_Up: 1,
            Qt.Key.Key_Left: -1,
            Qt.Key.Key_Down: -1,
            Qt.Key.Key_PageUp: 10,
            Qt.Key.Key_PageDown: -10,
        }.get(event.key())
        if steps is not None and event.modifiers() in (
            Qt.KeyboardModifier.NoModifier,
            Qt.KeyboardModifier.KeypadModifier,
        ):
            self.parent().step(steps)
            event.accept()
        else:
            super().keyPressEvent(event)


class LevelSlider(QWidget):
    """Label, slider and field for one numeric parameter.

    `valueChanged` comes with every change, `committed` when a drag ends or a value was typed or stepped. Double-clicking the
    label or the slider goes back to the default. Values are floats; with `integer` they are whole.
    """

    valueChanged = Signal(float)
    committed = Signal(float)

    def __init__(
        self,
        label: str,
        minimum: float,
        maximum: float,
        default: float,
        *,
        scale: str = "linear",
        unit: str = "",
        about: str = "",
        integer: bool = False,
        figures: int = 3,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        if not minimum < maximum:
            raise ValueError(f"{label}: {minimum} is not below {maximum}")
        if scale not in ("linear", "log") or (scale == "log" and minimum <= 0):
            raise ValueError(f"{label}: a {scale} scale from {minimum} is impossible")
        self.minimum, self.maximum, self.scale = float(minimum), float(maximum), scale
        self.unit, self.integer, self.figures = unit, integer, figures
        self._default = float(default)
        self._value = self._kept(default)

        self.label = QLabel(label)
        self.slider = _Slider(Qt.Orientation.Horizontal, self)
        self.slider.setRange(0, POSITIONS)
        self.slider.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.field = _Field(self)
        samples = [self.minimum, self.maximum, self.minimum + (self.maximum - self.minimum) / 7.77]
        samples += [self.minimum * 1.23] if scale == "log" else []
        widest = max((f"{self.text_of(value)} {unit}" for value in samples), key=len)
        # One width for all whose numbers are of the usual length, so that fields stand in a column.
        self.field.setFixedWidth(max(FIELD_WIDTH, self.field.fontMetrics().horizontalAdvance(widest) + 40))
        self.label.setBuddy(self.field)
        self.label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.label.setMinimumWidth(40)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(1)
        grid.addWidget(self.label, 0, 0)
        grid.addWidget(self.field, 0, 1, 2, 1, Qt.AlignmentFlag.AlignVCenter)
        grid.addWidget(self.slider, 1, 0)
        grid.setColumnStretch(0, 1)
        self.setFocusProxy(self.field)
        self._name(label, about)

        self.slider.valueChanged.connect(self._slid)
        self.slider.sliderReleased.connect(lambda: self.committed.emit(self._value))
        self.field.valueChanged.connect(self._typed)
        for part in (self.label, self.slider):
            part.installEventFilter(self)
        self._show()

    @classmethod
    def from_parameter(cls, parameter, default: float | None = None, **limits) -> LevelSlider:
        """The slider of a declared parameter (mirguard.parameters.Parameter); `minimum`, `maximum` fill in open ends."""
        chosen = parameter.default if default is None else default
        low = limits.get("minimum", parameter.minimum)
        high = limits.get("maximum", parameter.maximum)
        if low is None or high is None or callable(chosen) or chosen is None:
            raise ValueError(f"{parameter.name}: a slider needs both ends and a default")
        return cls(
            parameter.title,
            low,
            high,
            chosen,
            scale=parameter.scale,
            unit=parameter.unit,
            about=parameter.help,
            integer=parameter.kind is int,
        )

    def _name(self, label: str, about: str) -> None:
        tip = f"{about}\nDouble-click to go back to {self.text_of(self._default)} {self.unit}".rstrip()
        for part, what in ((self.slider, "slider"), (self.field, "value")):
            part.setAccessibleName(f"{label}, {what}")
            part.setAccessibleDescription(about)
            part.setToolTip(tip)
        self.label.setToolTip(tip)
        self.setAccessibleName(label)
        self.setAccessibleDescription(about)

    # -- the value -------------------------------------------------------------------------------------------------

    def value(self) -> float:
        return self._value

    def set_value(self, value: float) -> None:
        """Set it from outside; emits valueChanged if it is another one. Out of range goes to the nearest end."""
        self._take(value)

    def set_default(self, default: float) -> None:
        """Another value to go back to; the present one stays."""
        self._default = float(default)
        self._name(self.label.text(), self.accessibleDescription())

    def set_range(self, minimum: float, maximum: float) -> None:
        """Other ends; the value moves inside them."""
        if not minimum < maximum or (self.scale == "log" and minimum <= 0):
            raise ValueError(f"{self.label.text()}: impossible range {minimum} to {maximum}")
        self.minimum, self.maximum = float(minimum), float(maximum)
        with QSignalBlocker(self.field):
            self.field.setRange(self.minimum, self.maximum)
        self._take(self._value)
        self._show()

    def reset(self) -> None:
        """Back to the default."""
        self._take(self._default)
        self.committed.emit(self._value)

    def step(self, steps: int) -> None:
        """So many steps up: a hundredth of a linear range (in round numbers), a twentieth of a decade of a log one."""
        if self.scale == "log":
            value = self._value * 10 ** (steps / PER_DECADE)
            if self.integer and round(value) == round(self._value):
                value = self._value + (1 if steps > 0 else -1)
        else:
            unit = 10 ** math.floor(math.log10((self.maximum - self.minimum) / 50))
            unit = max(1.0, unit) if self.integer else unit
            value = round(self._value / unit) * unit + steps * unit
        self._take(value)
        self.committed.emit(self._value)

    def text_of(self, value: float) -> str:
        """The value as the field writes it, without the unit."""
        if self.integer:
            return f"{value:.0f}".replace("-", MINUS)
        return format_figures(value, self.figures)

    def _kept(self, value: float) -> float:
        value = min(max(float(value), self.minimum), self.maximum)
        return float(round(value)) if self.integer else value

    def _take(self, value: float) -> None:
        kept = self._kept(value)
        changed = kept != self._value
        self._value = kept
        self._show()
        if changed:
            self.valueChanged.emit(kept)

    def _show(self) -> None:
        with QSignalBlocker(self.slider), QSignalBlocker(self.field):
            if not self.slider.isSliderDown():
                self.slider.setValue(round(self._share(self._value) * POSITIONS))
            self.field.setValue(self._value)

    def _share(self, value: float) -> float:
        if self.scale == "log":
            return math.log(value / self.minimum) / math.log(self.maximum / self.minimum)
        return (value - self.minimum) / (self.maximum - self.minimum)

    def _slid(self, position: int) -> None:
        share = position / POSITIONS
        if self.scale == "log":
            value = self.minimum * (self.maximum / self.minimum) ** share
        else:
            value = self.minimum + share * (self.maximum - self.minimum)
        # What the field shows is what is meant: no digits behind those that can be seen.
        value = value if self.integer or 0 < position < POSITIONS else (self.minimum if not position else self.maximum)
        self._take(value if self.integer else _rounded(value, self.figures))
        if not self.slider.isSliderDown():
            self.committed.emit(self._value)

    def _typed(self, value: float) -> None:
        self._take(value)
        self.committed.emit(self._value)

    def eventFilter(self, watched, event: QEvent) -> bool:
        if event.type() == QEvent.Type.MouseButtonDblClick and self.isEnabled():
            self.reset()
            return True
        return super().eventFilter(watched, event)


def _bare(text: str, unit: str) -> str:
    return text.removesuffix(unit).strip().replace(MINUS, "-").replace(",", ".")


def _number(text: str, unit: str) -> float:
    try:
        return float(_bare(text, unit))
    except ValueError:
        return 0.0


def _rounded(value: float, figures: int) -> float:
    return float(f"{value:.{figures - 1}e}") if value else 0.0
