"""Where the perturbation may be: exact times, frequencies and levels, and the button to draw them on the spectrograms."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QDoubleSpinBox, QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from mirguard.attacks.restriction import FREE, Restriction
from mirguard.workbench.actions import tip
from mirguard.workbench.panels.parts import check, keyboard_only, label, named, push_button, silently
from mirguard.workbench.views.area import NARROWEST, SHORTEST, apart

LOWEST_LEVEL, USUAL_LEVEL = -120.0, -30.0
MASKED_HELP = "Keep the perturbation under the clip's masking threshold in every bin of time and frequency"


class RestrictionBox(QWidget):
    """`changed` carries a Restriction; `drawing` says whether the mouse is to draw one."""

    changed = Signal(object)
    drawing = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._restriction = FREE
        self._duration, self._top = 10.0, 22_050.0
        self.draw_button = push_button("Draw", "restrict", tip("restrict"))
        self.draw_button.setCheckable(True)
        self.clear_button = push_button("Clear", "", "Let the perturbation be anywhere")
        self.time, self.begin, self.end = self._range("Time", "Only between two times", " s", 2, 0.1)
        self.band, self.low, self.high = self._range("Band", "Only between two frequencies", " Hz", 0, 50.0)
        self.loud = self._switch("Above", "Only where the clip is louder than this, below its loudest 20 ms")
        self.level = self._number("Level above which the clip may be changed", " dB", 0, 1.0)
        self.level.setRange(LOWEST_LEVEL, 0.0)
        self.masked = self._switch("Under the masking threshold", MASKED_HELP)

        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        buttons.addWidget(self.draw_button, 1)
        buttons.addWidget(self.clear_button, 1)
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(6)
        for row, (switch, first, second) in enumerate(
            ((self.time, self.begin, self.end), (self.band, self.low, self.high))
        ):
            grid.addWidget(switch, row, 0)
            grid.addWidget(first, row, 1)
            grid.addWidget(label("to"), row, 2)
            grid.addWidget(second, row, 3)
        grid.addWidget(self.loud, 2, 0)
        grid.addWidget(self.level, 2, 1)
        grid.addWidget(self.masked, 3, 0, 1, 4)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(3, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(buttons)
        layout.addLayout(grid)
        self.draw_button.clicked.connect(self.drawing)
        self.clear_button.clicked.connect(lambda: self.changed.emit(FREE))

    def _switch(self, title: str, help: str) -> QCheckBox:
        made = QCheckBox(title)
        made.clicked.connect(self._changed)
        return keyboard_only(named(made, title, help))

    def _number(self, name: str, unit: str, decimals: int, step: float) -> QDoubleSpinBox:
        made = QDoubleSpinBox()
        made.setDecimals(decimals)
        made.setSingleStep(step)
        made.setSuffix(unit)
        made.setKeyboardTracking(False)
        made.setMinimumWidth(made.fontMetrics().horizontalAdvance("22050 Hz") + 30)
        made.valueChanged.connect(self._changed)
        return named(made, name)

    def _range(self, title: str, help: str, unit: str, decimals: int, step: float):
        switch = self._switch(title, help)
        return switch, *(self._number(f"{title} {end}", unit, decimals, step) for end in ("from", "to"))

    def show_restriction(self, restriction: Restriction, duration: float, top_hz: float) -> None:
        """What is chosen, for a clip so many seconds long that reaches so high."""
        self._restriction, self._duration, self._top = restriction, duration, top_hz
        time = restriction.time or (0.0, duration)
        band = restriction.band or (0.0, top_hz)
        for switch, on in (
            (self.time, restriction.time),
            (self.band, restriction.band),
            (self.loud, restriction.above is not None),
            (self.masked, restriction.masked),
        ):
            check(switch, bool(on))
        for field, value, most in (
            (self.begin, time[0], duration),
            (self.end, time[1], duration),
            (self.low, band[0], top_hz),
            (self.high, band[1], top_hz),
        ):
            silently(field, field.setMaximum, max(most, value))
            silently(field, field.setValue, value)
        level = USUAL_LEVEL if restriction.above is None else restriction.above
        silently(self.level, self.level.setValue, level)
        for switch, fields in (
            (self.time, (self.begin, self.end)),
            (self.band, (self.low, self.high)),
            (self.loud, (self.level,)),
        ):
            for field in fields:
                field.setEnabled(switch.isChecked())
        self.clear_button.setEnabled(bool(restriction))

    def show_drawing(self, on: bool) -> None:
        check(self.draw_button, on)

    def _changed(self) -> None:
        time, band = (self.begin.value(), self.end.value()), (self.low.value(), self.high.value())
        time = apart(*time, self._duration, SHORTEST) if self.time.isChecked() else None
        band = apart(*band, self._top, NARROWEST) if self.band.isChecked() else None
        above = self.level.value() if self.loud.isChecked() else None
        self.changed.emit(replace(self._restriction, time=time, band=band, above=above, masked=self.masked.isChecked()))
