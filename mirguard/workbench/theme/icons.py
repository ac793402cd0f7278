"""Icons: SVG drawings in one stroke, coloured like the text they stand beside."""

from __future__ import annotations

import weakref
from functools import lru_cache

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QGuiApplication, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer
from shiboken6 import isValid

from mirguard.resources import resource
from mirguard.workbench.theme.apply import notifier
from mirguard.workbench.theme.colours import colours

SIZES = (16, 20, 24, 32)
ICONS = (
    *("play", "pause", "stop", "loop", "volume", "device"),
    *("original", "adversarial", "perturbation", "clip", "model", "detector"),
    *("zoom-in", "zoom-out", "fit", "open", "folder", "save", "export", "recent", "close"),
    *("run", "cancel", "settings", "theme", "help", "warning", "check", "flag", "target"),
    *("matrix", "send", "tag", "restrict", "up", "down", "dash"),
)


def pixmap(name: str, size: int = 24, colour: str | None = None, ratio: float | None = None) -> QPixmap:
    """One icon drawn `size` logical pixels high for a screen of that device pixel ratio (the screen's own if None).

    `colour` is #rrggbb; the text's if None.
    """
    ratio = ratio or _screen_ratio()
    side = max(1, round(size * ratio))
    drawn = _drawn(name, side, colour or colours().text)
    drawn = QPixmap(drawn)
    drawn.setDevicePixelRatio(ratio)
    return drawn


def icon(name: str, role: str = "text") -> QIcon:
    """The icon in the colour of a role ("text", "accent", "accent_text", "danger", "original" …), greyed when disabled.

    It is drawn at each usual size for the screens in use, so that it is crisp at 200 % too. The colour is that of the
    theme in force; `bind_icon` keeps up with a change.
    """
    made = QIcon()
    chosen = colours()
    for size in SIZES:
        for side in {size, round(size * _screen_ratio())}:
            made.addPixmap(_drawn(name, side, getattr(chosen, role)), QIcon.Mode.Normal)
            made.addPixmap(_drawn(name, side, getattr(chosen, role)), QIcon.Mode.Selected)
            made.addPixmap(_drawn(name, side, chosen.disabled), QIcon.Mode.Disabled)
    return made


_bound: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # action or button -> what its icon is
_following = False


def bind_icon(target, name: str, role: str = "text") -> None:
    """Give an action or a button its icon, and a fresh one whenever the theme changes."""
    global _following
    if not _following:
        notifier().changed.connect(_renew)
        _following = True
    _bound[target] = (name, role)
    target.setIcon(icon(name, role))


def _renew() -> None:
    for target, chosen in list(_bound.items()):
        if isValid(target):  # Qt may have deleted what Python still holds
            target.setIcon(icon(*chosen))


def app_icon() -> QIcon:
    """The program's own icon, in its own colours."""
    made = QIcon()
    for side in (16, 24, 32, 48, 64, 128, 256):
        made.addPixmap(_drawn("mirguard", side, "#000000"))
    return made


def _screen_ratio() -> float:
    app = QGuiApplication.instance()
    return app.devicePixelRatio() if isinstance(app, QGuiApplication) else 1.0


@lru_cache(maxsize=512)
def _drawn(name: str, side: int, colour: str) -> QPixmap:
    """The drawing `side` device pixels wide and high."""
    text = resource("icons", f"{name}.svg").read_text(encoding="utf-8").replace("currentColor", colour)
    renderer = QSvgRenderer(QByteArray(text.encode()))
    drawn = QPixmap(QSize(side, side))
    drawn.fill(Qt.GlobalColor.transparent)
    painter = QPainter(drawn)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    renderer.render(painter, QRectF(0, 0, side, side))
    painter.end()
    return drawn
