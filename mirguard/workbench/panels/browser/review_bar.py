"""What the chosen clips are said to be, and what a person makes of them: a decision, another label, a note."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtWidgets import QComboBox, QCompleter, QHBoxLayout, QLineEdit, QToolButton, QVBoxLayout, QWidget

from mirguard.workbench.actions import plain_name, tip
from mirguard.workbench.collection.collection import Collection
from mirguard.workbench.collection.row import ACCEPT, ADVERSARIAL, RELABEL, UNSURE, Row
from mirguard.workbench.panels.browser.row_words import detection, saying, told
from mirguard.workbench.panels.browser.rows_model import DECISION_ICONS
from mirguard.workbench.panels.parts import (
    Elided,
    check,
    combo,
    keyboard_only,
    named,
    set_role,
    silently,
    tool_button,
)
from mirguard.workbench.theme import bind_icon


class ReviewBar(QWidget):
    """Words about the chosen row above buttons and fields."""

    asked = Signal(str)  # one of BROWSER_DEEDS
    relabelled = Signal(str)  # a label; "" where the field was left empty
    note_typed = Signal()
    left = Signal()  # Esc was pressed where another label is chosen

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._remark_of: int | None = None  # the row that the note on show belongs to
        self.about = Elided()
        named(self.about, "The chosen clip")
        self.play_button = tool_button("play", "Listen", tip("row-play"))
        self.send_button = tool_button("send", plain_name("row-send"), tip("row-send"))
        self.decision_buttons = {decision: self._decision(decision) for decision in (ACCEPT, ADVERSARIAL, UNSURE)}
        self.relabel = self._labels()
        self.remark = QLineEdit()
        self.remark.setPlaceholderText("Note")
        self.remark.setMinimumWidth(60)
        named(self.remark, "Note", "A note on the clip, kept with your decisions")
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.play_button)
        row.addWidget(self.send_button)
        row.addSpacing(6)
        for button in self.decision_buttons.values():
            row.addWidget(button)
        row.addWidget(self.relabel, 2)
        row.addWidget(self.remark, 3)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 2, 0, 0)
        column.setSpacing(5)
        column.addWidget(self.about)
        column.addLayout(row)
        self.play_button.clicked.connect(lambda: self.asked.emit("row-play"))
        self.send_button.clicked.connect(lambda: self.asked.emit("row-send"))
        self.relabel.activated.connect(lambda _index: self._relabel())
        self.relabel.lineEdit().returnPressed.connect(self._relabel)
        self.remark.editingFinished.connect(self.note_typed)
        for part in (self.relabel.lineEdit(), self.relabel.completer().popup()):
            part.installEventFilter(self)

    def _decision(self, decision: str) -> QToolButton:
        button = QToolButton()
        button.setText(decision.capitalize())
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setIconSize(QSize(14, 14))
        button.setCheckable(True)
        bind_icon(button, *DECISION_ICONS[decision])
        named(keyboard_only(button), decision.capitalize(), tip(f"row-{decision}"))
        button.clicked.connect(lambda on: self.asked.emit(f"row-{decision}" if on else "row-undecide"))
        return button

    @staticmethod
    def _labels() -> QComboBox:
        field = combo("Relabel", tip("row-relabel"), 5)
        field.setEditable(True)
        field.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        field.lineEdit().setPlaceholderText("Relabel")
        named(field.lineEdit(), "New label", "Type to search; Return decides")
        completer = field.completer()
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        return field

    # --- what is shown ---

    def set_narrow(self, narrow: bool) -> None:
        """Where there is little room, decisions are signs without words."""
        style = Qt.ToolButtonStyle.ToolButtonIconOnly if narrow else Qt.ToolButtonStyle.ToolButtonTextBesideIcon
        for button in self.decision_buttons.values():
            button.setToolButtonStyle(style)

    def show_labels(self, labels: tuple[str, ...]) -> None:
        """What a clip can be relabelled as."""
        silently(self.relabel, self.relabel.clear)
        silently(self.relabel, self.relabel.addItems, list(labels))
        silently(self.relabel, self.relabel.setCurrentIndex, -1)

    def show_played(self, playing: bool) -> None:
        """Whether the row on show is being played."""
        bind_icon(self.play_button, "pause" if playing else "play")

    def show_row(self, row: Row | None, chosen: int, collection: Collection | None) -> None:
        """The current row, where `chosen` rows are chosen; None for none."""
        for widget in (self.play_button, self.send_button, *self.decision_buttons.values(), self.relabel, self.remark):
            widget.setEnabled(row is not None)
        if row is None:
            self.about.setText("")
            self.about.setToolTip("")
            return
        if chosen > 1:
            words = f"{chosen} clips chosen"
        elif row.trouble:
            words = row.trouble
        elif row.heard is None:
            words = "Not heard yet"
        else:
            words = " · ".join(filter(None, (f"Heard as {saying(row)}", detection(row, collection))))
        self.about.setText(words)
        self.about.setToolTip(told(row, collection) if chosen <= 1 else words)
        set_role(self.about, "danger" if row.trouble else "")
        for decision, button in self.decision_buttons.items():
            check(button, row.decision == decision)
        relabelled = row.record.label if row.decision == RELABEL else ""
        if not self.relabel.lineEdit().hasFocus():
            silently(
                self.relabel, self.relabel.setCurrentIndex, self.relabel.findText(relabelled) if relabelled else -1
            )
            silently(self.relabel.lineEdit(), self.relabel.lineEdit().setText, relabelled)
        if not self.remark.hasFocus() or self._remark_of != row.number:
            self._remark_of = row.number
            silently(self.remark, self.remark.setText, row.note)
        self.remark.setEnabled(chosen <= 1)

    # --- another label ---

    def begin_relabelling(self) -> None:
        """Let the person type or choose a label."""
        self.relabel.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.relabel.lineEdit().selectAll()
        self._offer_labels("")

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Esc puts the choice of a label away before it means anything in the window."""
        kinds = (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress)
        if event.type() not in kinds or event.key() != Qt.Key.Key_Escape:
            return super().eventFilter(watched, event)
        event.accept()
        if event.type() == QEvent.Type.KeyPress:
            self.relabel.completer().popup().hide()
            self.left.emit()
        return True

    def _relabel(self) -> None:
        """What was typed: a label, what only one label has in it, or else a label of the person's own."""
        typed = self.relabel.lineEdit().text().strip()
        known = [self.relabel.itemText(index) for index in range(self.relabel.count())]
        same = [name for name in known if name.casefold() == typed.casefold()]
        alike = [name for name in known if typed.casefold() in name.casefold()]
        if typed and not same and len(alike) > 1:
            self._offer_labels(typed)
        else:
            self.relabelled.emit((same or alike or [typed])[0] if typed else "")

    def _offer_labels(self, typed: str) -> None:
        completer = self.relabel.completer()
        completer.setCompletionPrefix(typed)
        completer.complete()

    # --- the note ---

    @property
    def note(self) -> tuple[int | None, str]:
        """The row that the note on show belongs to (None for none), and what stands there."""
        return self._remark_of, self.remark.text().strip()

    def forget_note(self) -> None:
        """The note on show belongs to no row any more."""
        self._remark_of = None
