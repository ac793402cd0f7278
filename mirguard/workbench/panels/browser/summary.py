"""The figures of the open collection in a line, and what has to be known to read them."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from mirguard.words import counted
from mirguard.workbench.collection.collection import LABELLED, REVIEW, Collection
from mirguard.workbench.document import Document
from mirguard.workbench.panels.parts import keyboard_only, label, named

FIGURES_HELP = (
    "Wilson's interval takes clips as independent of each other; clips of one artist or one track are not, so that it is "
    "then too narrow. The order in which clips are heard is random, so that early figures are fair."
)


class Summary(QWidget):
    """`figures` of the whole collection; beside them how much of it a filter shows, below them notes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.figures = label("", wrap=True)
        named(self.figures, "Figures of the dataset", FIGURES_HELP)
        self.shown = label("", "muted")
        self.clear_button = QToolButton()
        self.clear_button.setText("Show all")
        named(keyboard_only(self.clear_button), "Show all", "Take every filter away")
        self.note = label("", "muted", wrap=True)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.figures, 1)
        row.addWidget(self.shown)
        row.addWidget(self.clear_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(row)
        column.addWidget(self.note)

    def show_shown(self, words: str) -> None:
        """What a filter shows; "" where there is none."""
        self.shown.setText(words)
        self.shown.setVisible(bool(words))
        self.clear_button.setVisible(bool(words))

    def show_figures(self, collection: Collection, document: Document) -> None:
        self.figures.setText(" · ".join(part.replace(" ", "\u00a0") for part in _figures(collection)))
        notes = _notes(collection, document)
        self.note.setText(" ".join(notes))
        self.note.setVisible(bool(notes))


def _figures(collection: Collection) -> list[str]:
    counts = collection.counts()
    parts = [f"{counts.heard} of {counted(counts.total, 'clip')} heard"]
    if counts.judged:
        low, high = counts.interval
        parts.append(f"{100 * counts.accuracy:.1f} % right (95 % interval {100 * low:.0f}–{100 * high:.0f} %)")
    if counts.scored and collection.threshold is not None:
        parts.append(f"{counts.flagged} flagged")
    if counts.failed:
        parts.append(f"{counts.failed} unreadable")
    if counts.decided or collection.mode == REVIEW:
        parts.append(f"{counts.decided} decided")
    return parts


def _notes(collection: Collection, document: Document) -> list[str]:
    notes = []
    facts, model = document.reference, document.model
    if model is not None and collection.mode == LABELLED and not collection.comparable:
        notes.append(f"None of its classes is among the labels of {model.title}, so no clip counts as right or wrong.")
    if facts is not None and facts.trouble:
        remedy = "" if facts.clean_scores else " Fit some in the Detectors panel."
        notes.append(f"Nothing is flagged: {facts.trouble[:1].lower()}{facts.trouble[1:]}{remedy}")
    return notes
