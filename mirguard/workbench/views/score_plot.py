"""A detector's reading: where a score stands among those of clean sounds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from mirguard.analysis.scales import nice_step
from mirguard.workbench.theme import colours, notifier
from mirguard.workbench.views.axes import small_font
from mirguard.workbench.views.formats import format_figures
from mirguard.workbench.views.overlay import paint_empty

LANE = 20.0  # height of a marker's line of text
AXIS = 22.0


class ScorePlot(QWidget):
    """The distribution of clean scores, the threshold, and where original and adversarial stand.

    Higher scores are more suspicious: a score above the threshold is flagged.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._clean = np.empty(0)
        self._threshold: float | None = None
        self._marks: dict[str, float | None] = {"original": None, "adversarial": None}
        self._empty = "The detector's reading appears here"
        self._note = ""
        self._stale = False
        self.setAccessibleName("Detector score")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(200, 104)
        notifier().changed.connect(self.update)
        self._describe()

    def sizeHint(self) -> QSize:
        return QSize(300, 160)

    def set_reading(
        self,
        clean_scores: Sequence[float] | np.ndarray | None,
        threshold: float | None,
        original: float | None = None,
        adversarial: float | None = None,
        threshold_note: str = "",
    ) -> None:
        """Show a reading; no clean scores brings the empty state. `threshold_note` is for example "5 % false positives"."""
        clean = np.asarray([] if clean_scores is None else clean_scores, float)
        self._clean = clean[np.isfinite(clean)]
        self._threshold, self._note = threshold, threshold_note
        self._marks = {"original": original, "adversarial": adversarial}
        self._describe()
        self.update()

    def set_stale(self, stale: bool) -> None:
        """Draw the adversarial's marker faintly: it belongs to a past choice."""
        if stale != self._stale:
            self._stale = stale
            self.update()

    def set_empty_text(self, text: str) -> None:
        self._empty = text
        self._describe()
        self.update()

    def _faint(self, which: str) -> bool:
        return self._stale and which == "adversarial"

    def flagged(self, which: str) -> bool:
        """Whether that sound's score lies above the threshold."""
        score = self._marks[which]
        return score is not None and self._threshold is not None and score > self._threshold

    def percentile(self, which: str) -> float | None:
        """Per cent of the clean scores that lie below that sound's."""
        score = self._marks[which]
        if score is None or not len(self._clean):
            return None
        return 100.0 * float(np.count_nonzero(self._clean < score)) / len(self._clean)

    def summary(self) -> str:
        """The reading in words."""
        if not len(self._clean):
            return self._empty
        parts = []
        for which, score in self._marks.items():
            if score is not None:
                verdict = "flagged" if self.flagged(which) else "passes"
                parts.append(
                    f"{which.capitalize()}: score {format_figures(score)}, above {self.percentile(which):.0f} % of "
                    f"{len(self._clean)} clean scores, {verdict}"
                )
        if self._threshold is not None:
            parts.append(f"threshold {format_figures(self._threshold)}" + (f" ({self._note})" if self._note else ""))
        return "; ".join(parts)

    def _describe(self) -> None:
        self.setAccessibleDescription(self.summary())
        self.setToolTip(self.summary().replace("; ", "\n") if len(self._clean) else "")

    def _span(self) -> tuple[float, float]:
        """The scores at the left and the right edge.

        An attacked clip can score a thousand times what clean ones do; the axis then ends at three widths of the clean
        scores beyond them, and the marker stands at the edge with an arrow.
        """
        low, high = float(self._clean.min()), float(self._clean.max())
        width = (high - low) or max(abs(high), 1.0) * 0.1
        values = [score for score in self._marks.values() if score is not None and math.isfinite(score)]
        values += [self._threshold] if self._threshold is not None and math.isfinite(self._threshold) else []
        bottom = max(min([low, *values]), low - 3 * width)
        top = min(max([high, *values]), high + 3 * width)
        margin = 0.06 * (top - bottom)
        return bottom - margin, top + margin

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(colours().base))
        if not len(self._clean):
            paint_empty(painter, QRectF(self.rect()), self._empty, "detector")
        else:
            self._paint(painter)
        painter.end()

    def _paint(self, painter: QPainter) -> None:
        chosen = colours()
        painter.setFont(small_font(self.font()))
        metrics = QFontMetricsF(painter.font())
        shown = [which for which, score in self._marks.items() if score is not None]
        area = QRectF(12, 8 + LANE * len(shown), self.width() - 24, 0)
        area.setBottom(self.height() - AXIS)
        low, high = self._span()

        def x_of(score: float) -> float:
            return area.left() + (score - low) / (high - low) * area.width()

        if self._threshold is not None and x_of(self._threshold) < area.right():
            start = max(area.left(), x_of(self._threshold))
            painter.fillRect(QRectF(start, area.top(), area.right() - start, area.height()), chosen.faint("danger", 26))
        self._paint_histogram(painter, area, low, high)
        self._paint_axis(painter, area, low, high, metrics)
        lanes = [(which, 6 + lane * LANE) for lane, which in enumerate(shown)]
        # All stems before all words: no stem runs through a word.
        for which, top in lanes:
            self._paint_stem(painter, area, which, top, x_of)
        for which, top in lanes:
            self._paint_words(painter, area, which, top, x_of, metrics)
        if self._threshold is not None:
            x = round(min(max(x_of(self._threshold), area.left()), area.right())) + 0.5
            painter.setPen(QPen(QColor(chosen.danger), 1, Qt.PenStyle.DashLine))
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
            text = "threshold" + (f", {self._note}" if self._note else "")
            before, after = x - 5 - area.left(), area.right() - x - 5
            width = metrics.horizontalAdvance(text) + 4
            right = width <= after or after >= before
            text = metrics.elidedText(text, Qt.TextElideMode.ElideRight, max(before, after))
            width = min(width, max(before, after))
            plate = QRectF(x + 5 if right else x - 5 - width, area.top() + 1, width, 15)
            painter.fillRect(plate.adjusted(-2, 0, 0, 0), QColor(chosen.base))
            painter.setPen(QColor(chosen.danger))
            painter.drawText(plate, Qt.AlignmentFlag.AlignVCenter, text)

    def _paint_histogram(self, painter: QPainter, area: QRectF, low: float, high: float) -> None:
        """Bars as wide as the clean scores call for, or, of few scores, one stroke each."""
        chosen = colours()
        inside = area.adjusted(0, 20, 0, 0)
        if len(self._clean) < 12:
            painter.setPen(QPen(QColor(chosen.muted), 2))
            for score in self._clean:
                x = area.left() + (score - low) / (high - low) * area.width()
                painter.drawLine(QPointF(x, inside.bottom() - 14), QPointF(x, inside.bottom()))
            return
        bins = int(np.clip(round(math.sqrt(len(self._clean)) * 1.5), 8, 40))
        counts, edges = np.histogram(self._clean, bins)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(chosen.faint("muted", 150))
        for count, start, stop in zip(counts, edges[:-1], edges[1:], strict=True):
            if count:
                left = area.left() + (start - low) / (high - low) * area.width()
                right = area.left() + (stop - low) / (high - low) * area.width()
                height = max(2.0, count / counts.max() * inside.height())
                painter.drawRect(QRectF(left, inside.bottom() - height, max(1.0, right - left - 1), height))

    def _paint_axis(self, painter: QPainter, area: QRectF, low: float, high: float, metrics: QFontMetricsF) -> None:
        chosen = colours()
        bottom = round(area.bottom()) + 0.5
        painter.setPen(QColor(chosen.border))
        painter.drawLine(QPointF(area.left(), bottom), QPointF(area.right(), bottom))
        step = nice_step((high - low) * 64 / max(1.0, area.width()))
        index = math.ceil(low / step)
        while index * step <= high:
            x = round(area.left() + (index * step - low) / (high - low) * area.width()) + 0.5
            text = format_figures(index * step, 4)
            width = metrics.horizontalAdvance(text)
            painter.setPen(QColor(chosen.border))
            painter.drawLine(QPointF(x, bottom), QPointF(x, bottom + 4))
            if x - width / 2 >= 2 and x + width / 2 <= self.width() - 2:
                painter.setPen(QColor(chosen.muted))
                painter.drawText(
                    QRectF(x - width / 2 - 2, bottom + 4, width + 4, 15), Qt.AlignmentFlag.AlignCenter, text
                )
            index += 1

    def _place(self, area: QRectF, which: str, x_of) -> tuple[float, float]:
        """Where a mark's score lies, and where inside the plot its stem is drawn."""
        score = self._marks[which]
        exact = x_of(score) if math.isfinite(score) else (area.right() + 99 if score > 0 else area.left() - 99)
        return exact, round(min(max(exact, area.left()), area.right())) + 0.5

    def _paint_stem(self, painter: QPainter, area: QRectF, which: str, top: float, x_of) -> None:
        """From a mark's line of text down to the axis, in the sound's colour."""
        chosen = colours()
        colour = chosen.faint(which, 110) if self._faint(which) else QColor(getattr(chosen, which))
        exact, x = self._place(area, which, x_of)
        painter.setPen(QPen(colour, 2))
        painter.drawLine(QPointF(x, top + LANE / 2), QPointF(x, area.bottom()))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        if exact > area.right() + 1 or exact < area.left() - 1:
            way = 1 if exact > area.right() else -1
            y = area.bottom() - 10
            painter.drawPolygon(QPolygonF([QPointF(x + 7 * way, y), QPointF(x, y - 5), QPointF(x, y + 5)]))
        else:
            painter.drawEllipse(QPointF(x, area.bottom()), 4, 4)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _paint_words(
        self, painter: QPainter, area: QRectF, which: str, top: float, x_of, metrics: QFontMetricsF
    ) -> None:
        """The sound and its score in the sound's colour, the verdict in its own, on a plate beside the stem."""
        chosen, score, faint = colours(), self._marks[which], self._faint(which)
        x = self._place(area, which, x_of)[1]
        flagged = self.flagged(which)
        name = f"{which.capitalize()} {format_figures(score)}"
        verdict = "" if self._threshold is None else " flagged" if flagged else " passes"
        widths = metrics.horizontalAdvance(name), metrics.horizontalAdvance(verdict)
        total = sum(widths) + 2
        left = x + 7 if x + 7 + total <= self.width() - 4 else max(4.0, x - 7 - total)
        painter.fillRect(QRectF(left - 3, top + 2, total + 6, LANE - 4), QColor(chosen.base))
        painter.setPen(QColor(chosen.muted if faint else getattr(chosen, which)))
        painter.drawText(QRectF(left, top, widths[0] + 2, LANE), Qt.AlignmentFlag.AlignVCenter, name)
        painter.setPen(QColor(chosen.muted if faint else chosen.danger if flagged else chosen.good))
        painter.drawText(QRectF(left + widths[0], top, widths[1] + 4, LANE), Qt.AlignmentFlag.AlignVCenter, verdict)
