"""Would detectors have caught it? Where original and adversarial stand among clean music, thresholds, verdicts."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QBrush, QColor, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QProgressBar,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from mirguard.detectors.catalogue import find_detector
from mirguard.detectors.detector import FPR
from mirguard.detectors.reading import Reading
from mirguard.detectors.verdict import joint
from mirguard.workbench.document import Document
from mirguard.workbench.facts import ADVERSARIAL, MAIN, ORIGINAL, DetectorFacts
from mirguard.workbench.panels.parts import Content, Elided, Scroll, label, named, push_button, set_role, tool_button
from mirguard.workbench.theme import colours, notifier
from mirguard.workbench.views.formats import format_figures, format_number
from mirguard.workbench.views.level_slider import LevelSlider
from mirguard.workbench.views.score_plot import ScorePlot
from mirguard.workbench.views.strip_delegate import MARKS, PlainDelegate, StripDelegate

SIDES = (ORIGINAL, ADVERSARIAL)
NAME, STRIP, VERDICT = range(3)
ROWS_SHOWN = 6
LEAST_STRIP = 64  # pixels
Readings = Mapping[str, Mapping[str, Reading]]  # by side, by detector


class DetectorsPanel(QWidget):
    """Asks for another false-positive rate, for detectors to be fitted, and for their ROC curves."""

    fpr_chosen = Signal(float)
    reference_wanted = Signal()
    figures_wanted = Signal(str)  # with the detector that is looked at first
    cancel_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._chosen = MAIN
        self._known: tuple[DetectorFacts, ...] = ()
        self.verdict = label("", wrap=True)
        named(self.verdict, "Verdict of all detectors together")
        self.table = self._table()
        self.help = label("", "muted", wrap=True)
        self.plot = ScorePlot()
        self.fpr = LevelSlider(
            FPR.title, 0.5, 50.0, 5.0, scale="log", unit="%", about=f"{FPR.help} Counted in clips.", figures=2
        )
        self.fpr.committed.connect(lambda value: self.fpr_chosen.emit(value / 100.0))
        self.note = label("", "muted", wrap=True)
        self.build_button = push_button("Fit detectors …", "folder", "Fit the detectors on a folder of clean music")
        self.build_button.clicked.connect(self.reference_wanted)
        self.figures_button = push_button(
            "ROC …", "detector", "How good the detectors are: ROC curves against attacks, also such as evade them"
        )
        self.figures_button.clicked.connect(lambda: self.figures_wanted.emit(self._chosen))
        self.stop_row = self._progress_row()
        foot = QHBoxLayout()
        foot.setSpacing(8)
        foot.addWidget(self.build_button)
        foot.addWidget(self.figures_button)
        foot.addStretch(1)
        inner = Content()
        layout = QVBoxLayout(inner)
        layout.setContentsMargins(10, 8, 10, 8)
        layout.setSpacing(6)
        for widget, stretch in (
            (self.verdict, 0),
            (self.table, 2),
            (self.fpr, 0),
            (self.plot, 3),
            (self.help, 0),
            (self.note, 0),
        ):
            layout.addWidget(widget, stretch)
        layout.addLayout(foot)
        layout.addWidget(self.stop_row)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(Scroll(inner, "Detectors"))
        self.setMinimumHeight(140)

    def _table(self) -> QTreeWidget:
        table = _Table()
        named(
            table,
            "Detectors",
            "Where original and adversarial stand among clean clips; choose one to see its scores, double-click it for its ROC",
        )
        table.setColumnCount(3)
        table.setHeaderLabels(["Detector", "Rank", "Verdict"])
        table.headerItem().setToolTip(STRIP, "Where original and adversarial stand among clean clips; red is flagged")
        table.setRootIsDecorated(False)
        table.setUniformRowHeights(True)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        table.setTextElideMode(Qt.TextElideMode.ElideRight)
        header = table.header()
        header.setStretchLastSection(False)
        header.setSectionsMovable(False)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(STRIP, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(VERDICT, QHeaderView.ResizeMode.ResizeToContents)
        header.setMinimumSectionSize(LEAST_STRIP)
        table.setItemDelegate(PlainDelegate(table))
        table.setItemDelegateForColumn(STRIP, StripDelegate(table))
        table.currentItemChanged.connect(self._choose)
        table.itemActivated.connect(lambda _item: self.figures_wanted.emit(self._chosen))  # double click, or Enter
        notifier().changed.connect(table.viewport().update)
        return table

    def _progress_row(self) -> QWidget:
        self.progress = QProgressBar()
        named(self.progress, "Progress of fitting the detectors")
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(6)
        self.progress_words = Elided()
        self.progress_words.setProperty("role", "muted")
        self.stop_button = tool_button("cancel", "Stop fitting the detectors")
        self.stop_button.clicked.connect(self.cancel_wanted)
        whole = QWidget()
        row = QHBoxLayout(whole)
        row.setContentsMargins(0, 0, 0, 0)
        how_far = QVBoxLayout()
        how_far.setSpacing(4)
        how_far.addWidget(self.progress_words)
        how_far.addWidget(self.progress)
        row.addLayout(how_far, 1)
        row.addWidget(self.stop_button)
        whole.hide()
        return whole

    # -- What is on show -----------------------------------------------------------------------------------------------

    def show_readings(self, document: Document) -> None:
        self._document = document
        entry, facts = document.current, document.reference
        run = document.run if entry is not None and document.run and document.run.key == entry.key else None
        found = {} if entry is None else dict(entry.readings)
        if run is not None:
            found.pop(ADVERSARIAL, None)
            if run.last is not None and run.last.readings:
                found[ADVERSARIAL] = run.last.readings
        readings = {side: {one.detector: one for one in given} for side, given in found.items()}
        detectors = () if facts is None else facts.detectors
        # Without a detector there is nothing to read and no rate to choose: what remains says how to get one.
        for widget in (self.table, self.fpr, self.help, self.figures_button):
            widget.setVisible(bool(detectors))
        self._show_rows(detectors, readings)
        self._show_verdict(document, readings)
        self._show_chosen(document, readings)
        self.plot.set_stale(run is None and entry is not None and document.stale(entry))
        self.build_button.setEnabled(document.model is not None)

    def _show_rows(self, detectors: tuple[DetectorFacts, ...], readings: Readings) -> None:
        if tuple(one.name for one in detectors) != tuple(one.name for one in self._known):
            self.table.blockSignals(True)
            self.table.clear()
            for one in detectors:
                about = find_detector(one.name)
                item = QTreeWidgetItem([about.title, "", ""])
                item.setData(NAME, Qt.ItemDataRole.UserRole, one.name)
                for column in range(3):
                    item.setToolTip(column, f"{about.title}\n{about.help}\n{about.reference}")
                self.table.addTopLevelItem(item)
            if not any(one.name == self._chosen for one in detectors) and detectors:
                self._chosen = detectors[0].name
            self.table.blockSignals(False)
            height = (
                self.table.sizeHintForRow(0) * min(len(detectors), ROWS_SHOWN) + self.table.header().sizeHint().height()
            )
            self.table.setMinimumHeight(height + 4 if detectors else 0)
        self._known = detectors
        for row, one in enumerate(detectors):
            self._show_row(
                self.table.topLevelItem(row), one, {side: found.get(one.name) for side, found in readings.items()}
            )
        self.table.fit()

    def _show_row(self, item: QTreeWidgetItem, facts: DetectorFacts, by_side: Mapping[str, Reading | None]) -> None:
        original, adversarial = (by_side.get(side) for side in SIDES)
        percents = [None if one is None else one.percentile for one in (original, adversarial)]
        passes = None
        if facts.threshold is not None:
            passes = 100.0 * sum(score <= facts.threshold for score in facts.clean_scores) / len(facts.clean_scores)
        item.setData(STRIP, MARKS, (*percents, passes))
        words = [
            f"{side} {one.percentile:.0f} %"
            for side, one in by_side.items()
            if one is not None and one.score is not None
        ]
        item.setData(STRIP, Qt.ItemDataRole.AccessibleTextRole, ", ".join(words) or "no reading")
        shown = adversarial or original
        word, role = ("too few clips", "muted") if facts.trouble else _word(shown, facts)
        item.setText(VERDICT, word)
        item.setForeground(VERDICT, QBrush(QColor(getattr(colours(), role))))
        if facts.name == self._chosen and self.table.currentItem() is not item:
            self.table.blockSignals(True)
            self.table.setCurrentItem(item)
            self.table.blockSignals(False)

    def _show_verdict(self, document: Document, readings: Readings) -> None:
        side = ADVERSARIAL if readings.get(ADVERSARIAL) else ORIGINAL
        found = joint(list(readings.get(side, {}).values()), document.fpr)
        self.verdict.setVisible(found is not None)
        if found is not None:
            titles = ", ".join(find_detector(name).title for name in found.by)
            who = f"Together: {side}" if len(readings[side]) > 1 else side.capitalize()
            self.verdict.setText(f"{who} {f'flagged by {titles}' if found.flagged else 'not flagged'}")
            self.verdict.setToolTip(found.sentence)
            set_role(self.verdict, "danger" if found.flagged else "good")

    def _show_chosen(self, document: Document, readings: Readings) -> None:
        facts = next((one for one in self._known if one.name == self._chosen), None)
        by_side = {side: readings.get(side, {}).get(self._chosen) for side in SIDES}
        if facts is None:
            self.plot.set_empty_text(self._absent(document))
            self.plot.set_reading(None, None)
            absent = document.reference.absent if document.reference is not None else ""
            how = "Fit them on a folder of clean music of the kind you attack."
            self._say(f"{absent} {how}" if absent else "", "muted")
            return
        about = find_detector(facts.name)
        self.help.setText(f"{about.title}: {about.help}")
        self.help.setToolTip(about.reference)
        rate = f"{format_number(100 * document.fpr, 1).removesuffix('.0')} % FPR"
        scores = {side: None if one is None else one.score for side, one in by_side.items()}
        self.plot.set_reading(facts.clean_scores, facts.threshold, scores[ORIGINAL], scores[ADVERSARIAL], rate)
        if facts.trouble:
            self._say(facts.trouble, "warning")
            return
        shown = by_side[ADVERSARIAL] or by_side[ORIGINAL]
        figures = [
            f"{side} {format_figures(one.score)} ({one.percentile:.0f} %)"
            for side, one in by_side.items()
            if one is not None and one.score is not None
        ]
        layers = ", ".join(facts.layers)
        words = f"Score: {', '.join(figures)}. " if figures else ""
        words += f"{facts.size} clean clips, {layers}." + (f" {shown.note}" if shown is not None and shown.note else "")
        self._say(words, "muted")

    def _say(self, words: str, role: str) -> None:
        self.note.setText(words)
        self.note.setVisible(bool(words))
        set_role(self.note, role)

    @staticmethod
    def _absent(document: Document) -> str:
        if document.model is None:
            return "The detectors' readings appear here"
        if document.reference is None:
            return "Looking for fitted detectors …"
        return "No detector is fitted yet"

    def _choose(self, item: QTreeWidgetItem | None) -> None:
        if item is not None:
            self._chosen = item.data(NAME, Qt.ItemDataRole.UserRole)
            self.show_readings(self._document)

    def show_fpr(self, document: Document) -> None:
        self.fpr.set_value(100.0 * document.fpr)

    def show_building(self, sentence: str, fraction: float | None) -> None:
        """Detectors are being fitted; "" when that is over."""
        self.stop_row.setVisible(bool(sentence))
        for button in (self.build_button, self.figures_button):
            button.setVisible(not sentence and (button is self.build_button or bool(self._known)))
        self.progress.setRange(0, 0 if fraction is None else 1000)
        self.progress.setValue(round(1000 * (fraction or 0.0)))
        self.progress_words.setText(sentence)
        self.stop_row.setToolTip(sentence)


class _Table(QTreeWidget):
    """Names give way where there is little room, so that the verdict is always to be read."""

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.fit()

    def fit(self) -> None:
        """Names as wide as they are, if that leaves room for the strip and the verdicts."""
        verdict = max(self.sizeHintForColumn(VERDICT), self.header().sectionSizeHint(VERDICT), LEAST_STRIP)
        room = self.viewport().width() - LEAST_STRIP - verdict
        self.setColumnWidth(NAME, max(LEAST_STRIP, min(self.sizeHintForColumn(NAME), room)))


def _word(reading: Reading | None, facts: DetectorFacts) -> tuple[str, str]:
    """The verdict in a word, and the colour of it."""
    if reading is None:
        return ("when idle …" if facts.slow else "–"), "muted"
    if reading.flagged is None:
        return "cannot tell", "muted"
    return ("flagged", "danger") if reading.flagged else ("passes", "good")
