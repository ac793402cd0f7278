"""Would a detector have caught it? Scores against those of clean music, threshold, verdict."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QProgressBar, QVBoxLayout, QWidget

from mirguard.detectors.catalogue import find_detector
from mirguard.detectors.detector import FPR
from mirguard.workbench.document import Document
from mirguard.workbench.facts import ADVERSARIAL, ORIGINAL
from mirguard.workbench.panels.parts import Content, Elided, Scroll, label, named, push_button, set_role, tool_button
from mirguard.workbench.views.formats import format_figures, format_number
from mirguard.workbench.views.level_slider import LevelSlider
from mirguard.workbench.views.score_plot import ScorePlot

DETECTOR = "kde"
SIDES = (ORIGINAL, ADVERSARIAL)


class DetectorsPanel(QWidget):
    """Asks for another false-positive rate and for a reference to be built."""

    fpr_chosen = Signal(float)
    reference_wanted = Signal()
    cancel_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        about = find_detector(DETECTOR)
        self.title = label(about.title, "heading")
        self.title.setToolTip(f"{about.help}\n{about.reference}")
        self.help = label(about.help, "muted", wrap=True)
        self.plot = ScorePlot()
        self.cells: dict[str, tuple[QLabel, QLabel, QLabel]] = {}
        self.figures = QWidget()
        table = QGridLayout(self.figures)
        table.setContentsMargins(0, 0, 0, 0)
        table.setHorizontalSpacing(10)
        table.setVerticalSpacing(2)
        for column, heading in enumerate(("", "score", "percentile", "verdict")):
            table.addWidget(label(heading, "muted"), 0, column)
        for row, side in enumerate(SIDES, 1):
            table.addWidget(label(side.capitalize(), side), row, 0)
            cells = tuple(label("–") for _ in range(3))
            for column, cell in enumerate(cells, 1):
                table.addWidget(cell, row, column)
            self.cells[side] = cells
        table.setColumnStretch(3, 1)
        self.fpr = LevelSlider(
            FPR.title, 0.5, 50.0, 5.0, scale="log", unit="%", about=f"{FPR.help} Counted in clips.", figures=2
        )
        self.fpr.committed.connect(lambda value: self.fpr_chosen.emit(value / 100.0))
        self.note = label("", "muted", wrap=True)
        self.build_button = push_button(
            "Build reference …", "folder", "Build the clean reference from a folder of clean music"
        )
        self.build_button.clicked.connect(self.reference_wanted)
        self.progress = QProgressBar()
        named(self.progress, "Progress of building the reference")
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(6)
        self.progress_words = Elided()
        self.progress_words.setProperty("role", "muted")
        self.stop_button = tool_button("cancel", "Stop building the reference")
        self.stop_button.clicked.connect(self.cancel_wanted)
        self.stop_row = QWidget()
        row = QHBoxLayout(self.stop_row)
        row.setContentsMargins(0, 0, 0, 0)
        how_far = QVBoxLayout()
        how_far.setSpacing(4)
        how_far.addWidget(self.progress_words)
        how_far.addWidget(self.progress)
        row.addLayout(how_far, 1)
        row.addWidget(self.stop_button)
        self.stop_row.hide()
        foot = QHBoxLayout()
        foot.addWidget(self.build_button)
        foot.addStretch(1)
        inner = Content()
        layout = QVBoxLayout(inner)
        layout.setContentsMargins(10, 8, 10, 8)
        layout.setSpacing(6)
        layout.addWidget(self.help)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.figures)
        layout.addWidget(self.fpr)
        layout.addWidget(self.note)
        layout.addLayout(foot)
        layout.addWidget(self.stop_row)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(Scroll(inner, "Detectors"))
        self.setMinimumHeight(140)

    def show_readings(self, document: Document) -> None:
        entry, facts = document.current, document.reference
        run = document.run if entry is not None and document.run and document.run.key == entry.key else None
        readings = {} if entry is None else dict(entry.readings)
        if run is not None:
            readings.pop(ADVERSARIAL, None)
            if run.last is not None and run.last.reading is not None:
                readings[ADVERSARIAL] = run.last.reading
        stale = run is None and entry is not None and document.stale(entry)
        for side, cells in self.cells.items():
            reading = readings.get(side)
            if reading is None:
                words = ("–", "–", "–")
                set_role(cells[2], "muted")
            else:
                verdict = "flagged" if reading.flagged else "passes"
                words = (format_figures(reading.score), f"{reading.percentile:.0f} %", verdict)
                set_role(cells[2], "danger" if reading.flagged else "good")
            for cell, word in zip(cells, words, strict=True):
                cell.setText(word)
        # Without a reference there is nothing to read and no rate to choose: what remains says how to get one.
        absent = facts is not None and not facts.clean_scores
        self.figures.setVisible(not absent)
        self.fpr.setVisible(not absent)
        scores = {side: readings[side].score if side in readings else None for side in SIDES}
        if facts is None or not facts.clean_scores:
            self.plot.set_empty_text(self._absent(document))
            self.plot.set_reading(None, None)
        else:
            rate = f"{format_number(100 * document.fpr, 1).removesuffix('.0')} % FPR"
            self.plot.set_reading(facts.clean_scores, facts.threshold, scores[ORIGINAL], scores[ADVERSARIAL], rate)
        self.plot.set_stale(stale)
        self._say(document, readings)

    def _say(self, document: Document, readings: dict) -> None:
        facts = document.reference
        reading = readings.get(ADVERSARIAL) or readings.get(ORIGINAL)
        if facts is None:
            words, role = "", "muted"
        elif not facts.clean_scores:
            how = "Build one from a folder of clean music of the kind you attack."
            words, role = f"{facts.trouble} {how}", "muted"
        elif facts.trouble:
            words, role = facts.trouble, "warning"
        else:
            words = f"{facts.size} clean clips, layer {facts.layer}." + (f" {reading.note}" if reading else "")
            role = "muted"
        self.note.setText(words)
        self.note.setVisible(bool(words))
        set_role(self.note, role)
        self.build_button.setEnabled(document.model is not None)

    @staticmethod
    def _absent(document: Document) -> str:
        if document.model is None:
            return "The detector's reading appears here"
        if document.reference is None:
            return "Looking for the clean reference …"
        return "No clean reference yet"

    def show_fpr(self, document: Document) -> None:
        self.fpr.set_value(100.0 * document.fpr)

    def show_building(self, sentence: str, fraction: float | None) -> None:
        """A reference is being built; "" when that is over."""
        self.stop_row.setVisible(bool(sentence))
        self.build_button.setVisible(not sentence)
        self.progress.setRange(0, 0 if fraction is None else 1000)
        self.progress.setValue(round(1000 * (fraction or 0.0)))
        self.progress_words.setText(sentence)
        self.stop_row.setToolTip(sentence)
