"""How probable the top labels were at each step of an attack, and at which SNR."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import QWidget

from mirguard.workbench.theme import colours
from mirguard.workbench.views.label_curves import LabelCurves


class ProbabilityTrace(LabelCurves):
    """Probabilities in per cent on the left axis, the SNR of the perturbation on the right one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._snr = pg.PlotCurveItem()
        super().__init__(
            "Labels during the attack",
            steps="Iteration",
            empty="The labels at each iteration appear here",
            values="Probability, %",
            parent=parent,
        )
        self.second.addItem(self._snr)
        self.setMinimumSize(200, 100)
        self.getPlotItem().vb.setYRange(0, 100, padding=0.04)

    def set_trace(self, places: np.ndarray, names: Sequence[str], shares: np.ndarray, snr_db: np.ndarray) -> None:
        """`shares (looks, names)` from 0 to 1 at the looks `places`; `snr_db` of every look from the first on."""
        self.set_curves(places, names, 100.0 * shares)
        looks, finite = np.arange(1, len(snr_db) + 1), np.isfinite(snr_db)
        self._snr.setData(looks[finite], snr_db[finite])
        if finite.any():
            low, high = float(snr_db[finite].min()), float(snr_db[finite].max())
            room = max(1.0, 0.08 * (high - low))
            self.second.setYRange(low - room, high + room, padding=0)
        if len(places):
            self.getPlotItem().vb.setXRange(1, max(len(snr_db), 5), padding=0.02)

    def restyle(self) -> None:
        """Take the theme's colours."""
        super().restyle()
        if not self.closed:
            chosen = colours()
            self._snr.setPen(pg.mkPen(chosen.muted, width=self.devicePixelRatioF()))
            self.getPlotItem().setLabel("right", "SNR, dB", color=chosen.muted)
            self._show()

    def _show(self) -> None:
        super()._show()
        self.getPlotItem().showAxis("right", not self.empty)
