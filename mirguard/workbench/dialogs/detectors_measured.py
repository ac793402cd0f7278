"""How good are the detectors? A report of static and adaptive figures, and the ROC curves of each detector."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QCheckBox,
    QDialog,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QProgressBar,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from mirguard.workbench.control.measuring import Measuring
from mirguard.workbench.detector_figures import ABOUT, COLUMNS, as_csv, as_text, curves, headline, of_sets, row
from mirguard.workbench.dialogs.detectors_wish import WishForm
from mirguard.workbench.document import Document
from mirguard.workbench.panels.parts import keyboard_only, label, named, push_button, set_primary, set_role
from mirguard.workbench.settings import Settings
from mirguard.workbench.theme import bind_icon
from mirguard.workbench.views.label_curves import Key
from mirguard.workbench.views.roc_plot import ADAPTIVE, STATIC, RocPlot
from mirguard.workbench.views.strip_delegate import PlainDelegate

NAMES = {STATIC: "attack that knows nothing of it", ADAPTIVE: "attack that evades it"}
INTRODUCTION = (
    "A figure counts only on clips that no detector was fitted on, and only beside that of an attack that sets out to "
    "evade."
)
FRAME = QSize(8, 44)  # what a window manager puts around


class DetectorsMeasuredDialog(QDialog):
    """Beside the window; one at a time."""

    def __init__(
        self,
        measuring: Measuring,
        document: Document,
        settings: Settings,
        chosen: str = "",
        parent: QWidget | None = None,
    ) -> None:
        """`chosen` is the detector whose curves are shown first."""
        super().__init__(parent)
        self.setWindowTitle("How good are the detectors?")
        self._measuring, self._chosen, self._running = measuring, chosen, False
        self._model = "" if document.model is None else document.model.name
        self.form = WishForm(document, settings)
        self.form.changed.connect(self._enable)
        self.run_button = push_button("Run", "run", "Attack the clips and read every detector", primary=True)
        self.run_button.clicked.connect(self._press)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(6)
        named(self.progress, "Progress of the report")
        stays = self.progress.sizePolicy()
        stays.setRetainSizeWhenHidden(True)
        self.progress.setSizePolicy(stays)
        self.progress.hide()
        self.state = label(INTRODUCTION, "muted", wrap=True)
        named(self.state, "State of the report")
        self.table = self._table()
        self.sets = label("", "muted", wrap=True)
        named(self.sets, "Tests of sets")
        self.sets.hide()
        self.plot = RocPlot()
        self.plot.set_empty_text("The ROC curves of the chosen detector appear here")
        self.key = Key()
        self.log = QCheckBox("Logarithmic false-positive rate")
        named(self.log, "Logarithmic false-positive rate", "Spread out the low rates, which matter in use")
        keyboard_only(self.log)
        self.log.toggled.connect(self.plot.show_log)
        self.text_button = push_button("Copy as text", "", "The table as aligned text")
        self.csv_button = push_button("Copy as CSV", "", "The figures for a spreadsheet")
        self.text_button.clicked.connect(lambda: self._copy(as_text))
        self.csv_button.clicked.connect(lambda: self._copy(as_csv))
        self.close_button = push_button("Close")
        self.close_button.clicked.connect(self.reject)
        for button in (self.run_button, self.text_button, self.csv_button, self.close_button):
            button.setAutoDefault(False)
        self._arrange()
        measuring.progressed.connect(self.show_progress)
        measuring.measured.connect(self.show_report)
        measuring.failed.connect(lambda sentence: self._say(sentence, "danger"))
        measuring.cancelled.connect(lambda: self._say("Cancelled; nothing was kept.", "muted"))
        self.report = None
        if measuring.report is not None and measuring.report.model == self._model:
            self.show_report(measuring.report)
        self._enable()
        self.resize(self.sizeHint().boundedTo(self.screen().availableSize() - FRAME))

    def sizeHint(self) -> QSize:
        return QSize(1180, 660)

    def _table(self) -> QTreeWidget:
        table = QTreeWidget()
        named(table, "Figures of the detectors", "Static and adaptive side by side; choose a row to see its curves")
        table.setColumnCount(len(COLUMNS))
        table.setHeaderLabels(list(COLUMNS))
        for column, about in enumerate(ABOUT):
            table.headerItem().setToolTip(column, about)
        table.setRootIsDecorated(False)
        table.setUniformRowHeights(True)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setItemDelegate(PlainDelegate(table))
        table.setTextElideMode(Qt.TextElideMode.ElideRight)
        table.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        table.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        table.header().setMinimumSectionSize(50)
        table.header().setStretchLastSection(False)
        table.header().setSectionsMovable(False)
        table.currentItemChanged.connect(self._choose)
        return table

    def _arrange(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(16)
        top.addWidget(self.form, 1)
        top.addWidget(self.run_button, 0, Qt.AlignmentFlag.AlignTop)
        right = QVBoxLayout()
        right.setSpacing(6)
        right.addWidget(self.plot, 1)
        right.addWidget(self.key)
        right.addWidget(self.log)
        middle = QHBoxLayout()
        middle.setSpacing(14)
        left = QVBoxLayout()
        left.setSpacing(6)
        left.addWidget(self.table, 1)
        left.addWidget(self.sets)
        middle.addLayout(left, 5)
        middle.addLayout(right, 2)
        rule = QFrame()
        rule.setFrameShape(QFrame.Shape.HLine)
        rule.setProperty("rule", True)
        foot = QHBoxLayout()
        foot.setSpacing(8)
        foot.addWidget(self.text_button)
        foot.addWidget(self.csv_button)
        foot.addStretch(1)
        foot.addWidget(self.close_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(18, 16, 18, 14)
        layout.setSpacing(10)
        layout.addLayout(top)
        layout.addWidget(self.state)
        layout.addWidget(self.progress)
        layout.addLayout(middle, 1)
        layout.addWidget(rule)
        layout.addLayout(foot)

    # --- what is shown ---

    def choose(self, detector: str) -> None:
        """The curves of that detector."""
        self._chosen = detector
        for place in range(self.table.topLevelItemCount()):
            item = self.table.topLevelItem(place)
            if item.data(0, Qt.ItemDataRole.UserRole) == detector:
                self.table.setCurrentItem(item)

    def show_progress(self, words: str, fraction: float | None) -> None:
        """How far it is; no words when it is over."""
        self._running = bool(words)
        self.progress.setVisible(self._running)
        self.progress.setRange(0, 0 if fraction is None else 1000)
        self.progress.setValue(round(1000 * (fraction or 0.0)))
        if words:
            self._say(words, "muted")
        self._enable()

    def show_report(self, report) -> None:
        """The table of all detectors, and the curves of the chosen one."""
        self.report = report
        self._say(headline(report), "muted")
        names = [figure.detector for figure in report.figures]
        wanted = self._chosen if self._chosen in names else next(iter(names), "")
        self.sets.setText(of_sets(report))
        self.sets.setVisible(bool(report.sets))
        self.plot.show_curves({})
        self.key.set_names(())
        self.table.blockSignals(True)
        self.table.clear()
        for figure in report.figures:
            item = QTreeWidgetItem(list(row(report, figure)))
            item.setData(0, Qt.ItemDataRole.UserRole, figure.detector)
            item.setToolTip(0, item.text(0))
            self.table.addTopLevelItem(item)
        self.table.blockSignals(False)
        self.choose(wanted)
        self._enable()

    def _choose(self, item: QTreeWidgetItem | None) -> None:
        if item is None or self.report is None:
            return
        self._chosen = item.data(0, Qt.ItemDataRole.UserRole)
        figure = next(one for one in self.report.figures if one.detector == self._chosen)
        drawn = curves(self.report, figure)
        self.plot.set_empty_text("No attack fooled the model: there is nothing to catch")
        self.plot.show_curves(drawn)
        self.key.set_names([NAMES[name] for name in drawn])

    def _say(self, sentence: str, role: str) -> None:
        self.state.setText(sentence)
        set_role(self.state, role)

    def _enable(self) -> None:
        self.form.setEnabled(not self._running)
        text = "Cancel" if self._running else "Run"
        if self.run_button.text() != text:
            self.run_button.setText(text)
            self.run_button.setAccessibleName(text)
            bind_icon(self.run_button, text.lower(), "text" if self._running else "accent_text")
            set_primary(self.run_button, not self._running)
        self.run_button.setEnabled(self._running or self.form.possible)
        for button in (self.text_button, self.csv_button):
            button.setEnabled(self.report is not None)

    # --- what the person does ---

    def _press(self) -> None:
        if self._running:
            self._measuring.cancel()
        else:
            self._measuring.run(self.form.wish())

    def _copy(self, written: Callable) -> None:
        QApplication.clipboard().setText(written(self.report))

    def reject(self) -> None:
        """Esc: a running report stops; without one the dialog closes."""
        if self._running:
            self._measuring.cancel()
        else:
            super().reject()

    def closeEvent(self, event: QCloseEvent) -> None:
        self._measuring.cancel()
        super().closeEvent(event)
