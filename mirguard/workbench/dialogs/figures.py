"""Accuracies with their intervals and the confusion matrix: the same on a training's result and on a model's card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from mirguard.intervals import wilson
from mirguard.words import counted
from mirguard.workbench.panels.parts import label
from mirguard.workbench.views.accuracy_bar import AccuracyBar, percent
from mirguard.workbench.views.confusion_table import MOST_SEEN, ConfusionTable

LEGEND = "Rows: what a clip is. Columns: what it is heard as. The stronger the colour, the larger the share of its row."
WINDOWS = "The interval for windows counts clips as independent, not windows: those of one clip are alike."


@dataclass(frozen=True)
class Accuracy:
    """One line: "By clip", 22 of 24 clips, its interval."""

    title: str
    share: float
    interval: tuple[float, float]
    words: str


@dataclass(frozen=True)
class TestFigures:
    """What a model's card says under `test`, in words."""

    __test__ = False  # no test of pytest's

    clip: Accuracy
    window: Accuracy | None
    confusion: tuple[tuple[int, ...], ...]

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> TestFigures | None:
        """The figures of a card's `test`; None where it has none that make sense."""
        try:
            clips, right = int(card["clips"]), int(card["clips_right"])
            share = float(card.get("clip_accuracy", right / clips))
            words = f"{right} of {counted(clips, 'clip')}"
            clip = Accuracy("By clip", share, _interval(card, "clip_interval", share, clips), words)
            window = None
            if "window_accuracy" in card:
                share = float(card["window_accuracy"])
                words = f"of {counted(int(card['windows']), 'window')}" if "windows" in card else "of the windows"
                window = Accuracy("By window", share, _interval(card, "window_interval", share, clips), words)
            return cls(clip, window, tuple(tuple(map(int, row)) for row in card.get("confusion", ())))
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return None


def _interval(card: Mapping[str, Any], key: str, share: float, clips: int) -> tuple[float, float]:
    """The interval that the card gives, else Wilson's for so many clips."""
    low, high = card.get(key) or wilson(share * clips, clips)
    return float(low), float(high)


class AccuracyFigures(QWidget):
    """By clip and by window, each with a bar."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(2)
        self.lines: dict[str, tuple] = {}
        for row, title in enumerate(("By clip", "By window")):
            name, figure, interval, bar = label(title, "muted"), label("", "heading"), label("", "muted"), AccuracyBar()
            bar.setAccessibleName(f"Accuracy {title.lower()}")
            font = figure.font()
            font.setPointSizeF(font.pointSizeF() * (1.5 if row == 0 else 1.15))
            figure.setFont(font)
            self._grid.addWidget(name, 3 * row, 0)
            self._grid.addWidget(figure, 3 * row, 1)
            self._grid.addWidget(interval, 3 * row, 2)
            self._grid.addWidget(bar, 3 * row + 1, 0, 1, 3)
            self._grid.setRowMinimumHeight(3 * row + 2, 8)
            self.lines[title] = (name, figure, interval, bar)
        self._grid.setColumnStretch(2, 1)
        self.note = label(WINDOWS, "muted", wrap=True)
        self._grid.addWidget(self.note, 6, 0, 1, 3)

    def set_figures(self, figures: TestFigures, classes: int) -> None:
        for accuracy in (figures.clip, figures.window):
            if accuracy is None:
                continue
            _, figure, interval, bar = self.lines[accuracy.title]
            low, high = accuracy.interval
            figure.setText(percent(accuracy.share))
            interval.setText(f"{accuracy.words} · 95 % interval {100 * low:.0f} to {100 * high:.0f} %")
            bar.set_accuracy(accuracy.share, accuracy.interval, 1 / max(1, classes))
        for part in (*self.lines["By window"], self.note):
            part.setVisible(figures.window is not None)


class Confusion(QWidget):
    """The table under its heading, with what its colours mean."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = ConfusionTable()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(label("What was heard as what", "heading"))
        layout.addWidget(self.table)
        layout.addWidget(label(LEGEND, "muted", wrap=True))
        layout.addStretch(1)

    def set_matrix(self, labels: Sequence[str], confusion: Sequence[Sequence[int]]) -> None:
        self.table.set_matrix(labels, confusion)
        # A table that is shown whole keeps its size; a larger one takes what room there is.
        large = len(labels) > MOST_SEEN
        self.layout().setStretch(1, int(large))
        self.layout().setStretch(3, int(not large))
