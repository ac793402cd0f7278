"""What the model says, before and after."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from mirguard.workbench.theme import colours, notifier, pixmap
from mirguard.workbench.views.axes import small_font
from mirguard.workbench.views.formats import format_percent
from mirguard.workbench.views.overlay import paint_empty

Reading = list[tuple[str, float]]
MOST_ROWS = 8
HEAD, ROW, GAP = 34, 30, 6


class LabelBars(QWidget):
    """Bars of the top labels: the original's above, the adversarial's below, with a headline "rock → techno".

    A reading is a list of (label, probability), in any order. The target and, where the decision has
    changed, the new top label stand out.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._original: Reading = []
        self._adversarial: Reading | None = None
        self._target: str | None = None
        self._stale = False
        self._empty = "The model's labels appear here"
        self.setAccessibleName("Labels before and after")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(200, HEAD + 3 * ROW)
        notifier().changed.connect(self.update)
        self._describe()

    def sizeHint(self) -> QSize:
        return QSize(300, HEAD + 6 * ROW + GAP)

    def set_readings(
        self, original: Reading | None, adversarial: Reading | None = None, target: str | None = None
    ) -> None:
        """Show these; None or an empty list for the original brings the empty state."""
        self._original = sorted(original or [], key=lambda pair: -pair[1])
        self._adversarial = None if adversarial is None else sorted(adversarial, key=lambda pair: -pair[1])
        self._target = target
        self._describe()
        self.update()

    def set_stale(self, stale: bool) -> None:
        """Draw the adversarial's bars faintly: they belong to a past choice."""
        if stale != self._stale:
            self._stale = stale
            self.update()

    def set_empty_text(self, text: str) -> None:
        self._empty = text
        self._describe()
        self.update()

    @property
    def flipped(self) -> bool:
        """Whether the top label has changed."""
        return bool(self._original and self._adversarial and self._original[0][0] != self._adversarial[0][0])

    def rows(self) -> list[tuple[str, float, float | None]]:
        """What is drawn, as many as fit: label, before, after; the two top labels and the target always."""
        if not self._original:
            return []
        room = max(3, min(MOST_ROWS, int((self.height() - HEAD) / ROW)))
        before, after = dict(self._original), dict(self._adversarial or [])
        wanted = [self._original[0][0]]
        wanted += [self._adversarial[0][0]] if self._adversarial else []
        wanted += [self._target] if self._target in before else []
        by_size = sorted(before | after, key=lambda label: -max(before.get(label, 0.0), after.get(label, 0.0)))
        chosen = list(dict.fromkeys(wanted + by_size))[:room]
        chosen.sort(key=lambda label: -before.get(label, 0.0))
        return [
            (label, before.get(label, 0.0), after.get(label, 0.0) if self._adversarial is not None else None)
            for label in chosen
        ]

    def summary(self) -> str:
        """The reading in words."""
        if not self._original:
            return self._empty
        label, probability = self._original[0]
        text = f"Original: {label} {format_percent(probability)}"
        if self._adversarial:
            label, probability = self._adversarial[0]
            text += f"; adversarial: {label} {format_percent(probability)}, " + (
                "the decision has changed" if self.flipped else "the decision stands"
            )
        if self._target:
            text += f"; target: {self._target}"
        return text

    def _describe(self) -> None:
        self.setAccessibleDescription(self.summary())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(colours().base))
        if not self._original:
            paint_empty(painter, QRectF(self.rect()), self._empty, "model")
        else:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self._paint_head(painter)
            self._paint_rows(painter)
        painter.end()

    def _paint_head(self, painter: QPainter) -> None:
        chosen = colours()
        font = self.font()
        font.setBold(True)
        painter.setFont(font)
        metrics = QFontMetricsF(font)
        x, width = 10.0, self.width() - 20.0
        area = QRectF(x, 2, width, HEAD - 4)
        align = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        if not self._adversarial:
            painter.setPen(QColor(chosen.text))
            painter.drawText(area, align, metrics.elidedText(self._original[0][0], Qt.TextElideMode.ElideRight, width))
            return
        badge = "flipped" if self.flipped else "unchanged"
        small = small_font(self.font())
        badge_width = QFontMetricsF(small).horizontalAdvance(badge) + 16
        labels = [self._original[0][0]] + ([self._adversarial[0][0]] if self.flipped else [])
        arrow = metrics.horizontalAdvance("→") + 16 if self.flipped else 0.0
        wanted = sum(metrics.horizontalAdvance(text) for text in labels) + arrow
        # The arrow says it too: where there is no room for both, the names count more than the badge.
        with_badge = wanted + 12 + badge_width <= width or not self.flipped
        halves = _elided(labels, width - arrow - (badge_width + 12 if with_badge else 0.0), metrics)
        painter.setPen(QColor(chosen.original))
        painter.drawText(area, align, halves[0])
        if self.flipped:
            x += metrics.horizontalAdvance(halves[0]) + 8
            painter.setPen(QColor(chosen.muted))
            painter.drawText(QRectF(x, 2, 20, HEAD - 4), align, "→")
            x += metrics.horizontalAdvance("→") + 8
            painter.setPen(QColor(chosen.adversarial))
            painter.drawText(QRectF(x, 2, width, HEAD - 4), align, halves[1])
        if not with_badge:
            return
        plate = QRectF(self.width() - 10 - badge_width, HEAD / 2 - 9, badge_width, 18)
        colour = chosen.adversarial if self.flipped else chosen.muted
        painter.setPen(QColor(colour))
        painter.setBrush(chosen.faint("adversarial", 36) if self.flipped else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(plate.adjusted(0.5, 0.5, -0.5, -0.5), 9, 9)
        painter.setFont(small)
        painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, badge)

    def _columns(self) -> tuple[float, float, float]:
        """Where labels end, where bars end, where values end."""
        small = QFontMetricsF(small_font(self.font()))
        rows = self.rows()
        widest = max((QFontMetricsF(self.font()).horizontalAdvance(label) for label, _, _ in rows), default=0.0)
        labels = 10 + min(widest + 24, 0.42 * self.width())
        values = self.width() - 10.0
        return labels, values - small.horizontalAdvance("<0.1 %") - 8, values

    def _paint_rows(self, painter: QPainter) -> None:
        chosen = colours()
        labels, bars, values = self._columns()
        start = labels + 8
        small = small_font(self.font())
        top_after = self._adversarial[0][0] if self._adversarial else None
        for index, (label, before, after) in enumerate(self.rows()):
            y = HEAD + index * ROW
            if y + ROW > self.height() + 4:
                break
            chosen_row = label == self._target or (self.flipped and label == top_after)
            if chosen_row:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(chosen.faint("adversarial", 28))
                painter.drawRoundedRect(QRectF(4, y, self.width() - 8, ROW), 5, 5)
            font = self.font()
            font.setBold(chosen_row or index == 0)
            painter.setFont(font)
            painter.setPen(QColor(chosen.text))
            left = 10.0
            if label == self._target:
                mark = pixmap("target", 14, chosen.adversarial, self.devicePixelRatioF())
                painter.drawPixmap(QPointF(left, y + ROW / 2 - 7), mark)
                left += 19
            text = QFontMetricsF(font).elidedText(label, Qt.TextElideMode.ElideRight, labels - left)
            painter.drawText(
                QRectF(left, y, labels - left + 2, ROW),
                Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft,
                text,
            )
            pairs = [(before, "original")] + ([(after, "adversarial")] if after is not None else [])
            height = 8.0 if len(pairs) == 2 else 10.0
            block = len(pairs) * height + (len(pairs) - 1) * 3
            painter.setFont(small)
            for number, (value, which) in enumerate(pairs):
                at = y + (ROW - block) / 2 + number * (height + 3)
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(QColor(chosen.raised if chosen.name == "dark" else chosen.hover))
                painter.drawRoundedRect(QRectF(start, at, bars - start, height), 2, 2)
                faint = self._stale and which == "adversarial"
                painter.setBrush(chosen.faint(which, 90) if faint else QColor(getattr(chosen, which)))
                length = max(2.0, min(value, 1.0) * (bars - start)) if value > 0 else 0.0
                painter.drawRoundedRect(QRectF(start, at, length, height), 2, 2)
                painter.setPen(QColor(chosen.muted if faint else getattr(chosen, which)))
                painter.drawText(
                    QRectF(bars + 4, at - 5, values - bars - 4, height + 10),
                    Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight,
                    format_percent(value),
                )

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and self._original:
            index = int((event.pos().y() - HEAD) // ROW)
            rows = self.rows()
            if 0 <= index < len(rows):
                label, before, after = rows[index]
                text = f"{label}\noriginal {100 * before:.2f} %"
                if after is not None:
                    text += f"\nadversarial {100 * after:.2f} %"
                QToolTip.showText(event.globalPos(), text + ("\ntarget" if label == self._target else ""), self)
            else:
                QToolTip.hideText()
            return True
        return super().event(event)


def _elided(texts: list[str], room: float, metrics: QFontMetricsF) -> list[str]:
    """The texts cut to fit into that width together: a short one leaves the other what it does not need."""
    widths = [metrics.horizontalAdvance(text) for text in texts]
    share = room / len(texts)
    spare = sum(max(0.0, share - width) for width in widths)
    return [metrics.elidedText(text, Qt.TextElideMode.ElideRight, share + spare + 0.5) for text in texts]
