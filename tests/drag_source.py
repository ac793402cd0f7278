"""A small window from which a file can be dragged, since xdotool cannot bring a file along.

python drag_source.py FILE X Y
"""

from __future__ import annotations

import sys

from PySide6.QtCore import QMimeData, Qt, QUrl
from PySide6.QtGui import QDrag
from PySide6.QtWidgets import QApplication, QLabel


class Source(QLabel):
    def __init__(self, file: str) -> None:
        super().__init__("drag me")
        self._file = file

    def mousePressEvent(self, event) -> None:
        self._pressed = event.position()

    def mouseMoveEvent(self, event) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton and (event.position() - self._pressed).manhattanLength() > 8:
            drag = QDrag(self)
            data = QMimeData()
            data.setUrls([QUrl.fromLocalFile(self._file)])
            drag.setMimeData(data)
            drag.exec(Qt.DropAction.CopyAction)


def main() -> int:
    app = QApplication(sys.argv[:1])
    source = Source(sys.argv[1])
    # Nobody manages it: it stays where it is put and takes no focus from the program.
    source.setWindowFlags(Qt.WindowType.X11BypassWindowManagerHint | Qt.WindowType.FramelessWindowHint)
    source.setGeometry(int(sys.argv[2]), int(sys.argv[3]), 80, 60)
    source.show()
    return app.exec()


if __name__ == "__main__":
    sys.exit(main())
