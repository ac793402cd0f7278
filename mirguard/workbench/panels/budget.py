"""The budget of an attack: ε as an amplitude and as an SNR, side by side, each following the other."""

from __future__ import annotations

import math

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QCheckBox, QToolButton, QVBoxLayout, QWidget

from mirguard.parameters import Parameter
from mirguard.workbench.actions import tip
from mirguard.workbench.design import Design
from mirguard.workbench.panels.parts import check, field_width, keyboard_only, label, named, set_role
from mirguard.workbench.views.level_slider import LevelSlider

SNR_HELP = (
    "Signal-to-noise ratio that the result keeps at least: 10·log10(Σx²/Σδ²) over all channels of the whole clip."
)
LIMIT_HELP = "The attack looks for the smallest perturbation that fools the model. With a limit it gives up where that is larger."
LOWEST_SNR, HIGHEST_SNR = -10.0, 110.0


class BudgetBox(QWidget):
    """Emits which of the two a person set, and its value: the other one follows the clip's level. An attack that looks for the
    smallest perturbation has the two only where it is to be held to a limit."""

    changed = Signal(str, float)  # "epsilon" or "snr", value
    limited = Signal(bool)
    ear_wanted = Signal()
    committed = Signal()

    def __init__(self, epsilon: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._level = 0.0
        self._low, self._high = float(epsilon.minimum), float(epsilon.maximum)
        self.snr = LevelSlider("SNR", LOWEST_SNR, HIGHEST_SNR, 40.0, unit="dB", about=SNR_HELP)
        self.epsilon = LevelSlider("Amplitude ε", self._low, self._high, 1e-3, scale="log", about=epsilon.help)
        for slider in (self.snr, self.epsilon):
            slider.field.setFixedWidth(field_width(slider))
        self.limit = QCheckBox("Limit its size")
        keyboard_only(named(self.limit, "Limit its size", LIMIT_HELP))
        self.limit.clicked.connect(self.limited)
        self.ear_button = QToolButton()
        self.ear_button.setText("From my ear")
        self.ear_button.setProperty("small", True)
        keyboard_only(named(self.ear_button, "Budget from my ear", tip("ear-budget")))
        self.ear_button.clicked.connect(self.ear_wanted)
        self.snr.layout().addWidget(self.ear_button, 0, 0, Qt.AlignmentFlag.AlignRight)
        self.note = label("", "muted", wrap=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for part in (self.limit, self.snr, self.epsilon, self.note):
            layout.addWidget(part)
        self.snr.valueChanged.connect(lambda value: self._moved("snr", value))
        self.epsilon.valueChanged.connect(lambda value: self._moved("epsilon", value))
        self.snr.committed.connect(self._commit)
        self.epsilon.committed.connect(self._commit)

    def show_budget(self, design: Design, level: float | None) -> None:
        """The design's budget on a clip of that RMS; None while there is no clip, 0 for a silent one."""
        silent = level == 0.0
        self._level = level or 0.0
        self.snr.setEnabled(not silent and design.has_snr)
        with QSignalBlocker(self):
            self._follow(design.held, design.level)
        self.limit.setVisible(design.seeks_smallest)
        check(self.limit, design.limited)
        for slider in (self.snr, self.epsilon):
            slider.setHidden(design.unlimited)
        if design.unlimited:
            self.note.setText("")
        elif not design.has_snr:
            self.note.setText("An SNR says nothing of the mean of |δ|: the amplitude counts.")
        elif level is None:
            self.note.setText("The two are linked once a clip is loaded.")
        elif silent:
            self.note.setText("A silent clip has no SNR: only the amplitude counts.")
        elif design.epsilon(level) > self._high or design.epsilon(level) < self._low:
            self.note.setText(f"On this clip an SNR of {design.level:g} dB lies outside what amplitudes can be.")
        else:
            self.note.setText("")
        set_role(self.note, "warning" if silent else "muted")
        self.note.setVisible(bool(self.note.text()))

    def _moved(self, held: str, value: float) -> None:
        if not self.signalsBlocked():
            self._follow(held, value)
            self.changed.emit(held, value)

    def _commit(self) -> None:
        if not self.signalsBlocked():
            self.committed.emit()

    def _follow(self, held: str, value: float) -> None:
        """Put both sliders where they belong, without a word."""
        pairs = {held: value}
        if self._level > 0.0:
            if held == "snr":
                pairs["epsilon"] = self._level * 10.0 ** (-value / 20.0)
            elif value > 0.0:
                pairs["snr"] = 20.0 * math.log10(self._level / value)
        for name, wanted in pairs.items():
            slider = self.snr if name == "snr" else self.epsilon
            with QSignalBlocker(slider):
                slider.set_value(wanted)
