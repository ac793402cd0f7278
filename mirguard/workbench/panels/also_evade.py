"""The menu of detectors that an attack is to deceive beside the model."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from mirguard.detectors.catalogue import find_detector
from mirguard.words import counted
from mirguard.workbench.document import Document
from mirguard.workbench.panels.tick_menu import TickMenu

NONE = "No detector"
HELP = "Detectors that the attack is to deceive as well: it knows them as it knows the model (an adaptive attack)"


class AlsoEvade(TickMenu):
    """`chosen` carries the names of the detectors."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Also evade", HELP, NONE, parent)
        self._known: tuple | None = None

    def show_detectors(self, document: Document) -> None:
        design, facts = document.design, document.reference
        there = () if facts is None else facts.detectors
        names = tuple((one.name, one.evades) for one in there)
        if names != self._known:
            self._known = names
            self._fill(names)
        titles = [find_detector(name).title for name in design.evade]
        chosen = NONE if not titles else titles[0] if len(titles) == 1 else counted(len(titles), "detector")
        self.show_chosen(design.evade, chosen, titles)
        trouble = ""
        if design.surrogates:
            trouble = "Who sees only stand-ins of the model cannot evade its detectors."
        elif not design.declaration.evades:
            trouble = f"{design.declaration.title} does not look at what comes of it, so it cannot evade a detector."
        elif not there:
            trouble = "No detector is fitted on this model yet (see the Detectors panel)."
        self.setEnabled(not trouble)
        if trouble:
            self.setToolTip(trouble)

    def _fill(self, names: tuple[tuple[str, bool], ...]) -> None:
        self.menu.clear()
        self.add(NONE, "", "Only the model is to be deceived")
        self.menu.addSeparator()
        for name, evades in names:
            about = find_detector(name)
            action = self.add(about.title, name, about.help)
            if not evades:
                action.setEnabled(False)
                action.setToolTip("It gives no gradient to follow.")
