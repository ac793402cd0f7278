"""The work behind the actions of detectors and defences, and what leads where in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from shiboken6 import isValid

from mirguard.workbench.bench import WARNING
from mirguard.workbench.dialogs.detectors_measured import DetectorsMeasuredDialog
from mirguard.workbench.dialogs.harden import HardenDialog

if TYPE_CHECKING:
    from mirguard.workbench.window import Window


class DetectorDeeds:
    """Opens the dialogs, each once at a time."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._measured: DetectorsMeasuredDialog | None = None
        self._harden: HardenDialog | None = None

    def table(self) -> dict[str, Callable]:
        return {"measure-detectors": self.measure, "harden": self.harden}

    def harden(self) -> None:
        """Make a hardened model out of one that there is."""
        from mirguard.defences.catalogue import list_defences

        window, dialog = self._window, self._harden
        document = window.document
        if dialog is None or not isValid(dialog) or not dialog.isVisible():
            chosen = document.model.name if document.model is not None else ""
            dialog = self._harden = HardenDialog(
                window.hardening, list_defences(), document.models, chosen, window.settings, window
            )
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.use_wanted.connect(window.modelling.choose)
            dialog.card_wanted.connect(window.deeds.model_card)
        if dialog.isVisible():
            dialog.raise_()
        dialog.show()
        dialog.activateWindow()

    def show_models(self) -> None:
        """The dialog has to know which names are taken and what there is to harden."""
        if self._harden is not None and isValid(self._harden):
            self._harden.set_models(self._window.document.models)

    def measure(self, detector: str = "") -> None:
        """How good the fitted detectors are; `detector` is looked at first."""
        window, dialog = self._window, self._measured
        facts = window.document.reference
        if facts is None or not facts.detectors:
            window.bench.say("No detector is fitted on this model yet; fit them on a folder of clean music.", WARNING)
            return
        if dialog is not None and isValid(dialog) and dialog.isVisible():
            dialog.choose(detector)
            dialog.raise_()
            dialog.activateWindow()
            return
        dialog = self._measured = DetectorsMeasuredDialog(
            window.measuring, window.document, window.settings, detector, window
        )
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show()


def wire_detectors(window: Window, deeds: DetectorDeeds) -> None:
    """Connect the panel with the dialogs."""
    window.detectors.figures_wanted.connect(deeds.measure)
