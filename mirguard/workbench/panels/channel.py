"""The way from the file to the model's ear: a list of effects with their sliders, hearing it, and what survives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Signal
from PySide6.QtWidgets import QCheckBox, QFileDialog, QFrame, QHBoxLayout, QLabel, QMenu, QVBoxLayout, QWidget

from mirguard.channel.chain import Chain, Link
from mirguard.channel.effect import Effect, find_effect, list_effects
from mirguard.words import counted
from mirguard.workbench.channel_requests import Passed
from mirguard.workbench.document import Document
from mirguard.workbench.facts import ADVERSARIAL, ORIGINAL
from mirguard.workbench.panels.parameter_form import ParameterForm
from mirguard.workbench.panels.parts import (
    Content,
    Elided,
    Scroll,
    check,
    keyboard_only,
    label,
    named,
    push_button,
    set_role,
    tool_button,
)
from mirguard.workbench.views.formats import format_percent
from mirguard.workbench.views.level_slider import LevelSlider

if TYPE_CHECKING:
    from mirguard.experiment.survival import Survived

NOTHING = "Sound goes straight from the file to the model. Add what lies between them: a room, noise, an MP3 encoder …"
CHANCE = "Where an effect has a range, each draw of the channel picks from it by chance."
ROBUST_HELP = (
    "Each step of the attack takes the mean over the sound itself and fresh draws of the channel (expectation over "
    "transformations): slower, but it holds behind the channel"
)
DRAWS_HELP = "Draws of the channel at each look of the attack"
TRIALS = 20


class ChannelPanel(QWidget):
    """Shows the design's chain; asks for changes of it, for hearing through it, and for counting what survives."""

    added = Signal(str, object)  # name of an effect, values that have no default
    removed = Signal(int)
    moved = Signal(int, int)  # place, by
    value_changed = Signal(int, str, object)
    robust_chosen = Signal(bool)
    draws_chosen = Signal(int)
    hearing_wanted = Signal(bool)
    draw_wanted = Signal()
    count_wanted = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._effects: tuple[str, ...] | None = None
        self.cards: list[EffectCard] = []
        self.add_button = push_button("Add an effect", "", "What the sound goes through, in this order")
        self.add_button.setProperty("menu", True)
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        for effect in list_effects():
            action = menu.addAction(effect.title)
            action.setToolTip(f"{effect.help}\n{effect.reference}")
            action.triggered.connect(lambda _checked=False, effect=effect: self._add(effect))
        self.add_button.setMenu(menu)
        self.nothing = label(NOTHING, "muted", wrap=True)
        self._list = QVBoxLayout()
        self._list.setSpacing(6)

        self.robust = QCheckBox("Attack through the channel")
        keyboard_only(named(self.robust, "Attack through the channel", ROBUST_HELP))
        self.draws = LevelSlider("Draws a look", 1, 64, 8, scale="log", about=DRAWS_HELP, integer=True)
        self.hear = push_button(
            "Hear through it", "volume", "Play original and adversarial as they come out of the channel"
        )
        self.hear.setCheckable(True)
        self.anew = push_button(
            "Another draw", "", "Hear it through another draw: chance picks the effects' values once more"
        )
        self.heard = {side: label("", wrap=True) for side in (ORIGINAL, ADVERSARIAL)}
        self.count = push_button(
            f"Count over {TRIALS} draws", "", "In how many draws of the channel the result still fools the model"
        )
        self.survived = label("", "muted", wrap=True)

        inner = Content()
        column = QVBoxLayout(inner)
        column.setContentsMargins(10, 10, 10, 10)
        column.setSpacing(8)
        column.addWidget(self.add_button)
        column.addWidget(self.nothing)
        column.addLayout(self._list)
        self.use = QWidget()
        use = QVBoxLayout(self.use)
        use.setContentsMargins(0, 0, 0, 0)
        use.setSpacing(8)
        use.addWidget(label(CHANCE, "muted", wrap=True))
        use.addWidget(_heading("In the attack"))
        use.addWidget(self.robust)
        use.addWidget(self.draws)
        use.addWidget(_heading("By ear"))
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        buttons.addWidget(self.hear, 1)
        buttons.addWidget(self.anew, 1)
        use.addLayout(buttons)
        for line in self.heard.values():
            use.addWidget(line)
        use.addWidget(_heading("Survival"))
        use.addWidget(self.count)
        use.addWidget(self.survived)
        column.addWidget(self.use)
        column.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(Scroll(inner, "Channel settings"))

        self.robust.clicked.connect(self.robust_chosen)
        self.draws.valueChanged.connect(lambda value: self.draws_chosen.emit(int(value)))
        self.hear.clicked.connect(self.hearing_wanted)
        self.anew.clicked.connect(self.draw_wanted)
        self.count.clicked.connect(lambda: self.count_wanted.emit(TRIALS))
        self.show_hearing(False)
        self.show_passed(None)
        self.show_survived(None)

    def sizeHint(self) -> QSize:
        return QSize(340, 640)

    def _add(self, effect: Effect) -> None:
        """An effect that needs files asks for the first of them."""
        values = {}
        for name in effect.files:
            path, _ = QFileDialog.getOpenFileName(self, f"{effect.title}: {name}")
            if not path:
                return
            values[name] = path
        self.added.emit(effect.name, values)

    # --- what is shown ---

    def show_design(self, document: Document) -> None:
        design = document.design
        self._show_chain(design.chain)
        self.nothing.setVisible(not design.chain)
        self.use.setVisible(bool(design.chain))
        check(self.robust, design.robust)
        self.draws.setVisible(design.robust)
        self.draws.blockSignals(True)
        self.draws.set_value(design.draws)
        self.draws.blockSignals(False)

    def _show_chain(self, chain: Chain) -> None:
        effects = tuple(one.effect for one in chain)
        if effects != self._effects:
            self._effects = effects
            for card in self.cards:
                card.setParent(None)
                card.deleteLater()
            self.cards = [EffectCard(place, one, len(chain)) for place, one in enumerate(chain)]
            for card in self.cards:
                self._list.addWidget(card)
                card.removed.connect(self.removed)
                card.moved.connect(self.moved)
                card.value_changed.connect(self.value_changed)
        for card, one in zip(self.cards, chain, strict=True):
            card.show_values(one)

    def show_hearing(self, on: bool) -> None:
        """Whether the player has what comes out of the channel."""
        check(self.hear, on)
        self.anew.setEnabled(on)

    def show_passed(self, passed: Passed | None) -> None:
        decisions = {} if passed is None else passed.decisions
        for side, line in self.heard.items():
            decision = decisions.get(side)
            line.setVisible(decision is not None)
            if decision is not None:
                line.setText(f"{side.capitalize()}: {decision.label} {format_percent(decision.confidence)}")
                set_role(line, side)

    def show_counting(self, share: float | None) -> None:
        """How far a count is; None when there is none."""
        self.count.setEnabled(share is None)
        self._say_survived("" if share is None else f"Counting … {format_percent(share)}")

    def show_survived(self, survived: Survived | None) -> None:
        if survived is None:
            self._say_survived("")
            return
        rate = survived.destruction
        undone = "" if rate is None else f" Destruction rate {format_percent(rate)}."
        self._say_survived(
            f"Fools the model in {survived.fooled} of {counted(survived.draws, 'draw')}; the original keeps its label in "
            f"{survived.original_right}.{undone}"
        )

    def _say_survived(self, words: str) -> None:
        self.survived.setText(words)
        self.survived.setVisible(bool(words))


