"""The menu of models that an attack is made on: the one that it is to fool, or others that stand in for it."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from mirguard.words import counted
from mirguard.workbench.document import Document
from mirguard.workbench.panels.tick_menu import TickMenu

ITSELF = "The model itself"
HELP = "The models that the attack sees: the model itself, or others with its labels that stand in for it"


class SeenThrough(TickMenu):
    """`chosen` carries the names of the models that stand in, none for the model itself."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Seen through", HELP, ITSELF, parent)
        self._known: list | None = None

    def show_models(self, document: Document) -> None:
        there, needed = document.stand_ins, document.design.declaration.gradients
        if (there, needed) != self._known:
            self._known = (there, needed)
            self._fill(there, needed)
        names = document.design.surrogates
        titles = [info.title or info.name for info in there if info.name in names]
        words = ITSELF if not names else titles[0] if len(titles) == 1 else counted(len(titles), "model")
        self.show_chosen(names, words, titles)

    def _fill(self, models: list, gradients: bool) -> None:
        self.menu.clear()
        self.add(ITSELF, "", "White box, or whatever the attack may ask of the model")
        self.menu.addSeparator()
        for info in models:
            action = self.add(info.title or info.name, info.name, info.how or info.note)
            if gradients and not info.gradients:
                action.setEnabled(False)
                action.setToolTip("It gives no gradients, and this attack needs them.")
        if not models:
            self.menu.addAction("No other model has the same labels").setEnabled(False)
