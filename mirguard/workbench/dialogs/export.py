"""Exporting the adversarial sound and the perturbation, and what the model says of the files that were written."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QLineEdit,
    QMessageBox,
    QVBoxLayout,
    QWidget,
)

from mirguard.workbench.control.exporting import ExportResult, suggested_name
from mirguard.workbench.facts import ADVERSARIAL, PERTURBATION, Entry
from mirguard.workbench.panels.parts import combo, label, named, set_role, tool_button

CHOICES = {
    "WAV, 16 bit": (".wav", "PCM_16"),
    "WAV, 24 bit": (".wav", "PCM_24"),
    "WAV, 32 bit float": (".wav", "FLOAT"),
    "FLAC, 16 bit": (".flac", "PCM_16"),
    "FLAC, 24 bit": (".flac", "PCM_24"),
}
WHAT = {ADVERSARIAL: "Adversarial sound", PERTURBATION: "Perturbation"}


class ExportDialog(QDialog):
    """Asks for files (`wanted`: what, path, subtype) and shows what became of them."""

    wanted = Signal(str, str, str)

    def __init__(self, entry: Entry, folder: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export")
        self.setMinimumWidth(520)
        self._entry = entry
        subtype = entry.outcome.experiment.subtype
        self.folder = QLineEdit(folder)
        named(self.folder, "Folder", "Where the files are written")
        browse = tool_button("folder", "Choose a folder")
        browse.clicked.connect(self._browse)
        self.format = combo("Format", "16 bit is what players expect; 24 bit and float keep quieter perturbations", 16)
        self.format.addItems(list(CHOICES))
        self.format.setCurrentIndex([pair[1] for pair in CHOICES.values()].index(subtype))
        self.boxes: dict[str, QCheckBox] = {}
        self.names: dict[str, QLineEdit] = {}
        self.results: dict[str, QWidget] = {}
        grid = QGridLayout()
        grid.setHorizontalSpacing(10)
        for row, (what, words) in enumerate(WHAT.items()):
            box = QCheckBox(words)
            named(box, f"Export the {what}")
            box.setChecked(True)
            box.toggled.connect(self._check)
            name = QLineEdit(suggested_name(entry, what))
            named(name, f"File name of the {what}")
            name.textChanged.connect(self._check)
            result = label("", "muted", wrap=True)
            grid.addWidget(box, 2 * row, 0)
            grid.addWidget(name, 2 * row, 1)
            grid.addWidget(result, 2 * row + 1, 0, 1, 2)
            self.boxes[what], self.names[what], self.results[what] = box, name, result
        place = QGridLayout()
        place.addWidget(self.folder, 0, 0)
        place.addWidget(browse, 0, 1)
        form = QFormLayout()
        form.setHorizontalSpacing(10)
        form.addRow("Folder", place)
        form.addRow("Format", self.format)
        self.note = label(
            f"The attack was measured as {subtype.replace('PCM_', '')} bit; every file is read again and classified, "
            "and that is what counts.".replace("FLOAT bit", "32 bit float"),
            "muted",
            wrap=True,
        )
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.export_button = self.buttons.addButton("Export", QDialogButtonBox.ButtonRole.ActionRole)
        self.export_button.setProperty("primary", True)
        self.export_button.setDefault(True)
        named(self.export_button, "Export")
        self.export_button.clicked.connect(self._export)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(18, 16, 18, 14)
        layout.setSpacing(12)
        layout.addLayout(form)
        layout.addLayout(grid)
        layout.addWidget(self.note)
        layout.addStretch(1)
        layout.addWidget(self.buttons)
        self.format.currentIndexChanged.connect(self._format_changed)
        self.folder.textChanged.connect(self._check)
        self._format_changed()

    def show_result(self, result: ExportResult) -> None:
        """What became of one file."""
        line = self.results[result.what]
        if result.trouble:
            words, role = result.trouble, "danger"
        elif result.what == PERTURBATION:
            words, role = f"Written; alone it is heard as {result.label}.", "good"
        elif result.success:
            words, role = (
                f"Written; the file is heard as {result.label} ({result.confidence:.0%}): it survives.",
                "good",
            )
        elif self._entry.outcome.reached:
            words, role = f"Written, but the file is heard as {result.label}: it does not survive export.", "warning"
        else:
            words, role = f"Written; the file is heard as {result.label}: the attack had not reached its aim.", "muted"
        line.setText(words)
        set_role(line, role)
        self._check()

    def paths(self) -> dict[str, Path]:
        """The files asked for."""
        folder = Path(self.folder.text()).expanduser()
        return {
            what: folder / self.names[what].text().strip()
            for what, box in self.boxes.items()
            if box.isChecked() and self.names[what].text().strip()
        }

    def _format_changed(self) -> None:
        suffix = CHOICES[self.format.currentText()][0]
        for field in self.names.values():
            name = field.text().strip()
            if Path(name).suffix.lower() in (".wav", ".flac") and Path(name).suffix.lower() != suffix:
                field.setText(str(Path(name).with_suffix(suffix)))
        self._check()

    def _check(self) -> None:
        for what, box in self.boxes.items():
            self.names[what].setEnabled(box.isChecked())
        self.export_button.setEnabled(bool(self.paths()) and bool(self.folder.text().strip()))

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Export to", self.folder.text())
        if folder:
            self.folder.setText(folder)

    def _export(self) -> None:
        there = [path.name for path in self.paths().values() if path.exists()]
        if there and not self._overwrite(there):
            return
        subtype = CHOICES[self.format.currentText()][1]
        for what, path in self.paths().items():
            self.results[what].setText("Writing …")
            set_role(self.results[what], "muted")
            self.wanted.emit(what, str(path), subtype)

    def refused(self, what: str) -> None:
        """The file could not even be begun; the window has said why."""
        self.results[what].setText("Not written.")
        set_role(self.results[what], "danger")

    def _overwrite(self, names: list[str]) -> bool:
        answer = QMessageBox.question(
            self, "Export", f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} there already. Overwrite?"
        )
        return answer == QMessageBox.StandardButton.Yes
