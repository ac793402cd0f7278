"""Making a universal perturbation: from which clips, by which method, how large, towards which label; and what it achieves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from mirguard.attacks.declared.universal import METHODS
from mirguard.workbench.control.generalising import Wish
from mirguard.workbench.facts import ModelFacts
from mirguard.workbench.panels.parts import combo, label, named, set_role, tool_button
from mirguard.workbench.settings import Settings

if TYPE_CHECKING:
    from mirguard.attacks.universal_file import Universal

ABOUT = (
    "One perturbation, looped, that makes the model mistake as many clips as possible. Three of ten clips are kept aside: how many "
    "of those it fools is what counts."
)


class UniversalDialog(QDialog):
    """Emits `wanted` (a `Wish`) and `cancel_wanted`; is shown progress, the result or the trouble."""

    wanted = Signal(object)
    cancel_wanted = Signal()

    def __init__(self, model: ModelFacts, clips: Sequence, settings: Settings, parent: QWidget | None = None) -> None:
        """`clips` are those that are open."""
        super().__init__(parent)
        self.setWindowTitle("Universal perturbation")
        self.setMinimumWidth(540)
        self._clips, self._settings, self._running = tuple(clips), settings, False
        self.source = combo("Clips", "Which sounds it is made from and held to", 20)
        self.source.setPlaceholderText("Choose a folder of clips, or open more than one")
        if len(self._clips) > 1:
            self.source.addItem(f"The {len(self._clips)} clips that are open", None)
        kept = settings.folder("universal")
        self._folder = Path(kept) if kept else None
        if self._folder:
            self.source.addItem(str(self._folder), self._folder)
        # With a text for the empty menu, Qt would leave it at that until somebody chooses.
        self.source.setCurrentIndex(min(0, self.source.count() - 1))
        self.source.currentIndexChanged.connect(self._check)
        browse = tool_button("folder", "Choose a folder of clips")
        browse.clicked.connect(self._browse)
        place = QHBoxLayout()
        place.addWidget(self.source, 1)
        place.addWidget(browse)
        self.method = combo("Method", "How it is made", 20)
        for method in METHODS:
            self.method.addItem(f"{method.title} ({method.reference})", method.name)
        self.about_method = label("", "muted", wrap=True)
        self.method.currentIndexChanged.connect(self._tell_method)
        self.snr = QDoubleSpinBox()
        self.snr.setRange(-10.0, 80.0)
        self.snr.setValue(20.0)
        self.snr.setDecimals(1)
        self.snr.setSuffix(" dB")
        named(self.snr, "SNR", "How far below every clip's own level it lies")
        self.target = combo("Target", "The label that is to come out", 20)
        self.target.addItem("Any other label", None)
        for name in model.labels:
            self.target.addItem(name, name)
        self.name = QLineEdit("my perturbation")
        named(self.name, "Name", "What it is to be called in the designer")
        self.name.textChanged.connect(self._check)
        form = QFormLayout()
        form.setHorizontalSpacing(10)
        form.addRow("Model", label(model.title))
        form.addRow("Clips", place)
        way = QVBoxLayout()
        way.setSpacing(6)
        way.addWidget(self.method)
        way.addWidget(self.about_method)
        form.addRow("Method", way)
        form.addRow("SNR", self.snr)
        form.addRow("Target", self.target)
        form.addRow("Name", self.name)
        self.state = label(ABOUT, "muted", wrap=True)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        named(self.progress, "Progress")
        stays = self.progress.sizePolicy()
        stays.setRetainSizeWhenHidden(True)
        self.progress.setSizePolicy(stays)
        self.progress.hide()
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.close_button = self.buttons.button(QDialogButtonBox.StandardButton.Close)
        self.make_button = self.buttons.addButton("Make", QDialogButtonBox.ButtonRole.ActionRole)
        self.make_button.setProperty("primary", True)
        self.make_button.setDefault(True)
        named(self.make_button, "Make the perturbation")
        self.make_button.clicked.connect(self._make)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(18, 16, 18, 14)
        layout.setSpacing(12)
        layout.addLayout(form)
        layout.addWidget(self.state)
        layout.addWidget(self.progress)
        layout.addStretch(1)
        layout.addWidget(self.buttons)
        self._fields = (self.source, browse, self.method, self.snr, self.target, self.name)
        self._tell_method()
        self._check()

    def set_folder(self, folder: str | Path) -> None:
        self._settings.set_folder("universal", folder)
        place = self.source.findData(Path(folder))
        if place < 0:
            self.source.addItem(str(folder), Path(folder))
            place = self.source.count() - 1
        self.source.setCurrentIndex(place)
        self._check()

    def show_progress(self, sentence: str, fraction: float | None) -> None:
        """While it is being made; "" when over."""
        self._run(bool(sentence))
        if sentence:
            self._say(sentence, "muted")
            self.progress.setRange(0, 0 if fraction is None else 1000)
            self.progress.setValue(round(1000 * (fraction or 0.0)))

    def show_made(self, made: Universal) -> None:
        held_out = [rate for rate in made.rates if rate.held_out] or list(made.rates)
        self._say(f"{made.name} is in the designer's menu. On {held_out[0].sentence}.", "good")

    def show_cancelled(self) -> None:
        self._say("Cancelled; nothing was kept.", "muted")

    def show_trouble(self, sentence: str) -> None:
        self._say(sentence, "danger")

    def reject(self) -> None:
        """Esc and Cancel stop what is being made, and close the dialog only if nothing is."""
        if self._running:
            self.cancel_wanted.emit()
        else:
            super().reject()

    def _make(self) -> None:
        source = self.source.currentData()
        self.wanted.emit(
            Wish(
                self.name.text().strip(),
                self.method.currentData(),
                self.snr.value(),
                self.target.currentData(),
                source,
                () if source is not None else self._clips,
            )
        )

    def _say(self, sentence: str, role: str) -> None:
        self.state.setText(sentence)
        set_role(self.state, role)

    def _run(self, running: bool) -> None:
        self._running = running
        self.progress.setVisible(running)
        self.close_button.setText("Cancel" if running else "Close")
        for field in self._fields:
            field.setEnabled(not running)
        self._check()

    def _check(self) -> None:
        there = self.source.currentIndex() >= 0
        self.make_button.setEnabled(not self._running and there and bool(self.name.text().strip()))

    def _tell_method(self) -> None:
        self.about_method.setText(METHODS[self.method.currentIndex()].help)

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of clips", self._settings.folder("universal"))
        if folder:
            self.set_folder(folder)
