"""What lies over a pane: its title, and what it says while it has nothing to show."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from mirguard.workbench.theme import colours, pixmap
from mirguard.workbench.views.axes import small_font


class PaneTitle(QWidget):
    """A small plate: a dot in the sound's colour, its name, and a note such as "shown +40 dB" or "computing…"."""

    def __init__(self, which: str, title: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._which, self._title, self._note = which, title, ""
        self.setAccessibleName(title)
        self._fit()

    @property
    def text(self) -> str:
        return f"{self._title}, {self._note}" if self._note else self._title

    def set_note(self, note: str) -> None:
        """Say something behind the name."""
        if note != self._note:
            self._note = note
            self.setAccessibleDescription(note)
            self._fit()
            self.update()

    def sizeHint(self) -> QSize:
        font = self.font()
        font.setBold(True)
        width = 24 + QFontMetricsF(font).horizontalAdvance(self._title)
        if self._note:
            width += 8 + QFontMetricsF(small_font(self.font())).horizontalAdvance(self._note)
        return QSize(round(width) + 8, round(QFontMetricsF(font).height()) + 6)

    def _fit(self) -> None:
        self.resize(self.sizeHint())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(10, 10, 14, 190))
        painter.drawRoundedRect(QRectF(self.rect()), 5, 5)
        # The plate is dark in both themes, as the pictures are: so are the dots, which are the dark theme's.
        painter.setBrush(QColor(PLATE_COLOURS[self._which]))
        painter.drawEllipse(QPointF(12, self.height() / 2), 4, 4)
        font = self.font()
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(QColor(colours().on_picture))
        area = QRectF(22, 0, self.width() - 22, self.height())
        painter.drawText(area, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self._title)
        if self._note:
            area.setLeft(30 + QFontMetricsF(font).horizontalAdvance(self._title))
            painter.setFont(small_font(self.font()))
            painter.setPen(QColor("#c3c8d0"))
            painter.drawText(area, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self._note)
        painter.end()


PLATE_COLOURS = {"original": "#7cb7ff", "adversarial": "#ffab66", "perturbation": "#d3a0ff"}


def paint_empty(painter: QPainter, area: QRectF, text: str, icon_name: str | None = None) -> None:
    """An empty state in the middle of an area: an icon, and under it one sentence in the quiet colour."""
    colour = colours().muted
    flags = Qt.AlignmentFlag.AlignHCenter | Qt.TextFlag.TextWordWrap
    inside = area.adjusted(12, 4, -12, -4)
    text_box = painter.boundingRect(inside, flags, text)
    side = 28 if icon_name and inside.height() >= text_box.height() + 40 else 0
    top = inside.center().y() - (text_box.height() + (side + 8 if side else 0)) / 2
    if side:
        drawn = pixmap(icon_name, side, colour, painter.device().devicePixelRatioF())
        painter.drawPixmap(QPointF(inside.center().x() - side / 2, top), drawn)
        top += side + 8
    painter.setPen(QColor(colour))
    painter.drawText(QRectF(inside.left(), top, inside.width(), text_box.height() + 2), flags, text)


class EmptyState(QWidget):
    """The same as a widget that covers its parent and lets the mouse through."""

    def __init__(self, parent: QWidget, icon_name: str | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._icon, self._text = icon_name, ""

    def set_text(self, text: str, icon_name: str | None = None) -> None:
        self._text, self._icon = text, icon_name or self._icon
        self.setAccessibleName(text)
        self.update()

    @property
    def text(self) -> str:
        return self._text

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(colours().base))
        paint_empty(painter, QRectF(self.rect()), self._text, self._icon)
        painter.end()
