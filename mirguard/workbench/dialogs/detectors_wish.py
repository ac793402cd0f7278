"""What detectors are held to: which attack, on which clips, with or without its knowing of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QDoubleSpinBox, QFileDialog, QFormLayout, QHBoxLayout, QSpinBox, QWidget

from mirguard.datasets.synthesis import LABELS as TOY_LABELS
from mirguard.detectors.catalogue import find_detector
from mirguard.workbench.document import Document, unsuited
from mirguard.workbench.panels.parts import combo, keyboard_only, named, tool_button
from mirguard.workbench.settings import Settings

OPEN, FRESH = "open", "fresh"
# Noise is what attacks are held against; the others are made beforehand or for a stranger, not on the clip and the model.
NOT_FOR_THIS = ("noise", "universal", "substitute")
LEAST, MOST, USUAL = 2, 1000, 20
USUAL_SNR = 30.0


class WishForm(QWidget):
    """`changed` when it may have become possible, or impossible, to begin."""

    changed = Signal()

    def __init__(self, document: Document, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings, self._design = settings, document.design
        self._clips: Sequence = tuple(entry.clip for entry in document.entries.values())
        self.attack = combo("Attack", "What the detectors are to notice", 18)
        for one in document.attacks:
            if one.name not in NOT_FOR_THIS and not unsuited(one, document.model):
                self.attack.addItem(one.title, one.name)
        self.attack.setCurrentIndex(max(0, self.attack.findData(document.design.attack)))
        self.snr = QDoubleSpinBox()
        self.snr.setRange(0.0, 80.0)
        self.snr.setDecimals(1)
        self.snr.setPrefix("SNR ")
        self.snr.setSuffix(" dB")
        self.snr.setValue(document.design.level if document.design.held == "snr" else USUAL_SNR)
        named(self.snr, "SNR", "The attack's budget; attacks that look for the smallest perturbation need none")
        self.adaptive = QCheckBox("and once more, evading each detector")
        named(
            self.adaptive,
            "Adaptive attack too",
            "An attack that knows the detector as it knows the model: without it, figures say little (takes longer)",
        )
        self.adaptive.setChecked(True)
        keyboard_only(self.adaptive)
        self.detectors = combo("Detectors", "Which detectors are held to the attack", 18)
        there = () if document.reference is None else document.reference.detectors
        self.detectors.addItem(f"All {len(there)} that are fitted" if len(there) > 1 else "The one that is fitted", "")
        for one in there:
            self.detectors.addItem(f"Only {find_detector(one.name).title}", one.name)
        self.source = combo("Clips", "Clean clips that are attacked; none that a detector was fitted on", 18)
        if document.model is not None and set(document.model.labels) <= set(TOY_LABELS):
            self.source.addItem("Fresh synthetic clips", FRESH)
        if len(self._clips) >= LEAST:
            self.source.addItem(f"The {len(self._clips)} clips in the list", OPEN)
        kept = settings.folder("measured")
        if kept:
            self.source.addItem(kept, Path(kept))
        self.source.setPlaceholderText("Choose a folder of clean music")
        self.source.setCurrentIndex(min(0, self.source.count() - 1))
        self.folder_button = tool_button("folder", "Choose a folder of clean music")
        self.count = QSpinBox()
        self.count.setRange(LEAST, MOST)
        self.count.setValue(USUAL)
        self.count.setSuffix(" clips at the most")
        named(self.count, "Number of clips", "More clips give narrower intervals and take longer")
        for field in (self.snr, self.count):
            field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(10)
        for words, parts in (
            ("Attack", (self.attack, self.snr, self.adaptive)),
            ("Detectors", (self.detectors,)),
            ("Clips", (self.source, self.folder_button, self.count)),
        ):
            row = QHBoxLayout()
            row.setSpacing(8)
            for part in parts:
                row.addWidget(part)
            row.addStretch(1)
            form.addRow(words, row)
        for menu in (self.attack, self.detectors, self.source):
            menu.setMinimumWidth(260)
        self.folder_button.clicked.connect(self._browse)
        self.source.currentIndexChanged.connect(self.changed)
        self.attack.currentIndexChanged.connect(self._tell)
        self._tell()

    @property
    def possible(self) -> bool:
        return self.source.currentIndex() >= 0 and self.attack.currentIndex() >= 0

    def wish(self) -> dict[str, Any]:
        """The fields of a MeasureDetectors, the model aside."""
        source, chosen = self.source.currentData(), self.detectors.currentData()
        same = self.attack.currentData() == self._design.attack
        return {
            "attack": self.attack.currentData(),
            "snr_db": self.snr.value(),
            "adaptive": self.adaptive.isChecked(),
            "detectors": (chosen,) if chosen else (),
            "count": self.count.value(),
            "folder": source if isinstance(source, Path) else None,
            "clips": tuple(self._clips) if source == OPEN else (),
            "settings": tuple(self._design.own_values().items()) if same else (),
        }

    def set_folder(self, folder: str | Path) -> None:
        """Clips from there."""
        self._settings.set_folder("measured", folder)
        place = next((n for n in range(self.source.count()) if self.source.itemData(n) == Path(folder)), -1)
        if place < 0:
            self.source.addItem(str(folder), Path(folder))
            place = self.source.count() - 1
        self.source.setCurrentIndex(place)
        self.changed.emit()

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of clean music", self._settings.folder("measured"))
        if folder:
            self.set_folder(folder)

    def _tell(self) -> None:
        """The designer's settings count for the designer's attack."""
        same = self.attack.currentData() == self._design.attack and self._design.own_values()
        self.attack.setToolTip("With the designer's settings" if same else "With its usual settings")
