"""A menu that looks like the others of a form and in which several entries can be ticked."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction, QMouseEvent
from PySide6.QtWidgets import QComboBox, QMenu, QSizePolicy, QWidget

from mirguard.workbench.panels.parts import keyboard_only, named


class TickMenu(QComboBox):
    """`chosen` carries the names that are ticked; the entry with no name, called `none`, stands for none of them."""

    chosen = Signal(tuple)

    def __init__(self, name: str, help: str, none: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._names: tuple[str, ...] = ()
        self._help = help
        self.menu = _LastingMenu(self)
        self.menu.setToolTipsVisible(True)
        self.menu.setProperty("boxes", True)  # empty ones too: several can be ticked
        self.addItem(none)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        keyboard_only(named(self, name, help))

    def showPopup(self) -> None:
        self.menu.setMinimumWidth(self.width())
        self.menu.popup(self.mapToGlobal(self.rect().bottomLeft()))

    def show_chosen(self, names: tuple[str, ...], words: str, titles: Sequence[str] = ()) -> None:
        """Tick these and say in `words` what is chosen; the tooltip lists the `titles`."""
        self._names = names
        for action in self.menu.actions():
            name = action.data()
            if name is not None:
                action.setChecked(name in names if name else not names)
        self.setItemText(0, words)
        self.setToolTip("\n".join([self._help, *titles]))

    def add(self, text: str, name: str, help: str) -> QAction:
        """One more entry; no name stands for none."""
        action = self.menu.addAction(text)
        action.setCheckable(True)
        action.setData(name)
        action.setToolTip(help)
        action.triggered.connect(lambda on, name=name: self._choose(name, on))
        return action

    def _choose(self, name: str, on: bool) -> None:
        if not name:
            self.chosen.emit(())
        else:
            kept = tuple(other for other in self._names if other != name)
            self.chosen.emit((*kept, name) if on else kept)


class _LastingMenu(QMenu):
    """A menu that stays open while its boxes are ticked."""

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        action = self.actionAt(event.position().toPoint())
        if action is not None and action.isEnabled() and action.isCheckable():
            action.trigger()
        else:
            super().mouseReleaseEvent(event)
