"""Small parts that all panels are made of, each with its accessible name."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from mirguard.workbench.theme import bind_icon


def named(widget: QWidget, name: str, help: str = "") -> QWidget:
    """The widget with a name for screen readers, and a tool tip."""
    widget.setAccessibleName(name)
    if help:
        widget.setAccessibleDescription(help)
        widget.setToolTip(help)
    return widget


def label(text: str = "", role: str = "", wrap: bool = False) -> QLabel:
    """A line of text; `role` is "muted", "heading", "good", "warning" or "danger"."""
    made = _Wrapped(text) if wrap else QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    if role:
        made.setProperty("role", role)
    return made


class Elided(QLabel):
    """One line that is cut with dots where there is no room for it."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def paintEvent(self, event) -> None:
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        fitted = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.contentsRect().width())
        painter.drawText(self.contentsRect(), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, fitted)
        painter.end()


class _Wrapped(QLabel):
    """Text in as many lines as the width there is makes of it, and no more: Qt's own asks for the height that it would
    need in a narrow column."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.setWordWrap(True)
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def minimumSizeHint(self) -> QSize:
        return QSize(40, self.fontMetrics().height())


def set_role(widget: QWidget, role: str) -> None:
    """Change the role of a label; the style sheet follows."""
    if widget.property("role") != role:
        widget.setProperty("role", role)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def set_primary(button: QPushButton, on: bool) -> None:
    """Make a button the one that stands out, or one like the others."""
    button.setProperty("primary", on)
    button.style().unpolish(button)
    button.style().polish(button)


def keyboard_only(widget: QWidget) -> QWidget:
    """Focus comes with Tab and not with the mouse, so that after a click Space and letters still belong to the window."""
    widget.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return widget


def tool_button(icon: str, name: str, help: str = "", checkable: bool = False) -> QToolButton:
    made = QToolButton()
    bind_icon(made, icon)
    made.setCheckable(checkable)
    keyboard_only(made)
    return named(made, name, help or name)


def push_button(text: str, icon: str = "", help: str = "", primary: bool = False) -> QPushButton:
    made = QPushButton(text)
    if primary:
        made.setProperty("primary", True)
    if icon:
        bind_icon(made, icon, "accent_text" if primary else "text")
    keyboard_only(made)
    return named(made, text.replace("&", "").removesuffix("…").strip(), help)


def combo(name: str, help: str = "", letters: int = 8) -> QComboBox:
    """A menu that may be narrower than its longest entry and does not turn with the wheel that scrolls the panel."""
    made = _QuietCombo()
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    made.setMinimumContentsLength(letters)
    keyboard_only(made)
    return named(made, name, help)


class _QuietCombo(QComboBox):
    def hidePopup(self) -> None:
        super().hidePopup()
        if self.isEditable():
            self.clearFocus()  # what was chosen needs no more typing: keys are the window's again

    def wheelEvent(self, event) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class Content(QWidget):
    """What a Scroll shows. It asks for the height that its parts need at the least, not for the one they would like:
    pictures give way before anything has to be scrolled."""

    def heightForWidth(self, width: int) -> int:
        wrapped = self.layout().totalMinimumHeightForWidth(width)
        return wrapped if wrapped >= 0 else self.layout().totalMinimumSize().height()


class Flow(Content):
    """Content of wrapped sentences: as high as they are at the width there is. The layout's own least height is that of a
    narrow column, which would leave much to scroll over that is empty."""

    def minimumSizeHint(self) -> QSize:
        return QSize(super().minimumSizeHint().width(), 0)


class Scroll(QScrollArea):
    """Content that scrolls up and down when there is less room than it needs, and is never wider than the room there is."""

    def __init__(self, content: QWidget, name: str) -> None:
        super().__init__()
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.viewport().setAutoFillBackground(False)
        content.setAutoFillBackground(False)
        named(self, name)

    def minimumSizeHint(self):
        hint = super().minimumSizeHint()
        hint.setWidth(self.widget().minimumSizeHint().width() + self.verticalScrollBar().sizeHint().width())
        return hint


class Fold(QWidget):
    """A heading with an arrow; what it is about unfolds below. Beside the heading stands, in a few words, how it is set."""

    def __init__(self, title: str, help: str, body: QWidget) -> None:
        super().__init__()
        self.body = body
        self.head = QToolButton()
        self.head.setText(title)
        self.head.setCheckable(True)
        self.head.setProperty("folds", True)
        self.head.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.head.setArrowType(Qt.ArrowType.RightArrow)
        keyboard_only(named(self.head, title, help))
        self.words = Elided()
        named(self.words, f"{title}, as set")
        set_role(self.words, "muted")
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.head)
        row.addWidget(self.words, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(row)
        layout.addWidget(body)
        body.hide()
        self.head.toggled.connect(self._fold)

    def _fold(self, shown: bool) -> None:
        self.body.setVisible(shown)
        self.head.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)

    def say(self, words: str) -> None:
        self.words.setText(words)
        self.words.setToolTip(words)

    def unfolded_height(self) -> int:
        """What the part that folds away takes now."""
        return 0 if self.body.isHidden() else self.body.minimumSizeHint().height() + self.layout().spacing()


def field_width(widget: QWidget) -> int:
    """One width for all number fields of a panel, enough for "0.0000123" and its arrows."""
    return widget.fontMetrics().horizontalAdvance("0.0000123") + 48


def label_width(widget: QWidget) -> int:
    """One width for the words before a menu, so that menus begin at one line."""
    return widget.fontMetrics().horizontalAdvance("Through") + 8


def silently(widget: QWidget, change, *arguments) -> None:
    """Change a widget without its saying so."""
    blocked = widget.blockSignals(True)
    change(*arguments)
    widget.blockSignals(blocked)


def check(button: QAbstractButton, on: bool) -> None:
    """Check or uncheck without a signal."""
    silently(button, button.setChecked, on)
