"""Does what fools one model fool the others? An attack made on each model, played to all of them, beside white noise."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QProgressBar,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from mirguard.datasets.synthesis import LABELS as TOY_LABELS
from mirguard.words import counted
from mirguard.workbench.document import Document
from mirguard.workbench.panels.parts import (
    Elided,
    combo,
    keyboard_only,
    label,
    named,
    push_button,
    set_primary,
    set_role,
    silently,
)
from mirguard.workbench.theme import bind_icon
from mirguard.workbench.views.overlay import EmptyState
from mirguard.workbench.views.transfer_table import TransferTable

EMPTY = "Choose two models or more and press Run: which of them does an attack made on one also fool?"
RUN_HELP = "Attack all sounds on every model"
COUNTING = "The matrix appears here when all attacks are done"


class TransferPanel(QWidget):
    """Shows the last matrix; asks for another one, for a running one to stop, and for the table as CSV."""

    run_wanted = Signal(dict)  # attack, goal, snr_db, sounds, toy, ensembles, models
    cancel_wanted = Signal()
    export_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.attack = combo("Attack", "The attack whose results are carried over", 12)
        self.goal = combo(
            "Goal", "Untargeted: any other label. Targeted: that very label, drawn by chance for each clip", 10
        )
        for words, name in (("Untargeted", "untargeted"), ("Targeted", "targeted")):
            self.goal.addItem(words, name)
        self.snr = QDoubleSpinBox()
        self.snr.setRange(0, 100)
        self.snr.setDecimals(0)
        self.snr.setValue(30)
        self.snr.setPrefix("SNR ")
        self.snr.setSuffix(" dB")
        named(self.snr, "SNR", "All results, and the noise, have this SNR")
        self.sounds = QSpinBox()
        self.sounds.setRange(4, 2000)
        self.sounds.setValue(40)
        named(self.sounds, "Number of sounds", "At most so many windows are attacked")
        self.source = combo("Sounds", "What is attacked", 8)
        for words, toy, about in (
            ("toy sounds", True, "Fresh synthetic sounds, which no model has learned from"),
            (
                "open clips",
                False,
                "Windows of the clips in the list; what the model in use hears in them counts as right",
            ),
        ):
            self.source.addItem(words, toy)
            self.source.setItemData(self.source.count() - 1, about, Qt.ItemDataRole.ToolTipRole)
        self.ensembles = QCheckBox("Ensembles too")
        named(self.ensembles, "Ensembles too", "For each model, an attack on all the others together (Liu et al. 2017)")
        keyboard_only(self.ensembles)
        for field in (self.snr, self.sounds):
            field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.run_button = push_button("Run", "run", RUN_HELP, primary=True)
        self.export_button = push_button("CSV …", "export", "Write the matrix to a file, with counts and intervals")
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(6)
        named(self.progress, "Progress of the transfer matrix")
        stays = self.progress.sizePolicy()
        stays.setRetainSizeWhenHidden(True)
        self.progress.setSizePolicy(stays)
        self.progress.hide()
        self.state = Elided()
        set_role(self.state, "muted")
        named(self.state, "State of the transfer matrix")
        self.table = TransferTable()
        self.empty = EmptyState(self.table, "matrix")
        self.empty.set_text(EMPTY)
        self.legend = label("", "muted", wrap=True)
        named(self.legend, "How to read the matrix")
        self._models = QWidget()
        self._models.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._grid = QGridLayout(self._models)
        self._grid.setSizeConstraint(
            QGridLayout.SizeConstraint.SetNoConstraint
        )  # columns follow the width, not it them
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(14)
        self._grid.setVerticalSpacing(4)
        self.boxes: dict[str, QCheckBox] = {}
        rows = (
            (self.attack, self.goal, self.snr),
            (label("on"), self.sounds, self.source, self.ensembles, self.run_button),
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 10, 10, 8)
        layout.setSpacing(8)
        for parts in rows:
            row = QHBoxLayout()
            row.setSpacing(6)
            for part in parts:
                if part is self.run_button:
                    row.addStretch(1)
                row.addWidget(part, 1 if part is self.attack else 0)
            layout.addLayout(row)
        foot = QHBoxLayout()
        foot.addWidget(self.legend, 1)
        foot.addWidget(self.state, 1)
        foot.addWidget(self.export_button)
        layout.addWidget(self._models)
        layout.addWidget(self.progress)
        layout.addWidget(self.table, 1)
        layout.addLayout(foot)
        self._fields = (self.attack, self.goal, self.snr, self.sounds, self.source, self.ensembles, self._models)
        self.run_button.clicked.connect(self._press)
        self.export_button.clicked.connect(self.export_wanted)
        self._running, self._titles = False, {}
        self.show_matrix(None)

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self.empty.setGeometry(self.table.rect())
        self._arrange()

    def show_models(self, document: Document) -> None:
        """The models that share the labels of the one in use, and the attacks there are."""
        if self.attack.count() != len(document.attacks):
            silently(self.attack, self.attack.clear)
            for attack in document.attacks:
                self.attack.addItem(attack.title, attack.name)
            silently(self.attack, self.attack.setCurrentIndex, max(0, self.attack.findData("pgd")))
        chosen = document.model
        infos = [] if chosen is None else [info for info in document.models if info.name == chosen.name]
        infos += [
            one for one in document.stand_ins if (one.sample_rate, one.window) == (chosen.sample_rate, chosen.window)
        ]
        names = [info.name for info in infos]
        self._titles = short_titles({info.name: info.title or info.name for info in infos})
        toy = chosen is None or set(chosen.labels) <= set(TOY_LABELS)
        self.source.model().item(0).setEnabled(toy)
        if not toy:
            self.source.setCurrentIndex(1)
        if names == list(self.boxes):
            return
        for box in self.boxes.values():
            box.deleteLater()
        self.boxes = {}
        for place, info in enumerate(infos):
            box = self.boxes[info.name] = QCheckBox(self._titles[info.name])
            keyboard_only(named(box, info.title or info.name, info.note))
            box.setChecked(info.state == "ready" and place < 5)
            box.toggled.connect(self._enable)
        self._arrange()
        self._enable()

    def _arrange(self) -> None:
        """The models in as many columns as there is room for."""
        widest = max((box.sizeHint().width() for box in self.boxes.values()), default=1)
        columns = max(1, (self.width() - 20) // (widest + self._grid.horizontalSpacing()))
        for place, box in enumerate(self.boxes.values()):
            self._grid.addWidget(box, place // columns, place % columns)
        for column in range(self._grid.columnCount()):
            self._grid.setColumnStretch(column, 0)
        self._grid.setColumnStretch(columns, 1)

    def show_progress(self, words: str, fraction: float | None) -> None:
        """How far it is; no words when it is over."""
        self._running = bool(words)
        self.state.setText(words)
        self.progress.setVisible(self._running)
        self.progress.setValue(round(1000 * (fraction or 0.0)))
        self.empty.set_text(COUNTING if self._running else EMPTY)
        for field in self._fields:
            field.setEnabled(not self._running)
        if self.run_button.text() != (words := "Cancel" if self._running else "Run"):
            self.run_button.setText(words)
            bind_icon(self.run_button, words.lower(), "text" if self._running else "accent_text")
            self.run_button.setToolTip("Stop; nothing is kept" if self._running else RUN_HELP)
            set_primary(self.run_button, not self._running)
        self._enable()

    def show_matrix(self, matrix) -> None:
        """This one, or the empty state."""
        self.table.show_matrix(matrix, self._titles)
        self.empty.setVisible(matrix is None)
        self.legend.setText("" if matrix is None else self._explained(matrix))
        self.export_button.setEnabled(matrix is not None)
        self._enable()

    def _explained(self, matrix) -> str:
        """What was counted, and how to read it: the settings above may have changed since."""
        place = self.attack.findData(matrix.attack)
        attack = self.attack.itemText(place) if place >= 0 else matrix.attack
        return (
            f"{attack}, {matrix.goal}, SNR {matrix.snr_db:g} dB, {counted(matrix.sounds, 'sound')}. "
            "Rows: what the attack was made on; columns: what its result was played to. "
            "Framed: no transfer, since the model itself was attacked."
        )

    def _enable(self) -> None:
        wanted = sum(box.isChecked() for box in self.boxes.values())
        self.run_button.setEnabled(self._running or wanted >= 2)
        if not self._running:
            self.state.setText("" if wanted >= 2 else "Choose two models or more" if self.boxes else "No models yet")
        self.legend.setVisible(bool(self.legend.text()) and not self.state.text())
        self.state.setVisible(not self.legend.isVisibleTo(self))

    def _press(self) -> None:
        if self._running:
            self.cancel_wanted.emit()
            return
        self.run_wanted.emit(
            {
                "attack": self.attack.currentData(),
                "goal": self.goal.currentData(),
                "snr_db": self.snr.value(),
                "sounds": self.sounds.value(),
                "toy": self.source.currentData(),
                "ensembles": self.ensembles.isChecked(),
                "models": tuple(name for name, box in self.boxes.items() if box.isChecked()),
            }
        )


def short_titles(titles: dict[str, str]) -> dict[str, str]:
    """Titles without the words before a comma with which several begin."""
    heads = [title.split(", ", 1)[0] for title in titles.values() if ", " in title]
    shared = {head for head in heads if heads.count(head) > 1}
    return {
        name: title.split(", ", 1)[1] if ", " in title and title.split(", ", 1)[0] in shared else title
        for name, title in titles.items()
    }
