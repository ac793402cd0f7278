"""Putting a theme on the application, and telling everybody who paints for himself."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from mirguard.errors import UsageError
from mirguard.workbench.theme import colours as palettes
from mirguard.workbench.theme.style import style_sheet

THEMES = ("system", "dark", "light")
_SCHEMES = {"system": Qt.ColorScheme.Unknown, "dark": Qt.ColorScheme.Dark, "light": Qt.ColorScheme.Light}


class Notifier(QObject):
    """Its `changed` comes after the palette and the style sheet have changed."""

    changed = Signal()
    _listening = False

    def listen(self, hints) -> None:
        """Hear from the desktop, once."""
        if not self._listening:
            self._listening = True
            hints.colorSchemeChanged.connect(self._follow_desktop)

    def _follow_desktop(self) -> None:
        app = QApplication.instance()
        if _chosen == "system" and app is not None and palettes.colours().name != effective_theme("system"):
            _dress(app)


_notifier: Notifier | None = None
_chosen = "system"


def notifier() -> Notifier:
    """The one object whose `changed` signal says that `colours()` are new."""
    global _notifier
    if _notifier is None:
        _notifier = Notifier()
    return _notifier


def effective_theme(name: str) -> str:
    """ "dark" or "light": what a name stands for on this desktop. A desktop that says nothing gets the dark one."""
    if name not in THEMES:
        raise UsageError(f"There is no theme {name!r}; choose {', '.join(THEMES)}.")
    if name != "system":
        return name
    return "light" if QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Light else "dark"


def apply_theme(app: QApplication, name: str = "system") -> None:
    """Dress the whole application, now and, for "system", whenever the desktop changes its mind."""
    global _chosen
    effective_theme(name)
    _chosen = name
    hints = QGuiApplication.styleHints()
    notifier().listen(hints)
    hints.setColorScheme(_SCHEMES[name])
    _dress(app)


def _dress(app: QApplication) -> None:
    chosen = palettes.DARK if effective_theme(_chosen) == "dark" else palettes.LIGHT
    sheet = style_sheet(chosen)
    if chosen is palettes.colours() and app.styleSheet() == sheet:
        return  # restyling every widget takes a while
    palettes.use(chosen)
    if app.style().name().lower() != "fusion":
        app.setStyle("Fusion")
    app.setPalette(palettes.palette(chosen))
    app.setStyleSheet(sheet)
    notifier().changed.emit()
