"""The menu of models that an attack is made on: the one that it is to fool, or others that stand in for it."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QComboBox, QMenu, QSizePolicy, QWidget

from mirguard.words import counted
from mirguard.workbench.document import Document
from mirguard.workbench.panels.parts import keyboard_only, named

ITSELF = "The model itself"
HELP = "The models that the attack sees: the model itself, or others with its labels that stand in for it"


class SeenThrough(QComboBox):
    """Looks like the menus around it and opens one in which several entries can be ticked. `chosen` carries the names of the
    models that stand in, none for the model itself."""

    chosen = Signal(tuple)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._names: tuple[str, ...] = ()
        self._known: list | None = None
        self.menu = _LastingMenu(self)
        self.menu.setToolTipsVisible(True)
        self.menu.setProperty("boxes", True)  # empty ones too: several can be ticked
        self.addItem(ITSELF)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        keyboard_only(named(self, "Seen through", HELP))

    def showPopup(self) -> None:
        self.menu.setMinimumWidth(self.width())
        self.menu.popup(self.mapToGlobal(self.rect().bottomLeft()))

    def show_models(self, document: Document) -> None:
        there, needed = document.stand_ins, document.design.declaration.gradients
        names = document.design.surrogates
        if (there, needed) != self._known:
            self._known = (there, needed)
            self._fill(there, needed)
        self._names = names
        for action in self.menu.actions():
            name = action.data()
            if name is not None:
                action.setChecked(name in names if name else not names)
        titles = [info.title or info.name for info in there if info.name in names]
        self.setItemText(0, ITSELF if not names else titles[0] if len(titles) == 1 else counted(len(titles), "model"))
        self.setToolTip("\n".join([HELP, *titles]))

    def _fill(self, models: list, gradients: bool) -> None:
        self.menu.clear()
        self._add(ITSELF, "", "White box, or whatever the attack may ask of the model")
        self.menu.addSeparator()
        for info in models:
            action = self._add(info.title or info.name, info.name, info.how or info.note)
            if gradients and not info.gradients:
                action.setEnabled(False)
                action.setToolTip("It gives no gradients, and this attack needs them.")
        if not models:
            self.menu.addAction("No other model has the same labels").setEnabled(False)

    def _add(self, text: str, name: str, help: str):
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
