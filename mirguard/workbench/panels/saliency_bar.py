"""Which saliency lies over the original, and how strongly."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QSlider, QWidget

from mirguard.workbench.panels.parts import Elided, combo, keyboard_only, named, set_role, silently

MAPS = (
    (
        "gradient",
        "Gradient",
        "|STFT of ∂z/∂x|: how much the label's logit z rises with each cell (Simonyan et al. 2014)",
    ),
    (
        "gradient-times-sound",
        "Gradient × sound",
        "The same times the sound's own |STFT|: what is not there does not count",
    ),
    (
        "jacobian",
        "Jacobian (JSMA)",
        "∂F_t·|Σ∂F_j| where raising this label lowers the others, else 0 (Papernot et al. 2016)",
    ),
)


class SaliencyBar(QWidget):
    """One row, hidden until it is wanted."""

    chosen = Signal(object, str)  # label or None for the one heard, name of the map
    opacity_chosen = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = combo("Label whose saliency is shown", "The label whose logit is followed back into the sound", 12)
        self.map = combo("Kind of saliency map", "How the gradient is turned into a picture", 12)
        for place, (name, words, about) in enumerate(MAPS):
            self.map.addItem(words, name)
            self.map.setItemData(place, about, Qt.ItemDataRole.ToolTipRole)
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(10, 100)
        self.opacity.setValue(80)
        self.opacity.setMinimumWidth(60)
        self.opacity.setMaximumWidth(140)
        named(keyboard_only(self.opacity), "Opacity of the saliency", "How strongly the saliency lies over the sound")
        self.state = Elided()
        set_role(self.state, "muted")
        named(self.state, "State of the saliency")
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 0, 2, 0)
        row.setSpacing(6)
        for part in (self.label, self.map, self.opacity):
            row.addWidget(part)
        row.addWidget(self.state, 1)
        for menu in (self.label, self.map):
            menu.activated.connect(self._chose)
        self.opacity.valueChanged.connect(lambda value: self.opacity_chosen.emit(value / 100.0))
        self.set_labels(())
        self._chose()

    def set_labels(self, labels: tuple[str, ...]) -> None:
        """The model's labels; what was chosen stays where it can."""
        before = self.label.currentData()
        silently(self.label, self.label.clear)
        for words, name in (("Label heard", None), *((label, label) for label in labels)):
            silently(self.label, self.label.addItem, words, name)
        silently(self.label, self.label.setCurrentIndex, max(0, self.label.findData(before)) if before else 0)

    def _chose(self) -> None:
        about = next(about for name, _, about in MAPS if name == self.map.currentData())
        self.map.setToolTip(about)
        self.chosen.emit(self.label.currentData(), self.map.currentData())
