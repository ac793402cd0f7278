"""What is loaded: every clip with its label, length and rate; where there is none, where to drop one."""

from __future__ import annotations

import logging

from PySide6.QtCore import QModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QStackedWidget,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from mirguard.workbench.document import Document
from mirguard.workbench.facts import Entry
from mirguard.workbench.panels.parts import label, named, push_button, tool_button
from mirguard.workbench.theme import colours, notifier, pixmap
from mirguard.workbench.views.formats import format_time

log = logging.getLogger(__name__)
KEY, DETAIL, SAYING, ROLE = (Qt.ItemDataRole.UserRole + number for number in range(4))
PAD = 8


class ClipsPanel(QWidget):
    """Asks for clips to be chosen, opened and removed."""

    chosen = Signal(int)
    removed = Signal(int)
    open_wanted = Signal()
    demo_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.list = QListWidget()
        named(self.list, "Loaded clips")
        self.list.setItemDelegate(ClipDelegate(self.list))
        self.list.setVerticalScrollMode(QListWidget.ScrollMode.ScrollPerPixel)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setUniformItemSizes(True)
        self.list.currentItemChanged.connect(self._chosen)
        self.drop_zone = DropZone()
        self.drop_zone.open_button.clicked.connect(self.open_wanted)
        self.drop_zone.demo_button.clicked.connect(self.demo_wanted)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.drop_zone)
        self.pages.addWidget(self.list)
        self.count = label("", "muted")
        self.open_button = tool_button("open", "Open files", "Load sound files (Ctrl+O)")
        self.remove_button = tool_button("close", "Remove the clip", "Take the clip off the list (Ctrl+W)")
        self.open_button.clicked.connect(self.open_wanted)
        self.remove_button.clicked.connect(self._remove)
        self.foot = QWidget()
        row = QHBoxLayout(self.foot)
        row.setContentsMargins(2, 0, 0, 0)
        row.addWidget(self.count, 1)
        row.addWidget(self.open_button)
        row.addWidget(self.remove_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 4)
        layout.setSpacing(2)
        layout.addWidget(self.pages, 1)
        layout.addWidget(self.foot)
        self.setMinimumHeight(130)
        self._keys: list[int] = []
        self.foot.hide()

    def show_clips(self, document: Document) -> None:
        """The list as it is now, with the current clip marked."""
        self.list.blockSignals(True)
        if self._keys != list(document.entries):
            self._keys = list(document.entries)
            self.list.clear()
            for entry in document.entries.values():
                item = QListWidgetItem()
                item.setData(KEY, entry.key)
                self.list.addItem(item)
        for row, entry in enumerate(document.entries.values()):
            item = self.list.item(row)
            _fill(item, entry, document)
            if entry.key == document.current_key:
                self.list.setCurrentItem(item)
        self.list.blockSignals(False)
        count = len(self._keys)
        self.pages.setCurrentIndex(1 if count else 0)
        self.foot.setVisible(bool(count))
        self.count.setText("1 clip" if count == 1 else f"{count} clips")

    def _chosen(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self.chosen.emit(item.data(KEY))

    def _remove(self) -> None:
        item = self.list.currentItem()
        if item is not None:
            self.removed.emit(item.data(KEY))


def about(entry: Entry) -> str:
    """Length, rate and channels: "0:30 · 44.1 kHz · stereo"."""
    clip = entry.clip
    channels = {1: "mono", 2: "stereo"}.get(clip.channels, f"{clip.channels} channels")
    length = format_time(clip.duration, 1.0 if clip.duration >= 10 else 0.1)
    return f"{length} · {clip.sample_rate / 1000:g} kHz · {channels}"


def saying(entry: Entry, document: Document) -> tuple[str, str]:
    """What the model says of the clip, in words, and the role that colours them."""
    if entry.trouble:
        return "cannot be classified", "danger"
    if entry.decision is None:
        return ("listening …" if document.model is not None else "no model yet"), "muted"
    text = f"{entry.decision.label} {entry.decision.confidence:.0%}"
    if entry.outcome is not None:
        exported = entry.outcome.exported
        if exported.success:
            return f"{entry.decision.label} → {exported.decision.label}", "adversarial"
        return f"{text}, not fooled", "original"
    return text, "original"


def _fill(item: QListWidgetItem, entry: Entry, document: Document) -> None:
    words, role = saying(entry, document)
    item.setText(entry.name)
    item.setData(DETAIL, about(entry))
    item.setData(SAYING, words)
    item.setData(ROLE, role)
    place = str(entry.clip.source) if entry.clip.source else entry.name
    item.setToolTip(entry.trouble or f"{place}\n{about(entry)}\n{words}")
    item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{entry.name}, {words}, {about(entry)}")


class ClipDelegate(QStyledItemDelegate):
    """Three lines: the name, what the model says, and length and rate."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        line = option.fontMetrics.height()
        return QSize(100, 3 * line + 2 * PAD + 2)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        try:
            self._paint(painter, option, index)
        except Exception:  # an exception that leaves a paint method may end the process
            log.exception("a clip could not be painted")

    def _paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        chosen = colours()
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.save()
        area = option.rect.adjusted(3, 2, -3, -1)
        if selected or option.state & QStyle.StateFlag.State_MouseOver:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(chosen.hover))
            painter.drawRoundedRect(area, 5, 5)
            if selected:
                painter.setBrush(QColor(chosen.accent))
                painter.drawRoundedRect(QRect(area.left(), area.top() + 5, 3, area.height() - 10), 1.5, 1.5)
        inner = area.adjusted(PAD + 2, PAD - 2, -PAD, -PAD + 2)
        line = option.fontMetrics.height()
        bold = QFont(option.font)
        bold.setWeight(QFont.Weight.DemiBold)
        self._line(painter, inner, 0, line, index.data(Qt.ItemDataRole.DisplayRole), bold, chosen.text)
        self._line(
            painter, inner, 1, line, index.data(SAYING), option.font, getattr(chosen, index.data(ROLE) or "muted")
        )
        self._line(painter, inner, 2, line, index.data(DETAIL), option.font, chosen.muted)
        painter.restore()

    @staticmethod
    def _line(painter: QPainter, area: QRect, number: int, height: int, text: str, font: QFont, colour: str) -> None:
        painter.setFont(font)
        painter.setPen(QColor(colour))
        row = QRect(area.left(), area.top() + number * height, area.width(), height)
        fitted = QFontMetrics(font).elidedText(text or "", Qt.TextElideMode.ElideMiddle, row.width())
        painter.drawText(row, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, fitted)


class DropZone(QWidget):
    """The empty state: where to drop a song, and what to do without one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.open_button = push_button("Open …", "open", "Load sound files (Ctrl+O)")
        self.demo_button = push_button("Demo clip", "clip", "Load the demonstration clip that comes with the program")
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addStretch(1)
        row.addWidget(self.open_button)
        row.addWidget(self.demo_button)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 10, 10, 14)
        layout.addStretch(1)
        layout.addLayout(row)
        notifier().changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        chosen = colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(chosen.border), 1.5, Qt.PenStyle.DashLine))
        painter.drawRoundedRect(self.rect().adjusted(1, 1, -2, -2), 8, 8)
        room = QRect(0, 0, self.width(), self.open_button.y())
        line = self.fontMetrics().height()
        tall = room.height() >= 48 + 2 * line + 10
        top = room.top() + max(6, (room.height() - (2 * line + 10) - (40 if tall else 0)) // 2)
        if tall:
            painter.drawPixmap(room.center().x() - 16, top, pixmap("clip", 32, chosen.muted))
            top += 40
        font = QFont(self.font())
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        painter.setPen(QColor(chosen.text))
        painter.drawText(QRect(8, top, room.width() - 16, line + 2), Qt.AlignmentFlag.AlignCenter, "Drop a song here")
        painter.setFont(self.font())
        painter.setPen(QColor(chosen.muted))
        formats = "WAV, FLAC, OGG, MP3 or AIFF"
        painter.drawText(QRect(8, top + line + 4, room.width() - 16, line + 2), Qt.AlignmentFlag.AlignCenter, formats)
        painter.end()
