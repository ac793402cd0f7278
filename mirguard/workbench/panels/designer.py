"""The attack designer: which model, which attack, towards which label, how large, how long; and how it goes."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QComboBox, QCompleter, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from mirguard.attacks.attack import EPSILON, Attack
from mirguard.attacks.knowledge import LEVELS
from mirguard.parameters import Parameter
from mirguard.workbench.actions import tip
from mirguard.workbench.design import Design
from mirguard.workbench.document import Document, unsuited
from mirguard.workbench.families import in_families
from mirguard.workbench.panels.also_evade import AlsoEvade
from mirguard.workbench.panels.budget import BudgetBox
from mirguard.workbench.panels.parameter_form import WORDS as NORMS
from mirguard.workbench.panels.parameter_form import ParameterForm
from mirguard.workbench.panels.parts import (
    Flow,
    Fold,
    Scroll,
    combo,
    label,
    label_width,
    named,
    set_role,
    silently,
    tool_button,
)
from mirguard.workbench.panels.restriction import RestrictionBox
from mirguard.workbench.panels.run_row import RunRow
from mirguard.workbench.panels.seen_through import SeenThrough
from mirguard.workbench.views.grouped_entries import GroupedEntries
from mirguard.workbench.views.trace_plot import TracePlot
from mirguard.workbench.wording import fooled_by, sentence, where

ANY, NEEDED = "Any other label", "Choose a label …"
GOAL_HELP = "The label to bring out: as set above, the least likely one, or one by chance."


class DesignerPanel(QWidget):
    """Shows the document's design; asks for changes of it, for another model, for runs."""

    model_chosen = Signal(str)
    card_wanted = Signal()
    attack_chosen = Signal(str)
    target_chosen = Signal(object)  # a label, None for untargeted
    surrogates_chosen = Signal(tuple)  # names of models, none for the attacked one itself
    evasion_chosen = Signal(tuple)  # names of detectors
    budget_changed = Signal(str, float)
    limited = Signal(bool)
    value_changed = Signal(str, object)
    restricted = Signal(object)  # Restriction

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = combo("Model", "The classifier that is attacked", 14)
        self.model.setMaxVisibleItems(24)
        self.model.setItemDelegate(GroupedEntries(self.model))
        self.card_button = tool_button("model", "Model card", tip("model-card"))
        self.card_button.clicked.connect(self.card_wanted)
        self.attack = combo("Attack", "How the perturbation is made", 14)
        self.target = combo("Target", "The label to be heard instead; type to search", 14)
        self._make_searchable(self.target)
        self.attack.setItemDelegate(GroupedEntries(self.attack))
        self.attack.setMaxVisibleItems(32)
        self.seen_through = SeenThrough()
        self.also_evade = AlsoEvade()
        self.model_note = label("", "muted", wrap=True)
        self.attack_note = label("", "muted", wrap=True)
        self.budget = BudgetBox(EPSILON)
        self.parameters = ParameterForm()
        self.knowledge = label("", "muted")
        self.measure = label("", "muted", wrap=True)
        self.restriction = RestrictionBox()
        self.where = Fold("Only in", "Where in time and frequency the perturbation may be", self.restriction)
        self.trace = TracePlot("loss", "margin")
        self.trace.setMaximumHeight(340)
        self.trace.hide()  # until it is known whether there is room for it
        self.run_row = RunRow()

        self._fitting = QTimer(self, singleShot=True, interval=0)  # when what was changed has been laid out
        self._fitting.timeout.connect(self._fit_notes)

        self.settings = QWidget()
        settings = QVBoxLayout(self.settings)
        settings.setContentsMargins(0, 0, 0, 0)
        settings.setSpacing(6)
        for caption, menu, note in (
            ("Model", self.model, self.model_note),
            ("Attack", self.attack, self.attack_note),
            ("Target", self.target, None),
            ("Through", self.seen_through, self.knowledge),
            ("Evade", self.also_evade, None),
        ):
            text = label(caption)
            text.setMinimumWidth(label_width(text))
            text.setBuddy(menu)
            row = QHBoxLayout()
            row.setSpacing(10)
            row.addWidget(text)
            row.addWidget(menu, 1)
            if menu is self.model:
                row.addWidget(self.card_button)
            settings.addLayout(row)
            if note is not None:
                settings.addWidget(note)
        settings.addWidget(self.budget)
        settings.addWidget(self.measure)
        settings.addWidget(self.parameters)
        settings.addWidget(self.where)
        self._inner = inner = Flow()
        column = QVBoxLayout(inner)
        column.setContentsMargins(10, 10, 10, 6)
        column.setSpacing(6)
        column.addWidget(self.settings)
        column.addWidget(self.trace, 1)
        column.addStretch(0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        self._scroll = Scroll(inner, "Attack settings")
        layout.addWidget(self._scroll, 1)
        layout.addWidget(self.run_row)
        self.setMinimumHeight(200)

        self.model.activated.connect(lambda: self.model_chosen.emit(self.model.currentData()))
        self.attack.activated.connect(lambda: self.attack_chosen.emit(self.attack.currentData()))
        self.target.activated.connect(lambda: self.target_chosen.emit(self.target.currentData()))
        self.seen_through.chosen.connect(self.surrogates_chosen)
        self.also_evade.chosen.connect(self.evasion_chosen)
        self.budget.changed.connect(self.budget_changed)
        self.budget.limited.connect(self.limited)
        self.restriction.changed.connect(self.restricted)
        self.parameters.changed.connect(self.value_changed)
        for head in (self.parameters.more, self.where.head):
            head.toggled.connect(lambda _on: self._fitting.start())
        self._models: list = []
        self._attacks: tuple = ()
        self._labels: tuple[str, ...] | None = None

    def sizeHint(self) -> QSize:
        return QSize(340, 640)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_notes()

    def _explain(self, menu: QComboBox, note: QLabel, text: str) -> None:
        """A sentence on what is chosen, below its menu and in its tool tip."""
        note.setText(text)
        menu.setToolTip("\n".join(filter(None, (menu.accessibleDescription(), text))))
        self._fitting.start()

    def _fit_notes(self) -> None:
        """What the attack does is always said; what the model is, and how the attack goes, where there is room for it."""
        width, room = self._scroll.viewport().width(), self._scroll.viewport().height()
        margins = self._inner.layout().contentsMargins()
        inside = width - margins.left() - margins.right()
        self.attack_note.setVisible(bool(self.attack_note.text()))
        spacing = self.settings.layout().spacing()
        note = self.model_note.heightForWidth(inside) + spacing if self.model_note.text() else 0
        plot = self.trace.minimumHeight() + spacing
        needed = self._inner.heightForWidth(width)
        needed -= 0 if self.model_note.isHidden() else note
        needed -= 0 if self.trace.isHidden() else plot
        folded = needed - sum(part.unfolded_height() for part in (self.parameters, self.where))
        self.model_note.setVisible(0 < note <= room - folded)
        if not self.model_note.isHidden():
            needed += note
        self.trace.setVisible(plot <= room - needed)

    def _make_searchable(self, menu: QComboBox) -> None:
        menu.setEditable(True)
        menu.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        menu.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        completer = menu.completer()
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        named(menu.lineEdit(), "Target label", "Type to search")
        menu.lineEdit().editingFinished.connect(self._finish_target)
        menu.lineEdit().returnPressed.connect(menu.clearFocus)  # as from a number: keys are the window's again

    def _finish_target(self) -> None:
        """Words that are no label go back to what was chosen."""
        index = self.target.findText(self.target.lineEdit().text(), Qt.MatchFlag.MatchFixedString)
        if index < 0:
            self.target.lineEdit().setText(self.target.itemText(self.target.currentIndex()))
        elif index != self.target.currentIndex():
            self.target.setCurrentIndex(index)
            self.target_chosen.emit(self.target.currentData())

    # --- what is shown ---

    def show_models(self, document: Document) -> None:
        """The models there are, and which one is in use."""
        chosen = document.model.name if document.model else None
        known = list(document.models)
        if document.model is not None and chosen not in {info.name for info in known}:
            known.append(document.model)
        if known != self._models:
            self._models = known
            fill_models(self.model, known)
        silently(self.model, self.model.setCurrentIndex, self.model.findData(chosen))
        self.model.setPlaceholderText("Loading …")
        facts = document.model
        about = facts.note if facts is not None else document.model_state
        if facts is not None and not facts.differentiable and "gradient" not in about:
            about = f"{about} It gives no gradients: only attacks that need none can be used.".strip()
        self._explain(self.model, self.model_note, about)
        labels = facts.labels if facts is not None else None
        if labels != self._labels:
            self._labels = labels
            self.target.blockSignals(True)
            self.target.clear()
            self.target.addItem(ANY, None)
            for word in labels or ():
                self.target.addItem(word, word)
            self.target.blockSignals(False)

    def show_design(self, document: Document) -> None:
        design, entry = document.design, document.current
        if self._attacks != document.attacks:
            self._attacks = document.attacks
            fill_attacks(self.attack, document.attacks)
        silently(self.attack, self.attack.setCurrentIndex, self.attack.findData(design.attack))
        for attack in document.attacks:
            trouble = "" if design.surrogates else unsuited(attack, document.model)
            row = self.attack.findData(attack.name)
            self.attack.model().item(row).setEnabled(not trouble)
            about = f"{attack.help}\n{attack.reference}\n{attack.knowledge.capitalize()}: {LEVELS[attack.knowledge]}"
            self.attack.setItemData(row, trouble or about, Qt.ItemDataRole.ToolTipRole)
        declared = design.declaration
        trouble = document.attack_trouble
        self._explain(self.attack, self.attack_note, trouble or f"{declared.help} {sentence(declared.reference)}.")
        set_role(self.attack_note, "warning" if trouble else "muted")
        self._show_target(design)
        self.seen_through.show_models(document)
        self.also_evade.show_detectors(document)
        self.knowledge.setText(design.knowledge.capitalize())
        self.knowledge.setToolTip(LEVELS[design.knowledge])
        self.budget.show_budget(design, None if entry is None else entry.rms)
        names = [parameter.name for parameter in declared.parameters]
        fixed = declared.norm is not None and "norm" not in names
        self.measure.setText(f"Sizes are measured as {NORMS.get(declared.norm, declared.norm)}." if fixed else "")
        self.measure.setVisible(fixed)
        own = tuple(map(_in_the_window, (p for p in declared.parameters if p.name != "epsilon")))
        self.parameters.show_parameters(own, design.values, design.resolved(0.1 if entry is None else entry.rms))
        clip = None if entry is None else entry.clip
        extent = (10.0, 22_050.0) if clip is None else (clip.duration, clip.sample_rate / 2)
        self.restriction.show_restriction(design.restriction, *extent)
        self.where.say(where(design.restriction))

    def _show_target(self, design: Design) -> None:
        declared = design.declaration
        known = "The label to be heard instead; type to search"
        if not declared.targeted:
            known = f"{declared.title} knows no target: it makes any other label come out."
        elif design.chooses_target:
            known = "The goal that is set below chooses the label."
        self.target.setEnabled(declared.targeted and not design.chooses_target)
        self.target.setToolTip(known)
        self.target.setItemText(0, ANY if declared.untargeted or design.chooses_target else NEEDED)
        place = 0 if design.aim is None else max(0, self.target.findData(design.aim))
        silently(self.target, self.target.setCurrentIndex, place)
        self.target.lineEdit().setText(self.target.itemText(place))
        self.target.lineEdit().setCursorPosition(0)

    def show_where(self) -> None:
        """Unfold where the perturbation may be, and bring it into view."""
        self.where.head.setChecked(True)
        QTimer.singleShot(0, self, lambda: self._scroll.ensureWidgetVisible(self.where))

    def show_run(self, document: Document) -> None:
        """Settings stay free while an attack runs: a change counts for the next run."""
        self.run_row.show_run(document)
        self.model.setEnabled(document.run is None)
        self._show_trace(document)

    def show_progress(self, document: Document) -> None:
        self.run_row.show_run(document)
        self._show_trace(document)

    def _show_trace(self, document: Document) -> None:
        entry = document.current
        run = document.run
        if run is not None and (entry is None or run.key == entry.key):
            self.trace.follow(run.trace, run.design.step_word, fooled_by(run.design))
        else:
            design = entry.made_with[0] if entry is not None and entry.made_with else document.design
            self.trace.follow(None if entry is None else entry.trace, design.step_word, fooled_by(design))


def fill_attacks(menu: QComboBox, attacks: tuple[Attack, ...]) -> None:
    """A menu's entries, each attack in its family, under a heading that cannot be chosen."""
    menu.clear()
    for name, members in in_families(attacks):
        menu.addItem(name)
        menu.model().item(menu.count() - 1).setFlags(Qt.ItemFlag.NoItemFlags)
        for attack in members:
            menu.addItem(attack.title, attack.name)


def _in_the_window(parameter: Parameter) -> Parameter:
    """The true label of a clip is a target like others here, where nobody says which it is."""
    if parameter.name != "goal":
        return parameter
    return replace(parameter, choices=tuple(goal for goal in parameter.choices if goal != "perfect"), help=GOAL_HELP)


GROUPS = {"published": "Published", "bundled": "Bundled", "yours": "Yours", "plug-in": "From plug-ins"}


def fill_models(menu: QComboBox, models: list) -> None:
    """A menu's entries, each model in its group, under a heading that cannot be chosen where there is more than one."""
    menu.clear()
    kinds = [getattr(info, "kind", "plug-in") for info in models]
    order = [kind for kind in dict.fromkeys((*GROUPS, *kinds)) if kind in kinds]
    for kind in order:
        if len(order) > 1:
            menu.addItem(GROUPS.get(kind, kind.capitalize()))
            menu.model().item(menu.count() - 1).setFlags(Qt.ItemFlag.NoItemFlags)
        for info in (info for info, its in zip(models, kinds, strict=True) if its == kind):
            menu.addItem(_words(info), info.name)
            about = getattr(info, "how", "") or info.note
            menu.setItemData(menu.count() - 1, about, Qt.ItemDataRole.ToolTipRole)
            if getattr(info, "state", "ready") == "unusable":
                menu.model().item(menu.count() - 1).setEnabled(False)


def _words(info) -> str:
    """A model's entry in the menu, with its state where there is something to say of it."""
    title, state = info.title or info.name, getattr(info, "state", "ready")
    said = [state] if state != "ready" else []
    if not getattr(info, "gradients", True) and state != "unusable":
        said.append("no gradients")
    return f"{title} ({', '.join(said)})" if said else title
