"""Is this figure to be believed? Every check of a model, what it found, and the evidence for it."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDoubleSpinBox,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QSpinBox,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from mirguard.checks.catalogue import CHECKS
from mirguard.checks.finding import FAIL, NOT_APPLICABLE, PASS, WARN, Finding
from mirguard.workbench.document import Document
from mirguard.workbench.panels.parts import Elided, combo, label, named, push_button, set_primary, set_role
from mirguard.workbench.theme import bind_icon, colours, notifier, pixmap
from mirguard.workbench.views.text_table import TextTable

RUN_HELP = "Check whether what attacks say of this model's robustness is to be believed"
NOT_YET = "Not checked yet."
WORDS = {PASS: "passed", WARN: "to be looked at", FAIL: "failed", NOT_APPLICABLE: "not applicable"}
SIGNS = {PASS: ("check", "good"), WARN: ("warning", "warning"), FAIL: ("cancel", "danger")}
ROW = 26  # pixels
BADLY_FIRST = (FAIL, WARN, PASS, NOT_APPLICABLE)


class ChecksPanel(QWidget):
    """Shows each finding as it comes; asks for a check of the model in use, and for a running one to stop."""

    run_wanted = Signal(dict)  # snr_db, count, own
    cancel_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.snr = QDoubleSpinBox()
        self.snr.setRange(-20, 120)
        self.snr.setDecimals(0)
        self.snr.setValue(30)
        self.snr.setPrefix("SNR ")
        self.snr.setSuffix(" dB")
        named(self.snr, "SNR", "The budget whose figure is judged")
        self.count = QSpinBox()
        self.count.setRange(1, 2000)
        self.count.setValue(32)
        named(self.count, "Number of windows", "So many windows are attacked; with fewer than 30 little is proven")
        self.source = combo("Sounds to check with", "What is attacked", 10)
        for words, own, about in (
            ("fresh sounds", False, "Synthetic sounds where the model knows them, else the demonstration clip"),
            ("open clips", True, "Windows of the clips in the list; what the model hears in them counts as right"),
        ):
            self.source.addItem(words, own)
            self.source.setItemData(self.source.count() - 1, about, Qt.ItemDataRole.ToolTipRole)
        for field in (self.snr, self.count):
            field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.run_button = push_button("Run", "run", RUN_HELP, primary=True)
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(6)
        named(self.progress, "Progress of the checks")
        stays = self.progress.sizePolicy()
        stays.setRetainSizeWhenHidden(True)
        self.progress.setSizePolicy(stays)
        self.progress.hide()
        self.state = Elided()
        set_role(self.state, "muted")
        named(self.state, "State of the checks")
        self.list = QListWidget()
        named(self.list, "Checks", "What is asked, and what was found")
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setIconSize(QSize(16, 16))
        self.list.setUniformItemSizes(True)
        # The sheet's padding counts for chosen rows only, which would then jump.
        self.list.setStyleSheet("QListView::item { padding: 0px 4px; border: none; }")
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for check in CHECKS:
            item = QListWidgetItem(f"{check.id}  {check.title}")
            item.setToolTip(check.asks)
            item.setSizeHint(QSize(0, ROW))
            self.list.addItem(item)
        self.title, self.asks = label("", "heading", wrap=True), label("", "muted", wrap=True)
        self.sentence = label("", wrap=True)
        named(self.sentence, "What was found")
        self.sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.evidence = TextTable("Evidence")
        detail = QWidget()
        inside = QVBoxLayout(detail)
        inside.setContentsMargins(8, 0, 0, 0)
        inside.setSpacing(6)
        for part in (self.title, self.asks, self.sentence):
            inside.addWidget(part)
        inside.addWidget(self.evidence, 1)
        inside.addStretch(0)
        self.split = QSplitter(Qt.Orientation.Horizontal)
        self.split.setChildrenCollapsible(False)
        self.split.addWidget(self.list)
        self.split.addWidget(detail)
        self.split.setStretchFactor(0, 1)
        self.split.setStretchFactor(1, 2)
        self.split.setSizes([220, 400])
        row = QHBoxLayout()
        row.setSpacing(6)
        for part in (self.snr, self.count, label("windows of"), self.source):
            row.addWidget(part)
        row.addStretch(1)
        row.addWidget(self.run_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 10, 10, 8)
        layout.setSpacing(8)
        layout.addLayout(row)
        layout.addWidget(self.progress)
        layout.addWidget(self.split, 1)
        layout.addWidget(self.state)
        self._fields = (self.snr, self.count, self.source)
        self._running, self._there, self._about = False, False, ""
        self.findings: dict[str, Finding] = {}
        self.run_button.clicked.connect(self._press)
        self.list.currentRowChanged.connect(self._show_detail)
        notifier().changed.connect(self.restyle)
        self.list.setCurrentRow(0)
        self._enable()

    def show_model(self, document: Document) -> None:
        """Whether there is a model to check."""
        self._there = document.model is not None
        self._enable()

    def begin(self, title: str, snr_db: float, count: int) -> None:
        """Forget what was found before."""
        self.findings = {}
        self._about = f"{title} at {snr_db:g} dB, {count} windows"
        self.restyle()
        self._show_detail()

    def show_progress(self, words: str, fraction: float | None) -> None:
        """How far it is; no words when it is over."""
        self._running = bool(words)
        self.progress.setVisible(self._running)
        self.progress.setValue(round(1000 * (fraction or 0.0)))
        for field in self._fields:
            field.setEnabled(not self._running)
        if self.run_button.text() != (text := "Cancel" if self._running else "Run"):
            self.run_button.setText(text)
            bind_icon(self.run_button, text.lower(), "text" if self._running else "accent_text")
            self.run_button.setToolTip("Stop; what was found until now stays" if self._running else RUN_HELP)
            set_primary(self.run_button, not self._running)
        self.state.setText(words or self._summary())
        self._enable()

    def add(self, finding: Finding) -> None:
        """One more finding; the first that fails comes into sight by itself."""
        first = finding.verdict == FAIL and not any(one.verdict == FAIL for one in self.findings.values())
        self.findings[finding.id] = finding
        self._paint(finding.id)
        if first and not self.list.hasFocus():
            self.list.setCurrentRow(_row(finding.id))
        self._show_detail()

    def restyle(self) -> None:
        """All rows in the colours of the theme."""
        for check in CHECKS:
            self._paint(check.id)
        self._show_detail()

    def _paint(self, number: str) -> None:
        item, found = self.list.item(_row(number)), self.findings.get(number)
        sign = SIGNS.get(found.verdict) if found else None
        item.setIcon(_sign(*sign) if sign else _sign("help" if found is None else "dash", "muted"))
        role = sign[1] if sign and found.verdict != PASS else "text" if sign else "muted"
        item.setForeground(QColor(getattr(colours(), role)))
        said = f"{WORDS[found.verdict]}. {found.sentence}" if found else NOT_YET
        item.setData(Qt.ItemDataRole.AccessibleDescriptionRole, said)

    def _show_detail(self, *_row: int) -> None:
        place = max(0, self.list.currentRow())
        check = CHECKS[place]
        found = self.findings.get(check.id)
        self.title.setText(f"{check.id}  {check.title}")
        self.asks.setText(check.asks)
        self.sentence.setText(found.sentence if found else NOT_YET)
        sign = SIGNS.get(found.verdict) if found else None
        set_role(self.sentence, sign[1] if sign else "muted")
        shown = found is not None and bool(found.evidence.rows)
        self.evidence.setVisible(shown)
        if shown:
            self.evidence.set_texts(found.evidence.columns, found.evidence.rows)

    def _summary(self) -> str:
        if not self.findings:
            return "" if self._there else "No model yet"
        verdicts = [found.verdict for found in self.findings.values()]
        counts = [f"{verdicts.count(one)} {WORDS[one]}" for one in BADLY_FIRST if one in verdicts]
        missing = len(CHECKS) - len(verdicts)
        if missing:
            counts.append(f"{missing} not checked")
        return f"{self._about}: {', '.join(counts)}"

    def _enable(self) -> None:
        self.run_button.setEnabled(self._running or self._there)
        if not self._running:
            self.state.setText(self._summary())

    def _press(self) -> None:
        if self._running:
            self.cancel_wanted.emit()
            return
        self.run_wanted.emit(
            {"snr_db": self.snr.value(), "count": self.count.value(), "own": self.source.currentData()}
        )


def _sign(name: str, role: str) -> QIcon:
    """The icon in the colour of a role, and readable in a chosen row."""
    made = QIcon()
    for size in (16, 32):
        made.addPixmap(pixmap(name, size, getattr(colours(), role)), QIcon.Mode.Normal)
        made.addPixmap(pixmap(name, size, colours().accent_text), QIcon.Mode.Selected)
    return made


def _row(number: str) -> int:
    return next(place for place, check in enumerate(CHECKS) if check.id == number)