class EffectCard(QFrame):
    """One effect of the chain with its sliders."""

    removed = Signal(int)
    moved = Signal(int, int)
    value_changed = Signal(int, str, object)

    def __init__(self, place: int, one: Link, count: int) -> None:
        super().__init__()
        self._effect = find_effect(one.effect)
        title = self._effect.title
        head = Elided(f"{place + 1}. {title}")
        set_role(head, "heading")
        head.setToolTip(f"{title}\n{self._effect.help}\n{self._effect.reference}")
        self.up = tool_button("up", f"{title} earlier", "Earlier in the chain")
        self.down = tool_button("down", f"{title} later", "Later in the chain")
        self.away = tool_button("close", f"Remove {title}", "Remove it from the chain")
        self.up.setEnabled(place > 0)
        self.down.setEnabled(place < count - 1)
        row = QHBoxLayout()
        row.setSpacing(0)
        row.addWidget(head, 1)
        for button in (self.up, self.down, self.away):
            row.addWidget(button)
        self.form = ParameterForm()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 6)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.form)
        self.up.clicked.connect(lambda: self.moved.emit(place, -1))
        self.down.clicked.connect(lambda: self.moved.emit(place, 1))
        self.away.clicked.connect(lambda: self.removed.emit(place))
        self.form.changed.connect(lambda name, value: self.value_changed.emit(place, name, value))

    def show_values(self, one: Link) -> None:
        values = dict(one.values)
        self.form.show_parameters(self._effect.parameters, values, values)


def _heading(text: str) -> QLabel:
    return label(text, "muted")
