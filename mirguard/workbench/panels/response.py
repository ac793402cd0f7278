"""How the model answers along the perturbation, and over a plane through it."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from mirguard.workbench.document import Document
from mirguard.workbench.panels.parts import combo, label, named, push_button
from mirguard.workbench.views.formats import format_number
from mirguard.workbench.views.label_curves import Key
from mirguard.workbench.views.response_plot import ResponsePlot
from mirguard.workbench.views.surface_plot import SurfacePlot

REACHES = (1, 2, 4, 8, 16)
CLICK = "Click a curve to play the clip with so much of the perturbation. Dashed: there another label takes over."


class ResponsePanel(QWidget):
    """Asks for the response while it is in sight, and for the surface when the button is pressed; a click on the response plays the
    clip with so much of the perturbation."""

    reach_chosen = Signal(float)
    surface_wanted = Signal(str)  # across which second direction
    cancel_wanted = Signal()
    scale_wanted = Signal(float, object)  # times the perturbation, probabilities there

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.reach = combo("Reach", "How far along the perturbation δ, on both sides of the clip", 6)
        for reach in REACHES:
            self.reach.addItem(f"±{reach} δ", float(reach))
        self.reach.setCurrentIndex(1)
        self.kind = combo("What is drawn", "The mean of the windows' logits, or the track's probabilities", 10)
        self.kind.addItem("Logits", False)
        self.kind.addItem("Probabilities", True)
        self.plot = ResponsePlot()
        self.key = Key()
        self.across = combo("Second direction", "What is looked along besides the perturbation; as large as it", 10)
        self.across.addItem("Random direction", "random")
        self.across.addItem("Gradient at the clip", "gradient")
        self.surface = SurfacePlot()
        self.button = push_button("Map the margin", "", "Ask the model at 625 places of the plane")
        self.progress = QProgressBar()
        self.progress.setRange(0, 100)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(6)
        named(self.progress, "Progress of the map")
        stays = self.progress.sizePolicy()
        stays.setRetainSizeWhenHidden(True)
        self.progress.setSizePolicy(stays)
        self.progress.hide()
        self.state = label("", "muted", wrap=True)
        named(self.state, "About the response")

        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.setSpacing(6)
        for parts in ((self.reach, self.kind), self.plot, self.key, (self.across, self.button), self.surface):
            if isinstance(parts, tuple):
                row = QHBoxLayout()
                row.setSpacing(6)
                for part in parts:
                    row.addWidget(part, 1)
                layout.addLayout(row)
            else:
                layout.addWidget(parts, 0 if parts is self.key else 1)
        layout.addWidget(self.progress)
        layout.addWidget(self.state)
        self.reach.activated.connect(lambda: self.reach_chosen.emit(self.reach.currentData()))
        self.kind.activated.connect(self._change_kind)
        self.button.clicked.connect(self._press)
        self.plot.picked.connect(self._pick)
        self.surface.hovered.connect(self.state.setText)
        self._response, self._snr, self._first, self._mapping = None, None, (), False
        self.show_response(None, "")
        self.show_surface(None, False)

    def show_result(self, document: Document) -> None:
        """What the response is drawn with: the result's SNR, the labels before and after."""
        outcome = document.current.outcome if document.current else None
        self._snr = None if outcome is None else outcome.snr_db
        if outcome is None:
            self._first = ()
        else:
            self._first = (outcome.clean.label, outcome.exported.decision.label, outcome.target)
        self.show_moment(document)

    def show_moment(self, document: Document) -> None:
        """A line at the place that is being played."""
        moment = document.moment
        self.plot.show_position(None if moment is None else moment.scale)

    def show_response(self, response, words: str) -> None:
        self._response = response
        if words:
            self.plot.set_empty_text(words)
        snr = self._snr if self._snr is not None and math.isfinite(self._snr) else None
        self.plot.show_response(response, snr, self._first)
        self.key.set_names(self.plot.names)
        self.key.setVisible(bool(self.plot.names))
        self.button.setEnabled(response is not None)
        self._invite()

    def show_surface(self, surface, more: bool) -> None:
        self._mapping = more
        self.surface.show_surface(surface)
        self.button.setText("Cancel" if more else "Map the margin")
        self.progress.setVisible(more)
        self.progress.setValue(0 if surface is None else round(100 * surface.fraction))
        if surface is not None:
            low, high = float(np.nanmin(surface.margins)), float(np.nanmax(surface.margins))
            margins = f"{format_number(low, 1)} to {format_number(high, 1)} logits"
            self.state.setText(f"Margin {margins}, above 0 fooled (orange). Ring: clip; dot: result")
        else:
            self._invite()

    def _invite(self) -> None:
        self.state.setText(CLICK if self._response is not None else "")

    def _change_kind(self) -> None:
        self.plot.show_shares(self.kind.currentData())
        self.show_response(self._response, "")

    def _press(self) -> None:
        if self._mapping:
            self.cancel_wanted.emit()
        else:
            self.surface_wanted.emit(self.across.currentData())

    def _pick(self, scale: float) -> None:
        response = self._response
        if response is not None:
            place = int(np.argmin(np.abs(response.scales - scale)))
            self.scale_wanted.emit(float(response.scales[place]), response.probabilities[place])
