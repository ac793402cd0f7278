"""Messages that come up in a corner and never stop the work: notes go by themselves, errors stay."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QAccessible, QAccessibleEvent, QColor, QPainter, QPen
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from mirguard.workbench.bench import ERROR, NOTE, WARNING
from mirguard.workbench.panels.parts import push_button, tool_button
from mirguard.workbench.theme import colours, pixmap

SECONDS = {NOTE: 6, WARNING: 12, ERROR: 0}
ICONS = {NOTE: ("check", "good"), WARNING: ("warning", "warning"), ERROR: ("warning", "danger")}
MOST = 4  # on screen at a time
WIDTH = 400


class Message(QWidget):
    """One message; the same again is counted instead of shown twice."""

    closed = Signal(object)
    details_wanted = Signal(str, str)

    def __init__(self, kind: str, sentence: str, details: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.kind, self.sentence, self.details = kind, sentence, details
        self._times = 1
        self._icon, self._role = ICONS[kind]
        self.setAccessibleName(f"{kind.capitalize()}: {sentence}")
        self.setFixedWidth(WIDTH)
        mark = QLabel()
        mark.setPixmap(pixmap(self._icon, 18, getattr(colours(), self._role)))
        self.text = QLabel(sentence)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setWordWrap(True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.text.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.MinimumExpanding)
        words = QVBoxLayout()
        words.setContentsMargins(0, 2, 0, 2)  # one line of it stands level with the mark and the cross
        words.addWidget(self.text)
        if details:
            more = push_button("Details …", "", "What happened, for a report to the program's makers")
            more.clicked.connect(lambda: self.details_wanted.emit(sentence, details))
            words.addWidget(more, 0, Qt.AlignmentFlag.AlignLeft)
        close = tool_button("close", "Close the message")
        close.clicked.connect(lambda: self.closed.emit(self))
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 10, 8, 10)
        row.setSpacing(10)
        row.addWidget(mark, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        row.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(lambda: self.closed.emit(self))
        self._restart()

    def again(self) -> None:
        """The same has happened once more."""
        self._times += 1
        self.text.setText(f"{self.sentence} (× {self._times})")
        self._restart()

    def _restart(self) -> None:
        if SECONDS[self.kind]:
            self._timer.start(1000 * SECONDS[self.kind])

    def enterEvent(self, event: QEvent) -> None:
        self._timer.stop()  # what is being read stays

    def leaveEvent(self, event: QEvent) -> None:
        self._restart()

    def paintEvent(self, event: QEvent) -> None:
        chosen = colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(chosen.border), 1))
        painter.setBrush(QColor(chosen.raised))
        painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), 6, 6)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(getattr(chosen, self._role)))
        painter.drawRoundedRect(0, 6, 4, self.height() - 12, 2, 2)
        painter.end()


class Messages(QObject):
    """Keeps the messages of a window stacked in its lower right corner, or in that of a part of it."""

    details_wanted = Signal(str, str)

    def __init__(self, window: QWidget, bottom: int = 36) -> None:
        super().__init__(window)
        self._window, self._bottom = window, bottom
        self._within: tuple[QWidget, ...] = ()
        self.shown: list[Message] = []
        window.installEventFilter(self)

    def keep_within(self, *parts: QWidget) -> None:
        """Stack them in the first of these parts of the window that can be seen: over what is looked at, not over what is
        pressed."""
        self._within = parts
        for part in parts:
            part.installEventFilter(self)

    def say(self, kind: str, sentence: str, details: str = "") -> None:
        for message in self.shown:
            if (message.kind, message.sentence) == (kind, sentence):
                message.again()
                return
        while len(self.shown) >= MOST:
            # The oldest that is no error goes first.
            self._close(next((m for m in self.shown if m.kind != ERROR), self.shown[0]))
        message = Message(kind, sentence, details, self._window)
        message.closed.connect(self._close)
        message.details_wanted.connect(self.details_wanted)
        self.shown.append(message)
        message.show()
        self._arrange()
        QAccessible.updateAccessibility(QAccessibleEvent(message, QAccessible.Event.Alert))

    def clear(self) -> None:
        for message in list(self.shown):
            self._close(message)

    def _close(self, message: Message) -> None:
        if message in self.shown:
            self.shown.remove(message)
            message.hide()
            message.deleteLater()
            self._arrange()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Move, QEvent.Type.Show, QEvent.Type.Hide):
            self._arrange()
        return False

    def _arrange(self) -> None:
        right, bottom = self._corner()
        for message in reversed(self.shown):
            height = message.layout().heightForWidth(WIDTH)
            message.resize(WIDTH, height)
            message.move(right - WIDTH, bottom - height)
            message.raise_()
            bottom -= height + 8

    def _corner(self) -> tuple[int, int]:
        """Right edge and bottom of the stack, in the window."""
        seen = (part for part in self._within if not part.visibleRegion().isEmpty() and part.window() is self._window)
        part = next(seen, None)
        if part is None or part.width() < WIDTH + 24:
            return self._window.width() - 12, self._window.height() - self._bottom
        corner = part.mapTo(self._window, part.rect().bottomRight())
        return corner.x() - 12, corner.y() - 12
