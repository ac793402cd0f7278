"""Starting the workbench."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterable
from typing import Any

NO_SCREEN = (
    "There is no screen to open the workbench on (neither DISPLAY nor WAYLAND_DISPLAY is set); "
    "work in the terminal (mirguard --help), or run the demonstration: python -m mirguard.workbench.demonstration."
)
NO_QT = (
    "The window's libraries cannot be loaded ({reason}); on Debian and Ubuntu install them with: sudo apt install "
    "libgl1 libegl1 libxkbcommon0 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 "
    "libfontconfig1 libdbus-1-3 libglib2.0-0."
)

log = logging.getLogger("mirguard")


def has_screen() -> bool:
    """Whether a window can be opened: without one, Qt would end the process without an error that can be caught."""
    platform = os.environ.get("QT_QPA_PLATFORM", "")
    if sys.platform in ("win32", "darwin") or platform.startswith(("offscreen", "minimal", "vnc", "eglfs", "linuxfb")):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def main(files: Iterable[str] = (), model: str | None = None) -> int:
    """Open the workbench with these sound files; returns the exit status when the window has closed."""
    if not has_screen():
        print(f"mirguard: {NO_SCREEN}", file=sys.stderr)
        return 1
    try:
        app = make_application()
        from mirguard.workbench.window import Window
    except ImportError as error:
        print(f"mirguard: {NO_QT.format(reason=error)}", file=sys.stderr)
        return 1
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    window = Window()
    with Troubles(window.bench.say):
        _end_on_interrupt(app, window)
        window.show()
        # After the first picture, so that nothing delays it.
        window.start_soon(list(files), model)
        return app.exec()


def make_application() -> Any:
    """The Qt application in the theme the person chose."""
    from PySide6.QtCore import QCoreApplication
    from PySide6.QtWidgets import QApplication

    from mirguard import __version__
    from mirguard.workbench.settings import Settings
    from mirguard.workbench.theme import app_icon, apply_theme

    QCoreApplication.setApplicationName("MIRGuard")
    QCoreApplication.setApplicationVersion(__version__)
    app = QApplication.instance() or QApplication(sys.argv[:1])
    app.setWindowIcon(app_icon())
    app.setDesktopFileName("mirguard")
    apply_theme(app, Settings().theme)
    return app


def _end_on_interrupt(app: Any, window: Any) -> None:
    """Ctrl+C in the terminal closes the window as a person would. Python sees signals only between Qt's events, of which
    there is one now and then because the window looks at the player."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: window.close())


class Troubles:
    """Exceptions that nobody caught become a message in the window with their details, and a line in the log; the same
    one again is counted there, so that a fault in a paint method cannot flood the screen."""

    def __init__(self, say: Any) -> None:
        self._say, self._told = say, set()

    def __enter__(self) -> Troubles:
        self._before = sys.excepthook, threading.excepthook
        sys.excepthook = self.hear
        threading.excepthook = lambda args: self.hear(args.exc_type, args.exc_value, args.exc_traceback)
        return self

    def __exit__(self, *_: object) -> None:
        sys.excepthook, threading.excepthook = self._before

    def hear(self, kind: type[BaseException], error: BaseException | None, where: Any) -> None:
        if issubclass(kind, KeyboardInterrupt):
            self._before[0](kind, error, where)
            return
        details = "".join(traceback.format_exception(kind, error, where))
        place = where.tb_frame.f_code.co_name if where is not None else ""
        first = (kind, place) not in self._told
        self._told.add((kind, place))
        if first:
            log.error("unforeseen trouble\n%s", details)
        self._say(f"Something went wrong that was not foreseen ({kind.__name__}: {error}).", "error", details)
