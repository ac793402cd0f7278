"""The first page of a new classifier: which sounds, and what was found there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QDragEnterEvent, QDropEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QMenu, QPlainTextEdit, QProgressBar, QStackedWidget, QVBoxLayout, QWidget

from mirguard.words import counted
from mirguard.workbench.control.learning import Course
from mirguard.workbench.dialogs.notices import Notices
from mirguard.workbench.panels.parts import (
    Elided,
    combo,
    label,
    named,
    push_button,
    silently,
)
from mirguard.workbench.theme import colours, notifier, pixmap
from mirguard.workbench.views.count_table import CountTable

COLLECTIONS = "GTZAN and other collections of the field, where they lie on this machine"
# As datasets.folder's `group_by` has them, in words.
GROUPINGS = {
    "auto": "as the data says",
    "file": "each file by itself",
    "folder": "files of one sub-folder",
    "artist": "files of one artist (Artist - Title)",
    "excerpt": "excerpts of one track (name 01, name 02)",
}


class DataPage(QWidget):
    """Asks for a folder or a table, and shows classes, counts and what was left out."""

    folder_wanted = Signal()
    table_wanted = Signal()
    dropped = Signal(object)  # Path
    grouping_chosen = Signal(str)
    known_wanted = Signal(str)

    def __init__(self, known: Sequence[Any] = (), parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.zone = DropZone()
        self._known = tuple(known)
        self.zone.folder_button.clicked.connect(self.folder_wanted)
        self.zone.table_button.clicked.connect(self.table_wanted)

        self.source = Elided()
        named(self.source, "Where the sounds are")
        self.other_folder = push_button("Other folder …", "folder", "Choose another folder")
        self.other_table = push_button("Other table …", "open", "Choose another CSV file")
        self.other_folder.clicked.connect(self.folder_wanted)
        self.other_table.clicked.connect(self.table_wanted)
        top = QHBoxLayout()
        top.setSpacing(8)
        top.addWidget(self.source, 1)
        top.addWidget(self.other_folder)
        top.addWidget(self.other_table)
        self.other_known = push_button("Collection", "clip", COLLECTIONS)
        top.addWidget(self.other_known)
        for button in (self.zone.known_button, self.other_known):
            button.setMenu(self._collections(button))
            button.setProperty("menu", True)
            button.setVisible(bool(known))

        self.headline = label("", "heading", wrap=True)
        self.grouping = label("", "muted", wrap=True)
        self.group_by = combo(
            "What stays together", "Clips that stay together are never torn between training and test", 26
        )
        for name, words in GROUPINGS.items():
            self.group_by.addItem(words, name)
        self.group_by.activated.connect(lambda: self.grouping_chosen.emit(self.group_by.currentData()))
        together = label("Stays together")
        together.setBuddy(self.group_by)
        self.group_row = QWidget()
        group_row = QHBoxLayout(self.group_row)
        group_row.setContentsMargins(0, 0, 0, 0)
        group_row.setSpacing(10)
        group_row.addWidget(together)
        group_row.addWidget(self.group_by)
        group_row.addWidget(self.grouping, 1)
        self.progress = QProgressBar()
        named(self.progress, "Progress of reading")
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(6)
        self.doing = Elided()
        self.doing.setProperty("role", "muted")
        named(self.doing, "What is being done")
        self.table = CountTable("Classes", ("Class", "Clips", "Tracks"))
        self.notices = Notices()
        self.skipped_words = label("", "heading")
        self.skipped = QPlainTextEdit()
        self.skipped.setReadOnly(True)
        self.skipped.setTabChangesFocus(True)
        named(self.skipped, "Files left out", "Each file that was left out, and why")
        found = QWidget()
        left, right = QVBoxLayout(), QVBoxLayout()
        left.addWidget(self.table)
        right.setSpacing(8)
        right.addWidget(self.notices, 1)
        right.addWidget(self.skipped_words)
        right.addWidget(self.skipped, 1)
        columns = QHBoxLayout()
        columns.setSpacing(18)
        columns.addLayout(left, 5)
        columns.addLayout(right, 4)
        layout = QVBoxLayout(found)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(top)
        layout.addWidget(self.headline)
        layout.addWidget(self.group_row)
        layout.addLayout(columns, 1)
        layout.addWidget(self.doing)
        layout.addWidget(self.progress)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.zone)
        self.pages.addWidget(found)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.pages)
        self.setAcceptDrops(True)

    def show_course(self, course: Course) -> None:
        without = course.source is None or bool(course.trouble)
        self.pages.setCurrentIndex(0 if without else 1)
        self.zone.trouble.setText(course.trouble)
        self.zone.trouble.setVisible(bool(course.trouble))
        if without:
            return
        self.source.setText(str(course.source))
        self.source.setToolTip(str(course.source))
        self.show_progress(course)
        found = course.found
        self.table.setVisible(found is not None)
        self.group_row.setVisible(not course.reading and not course.known)
        silently(self.group_by, self.group_by.setCurrentIndex, self.group_by.findData(course.group_by))
        if found is None:
            self.headline.setText("Reading …" if course.reading else "Reading was stopped.")
            self.grouping.setText("")
            self.notices.set_sentences([])
            self.skipped_words.hide()
            self.skipped.hide()
            return
        kind = {"given": "group"}.get(found.grouped_by, found.grouped_by)
        alone = len(found.groups()) == len(found.items)
        groups = {(item.label, item.group) for item in found.items}
        self.headline.setText(
            f"{found.name}: {counted(len(found.labels), 'class')}, {counted(len(found.items), 'clip')}"
            + ("" if alone else f" of {counted(len(found.groups()), kind)}")
        )
        self.grouping.setText(
            "Each file counts for itself." if alone else f"No {kind} is torn between training and test."
        )
        self.table.setHorizontalHeaderItem(2, _renamed(self.table.horizontalHeaderItem(2), f"{kind.capitalize()}s"))
        clips, per_label = Counter(item.label for item in found.items), Counter(name for name, _ in groups)
        self.table.set_rows([(name, (clips[name], per_label[name])) for name in found.labels])
        clean = course.leakage.sentences[0] if course.clean else "Nothing to complain of so far."
        self.notices.set_sentences(course.warnings(), clean)
        self.skipped_words.setVisible(bool(found.skipped))
        self.skipped.setVisible(bool(found.skipped))
        self.skipped_words.setText(f"{counted(len(found.skipped), 'file')} left out")
        self.skipped.setPlainText("\n".join(found.skipped))

    def _collections(self, button: QWidget) -> QMenu:
        menu = QMenu(button)
        menu.setAccessibleName("Published collections")
        menu.setToolTipsVisible(True)
        for known in self._known:
            action = menu.addAction(known.title)
            action.setToolTip(f"{known.licence} It {known.note}")
            action.triggered.connect(lambda _checked=False, name=known.name: self.known_wanted.emit(name))
        return menu

    def show_progress(self, course: Course) -> None:
        """What is being read or compared right now."""
        now = course.reading or course.checking
        self.progress.setVisible(now is not None)
        self.doing.setVisible(now is not None)
        if now is not None:
            sentence, fraction = now
            self.doing.setText(sentence)
            self.progress.setRange(0, 0 if fraction is None else 1000)
            self.progress.setValue(round(1000 * (fraction or 0.0)))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_source(event) is not None:
            event.acceptProposedAction()
            self.zone.set_lit(True)

    def dragLeaveEvent(self, event) -> None:
        self.zone.set_lit(False)

    def dropEvent(self, event: QDropEvent) -> None:
        self.zone.set_lit(False)
        path = dropped_source(event)
        if path is not None:
            event.acceptProposedAction()
            self.dropped.emit(path)


def dropped_source(event: QDragEnterEvent | QDropEvent) -> Path | None:
    """The folder or table in a drag, if it is one."""
    for url in event.mimeData().urls():
        path = Path(url.toLocalFile()) if url.isLocalFile() else None
        if path is not None and (path.is_dir() or path.suffix.lower() in (".csv", ".tsv")):
            return path
    return None


def _renamed(item, text: str):
    item.setText(text)
    return item


class DropZone(QWidget):
    """What there is to do while nothing has been chosen."""

    def __init__(self) -> None:
        super().__init__()
        self._lit = False
        self.title = label("Drop a folder of sounds here", "heading")
        self.words = label(
            "One sub-folder for each class with its clips inside, or a CSV file with the columns file and label "
            "(and, where they are known, artist, track or split).",
            "muted",
            wrap=True,
        )
        self.trouble = label("", "danger", wrap=True)
        self.folder_button = push_button("Choose a folder …", "folder", "A folder with one sub-folder per class", True)
        self.table_button = push_button("Choose a CSV file …", "open", "A table that names files and labels")
        self.known_button = push_button("A published collection", "clip", COLLECTIONS)
        self.title.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.words.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.trouble.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addStretch(1)
        buttons.addWidget(self.folder_button)
        buttons.addWidget(self.table_button)
        buttons.addWidget(self.known_button)
        buttons.addStretch(1)
        middle = QVBoxLayout()
        middle.setSpacing(10)
        middle.addStretch(3)
        middle.addSpacing(56)
        middle.addWidget(self.title)
        middle.addWidget(self.words)
        middle.addSpacing(6)
        middle.addLayout(buttons)
        middle.addSpacing(6)
        middle.addWidget(self.trouble)
        middle.addStretch(4)
        row = QHBoxLayout(self)
        row.addStretch(1)
        row.addLayout(middle, 3)
        row.addStretch(1)
        notifier().changed.connect(self.update)

    def set_lit(self, lit: bool) -> None:
        self._lit = lit
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        chosen = colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pen = QPen(QColor(chosen.accent if self._lit else chosen.border), 1.5, Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.setBrush(QColor(chosen.base))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 8, 8)
        side = 44
        drawn = pixmap("folder", side, chosen.accent if self._lit else chosen.muted, self.devicePixelRatioF())
        painter.drawPixmap(round(self.width() / 2 - side / 2), self.title.y() - side - 14, drawn)
        painter.end()
