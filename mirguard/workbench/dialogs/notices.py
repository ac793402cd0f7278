"""Sentences that a person should read: warnings with their sign, or that there are none."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from mirguard.workbench.panels.parts import Flow, Scroll, label
from mirguard.workbench.theme import colours, notifier, pixmap


class Sign(QLabel):
    """An icon in the colour of a role, in either theme."""

    def __init__(self, icon: str, role: str, size: int = 16) -> None:
        super().__init__()
        self._icon, self._role, self._size = icon, role, size
        self.setAlignment(Qt.AlignmentFlag.AlignTop)
        notifier().changed.connect(self._draw)
        self._draw()

    def put(self, icon: str, role: str) -> None:
        self._icon, self._role = icon, role
        self._draw()

    def _draw(self) -> None:
        self.setPixmap(pixmap(self._icon, self._size, getattr(colours(), self._role)))


class Notices(QWidget):
    """One line for each sentence, scrolling where they are many."""

    def __init__(self, name: str = "Warnings", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.sentences: tuple[str, ...] = ()
        self._rest: tuple | None = None
        self._inner = Flow()
        self._lines = QVBoxLayout(self._inner)
        self._lines.setContentsMargins(0, 0, 4, 0)
        self._lines.setSpacing(8)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        scroll = Scroll(self._inner, name)
        scroll.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # so that the keys can scroll it
        layout.addWidget(scroll)

    def set_sentences(self, sentences: Sequence[str], otherwise: str = "") -> None:
        """Show these as warnings; where there are none, what is said `otherwise`."""
        now = (tuple(sentences), otherwise)
        if now == self._rest:
            return
        self._rest, self.sentences = now, tuple(sentences)
        while self._lines.count():
            part = self._lines.takeAt(0).widget()
            if part is not None:
                part.hide()
                part.deleteLater()
        for sentence in self.sentences:
            self._lines.addWidget(self._line("warning", "warning", sentence, ""))
        if not self.sentences and otherwise:
            self._lines.addWidget(self._line("check", "good", otherwise, "muted"))
        self._lines.addStretch(1)

    @staticmethod
    def _line(icon: str, role: str, sentence: str, words_role: str) -> QWidget:
        line = QWidget()
        row = QHBoxLayout(line)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(Sign(icon, role), 0, Qt.AlignmentFlag.AlignTop)
        words = label(sentence, words_role, wrap=True)
        words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        row.addWidget(words, 1)
        return line
