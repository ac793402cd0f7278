"""The menu of what can be done with the rows chosen in the dataset browser."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QWidget

from mirguard.workbench.actions import BROWSER_DEEDS
from mirguard.workbench.theme import bind_icon


def row_menu(parent: QWidget, enabled: bool, do: Callable[[str], None]) -> QMenu:
    """A menu that calls `do` with the name of a deed of BROWSER_DEEDS; it ends when it is closed."""
    menu = QMenu(parent)
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    for name, deed in BROWSER_DEEDS.items():
        if name in ("row-accept", "row-undecide"):
            menu.addSeparator()
        action = QAction(deed.text, menu)
        action.setEnabled(enabled)
        if deed.keys:
            # Shown only: the table hears its keys itself.
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
            action.setShortcut(QKeySequence(deed.keys[0]))
            action.setShortcutVisibleInContextMenu(True)
        if deed.icon:
            bind_icon(action, deed.icon)
        action.triggered.connect(lambda _checked=False, name=name: do(name))
        menu.addAction(action)
    return menu
