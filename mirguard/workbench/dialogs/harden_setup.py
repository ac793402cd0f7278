"""How a model is to be hardened: by which defence, which model, on which sounds, under which name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QSpinBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from mirguard.datasets.synthesis import LABELS as TOY_LABELS
from mirguard.words import counted
from mirguard.workbench.control.hardening import Interrupted
from mirguard.workbench.defence_requests import HardenModel
from mirguard.workbench.dialogs.classifier_method import values_of
from mirguard.workbench.model_names import free_name, model_name_trouble
from mirguard.workbench.panels.parameter_form import ParameterForm
from mirguard.workbench.panels.parts import Flow, Scroll, combo, label, named, push_button, silently, tool_button
from mirguard.workbench.settings import Settings
from mirguard.workbench.views.grouped_entries import GroupedEntries

TOY, TOY_CLIPS, LEAST_TOY = "toy", 1000, 100
TAGGING = "tagging"
OWN = ("yours", "bundled")  # kinds of models that may have a network that can be trained here


class HardenSetup(QWidget):
    """`changed` when it may have become possible, or impossible, to begin; the other signals carry an Interrupted."""

    changed = Signal()
    resume_wanted = Signal(object)
    discard_wanted = Signal(object)

    def __init__(
        self,
        defences: Sequence[Any],
        models: Sequence[Any],
        chosen: str,
        settings: Settings,
        parent: QWidget | None = None,
    ) -> None:
        """`chosen` is the model that is offered first."""
        super().__init__(parent)
        self._defences, self._settings = {one.name: one for one in defences}, settings
        self._given: dict[str, dict[str, Any]] = {one.name: {} for one in defences}
        self._models: dict[str, Any] = {}
        self._own_name = False
        self._interrupted: Interrupted | None = None
        self.list = QListWidget()
        named(self.list, "Defences", "Ways to harden a model")
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setItemDelegate(GroupedEntries(self.list))
        for one in defences:
            item = QListWidgetItem(one.title)
            item.setData(Qt.ItemDataRole.UserRole, one.name)
            item.setToolTip(one.help)
            self.list.addItem(item)
        self.title, self.help = label("", "heading", wrap=True), label("", wrap=True)
        self.knowledge, self.reference = label("", wrap=True), label("", "muted", wrap=True)
        self.forms = QStackedWidget()
        self._forms = {}
        for one in defences:
            form = self._forms[one.name] = ParameterForm()
            form.changed.connect(self._set)
            form.show_parameters(one.parameters, {}, values_of(one, {}))
            self.forms.addWidget(form)
        inner = Flow()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 8, 0)
        column.setSpacing(8)
        for part in (self.title, self.help, self.knowledge, self.reference):
            column.addWidget(part)
        column.addSpacing(4)
        column.addWidget(self.forms)
        column.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(12)
        layout.addWidget(self._offer())
        columns = QHBoxLayout()
        columns.setSpacing(18)
        columns.addWidget(self.list, 5)
        columns.addWidget(Scroll(inner, "Settings of the defence"), 8)
        columns.addLayout(self._right(), 6)
        layout.addLayout(columns, 1)
        self.set_models(models, chosen)
        self.list.currentItemChanged.connect(self._chosen)
        self.list.setCurrentRow(0)

    def _offer(self) -> QWidget:
        """What was interrupted, and what can be done about it."""
        self.offer = QWidget()
        self.offer_words = label("", wrap=True)
        resume = push_button("Resume", "run", "Go on where it was interrupted")
        discard = push_button("Discard", "", "Let go of what was learned until then")
        self.resume_button, self.discard_button = resume, discard
        resume.clicked.connect(lambda: self.resume_wanted.emit(self._interrupted))
        discard.clicked.connect(lambda: self.discard_wanted.emit(self._interrupted))
        row = QHBoxLayout(self.offer)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.offer_words, 1)
        for button in (resume, discard):
            button.setAutoDefault(False)
            row.addWidget(button)
        self.offer.hide()
        return self.offer

    def _right(self) -> QVBoxLayout:
        self.model = combo("Model to harden", "It stays as it is; the hardened one comes beside it", 18)
        self.model.currentIndexChanged.connect(self._parent_chosen)
        self.source = combo(
            "Sounds to learn from", "With the model's own labels: what it was trained on, or more of the kind", 18
        )
        self.source.setPlaceholderText("Choose a labelled folder")
        self.source.currentIndexChanged.connect(self._source_chosen)
        self.folder_button = tool_button("folder", "Choose a folder with one sub-folder for each label")
        self.folder_button.clicked.connect(self._browse)
        place = QHBoxLayout()
        place.setSpacing(6)
        place.addWidget(self.source, 1)
        place.addWidget(self.folder_button)
        self.toy = QSpinBox()
        self.toy.setRange(LEAST_TOY, 100_000)
        self.toy.setSingleStep(100)
        self.toy.setValue(TOY_CLIPS)
        self.toy.setSuffix(" clips")
        named(self.toy, "Number of synthetic clips", "They are made once and kept")
        self.name_field = QLineEdit()
        self.name_field.setMaxLength(80)
        named(self.name_field, "Name of the hardened model", "What it is called in the model menu")
        self.name_field.textEdited.connect(self._named)
        self.name_words = label("", "danger", wrap=True)
        self.seed = QSpinBox()
        self.seed.setRange(0, 2**31 - 1)
        named(
            self.seed,
            "Seed",
            "It divides the sounds, too: take the model's own, or clips are tested on that it has heard",
        )
        form = QFormLayout()
        form.setHorizontalSpacing(10)
        form.setVerticalSpacing(8)
        for words, part in (
            ("Model", self.model),
            ("Sounds", place),
            ("", self.toy),
            ("Name", self.name_field),
            ("", self.name_words),
            ("Seed", self.seed),
        ):
            form.addRow(words, part)
        self._form = form
        self.about_data = label("", "muted", wrap=True)
        column = QVBoxLayout()
        column.setSpacing(8)
        column.addLayout(form)
        column.addWidget(self.about_data)
        column.addStretch(1)
        return column

    # --- what was chosen ---

    @property
    def defence(self) -> Any:
        item = self.list.currentItem()
        return self._defences[item.data(Qt.ItemDataRole.UserRole)] if item is not None else None

    @property
    def form(self) -> ParameterForm:
        """That of the defence chosen."""
        return self._forms[self.defence.name]

    @property
    def parent_info(self) -> Any:
        return self._models.get(self.model.currentData())

    def wish(self) -> HardenModel:
        source = self.source.currentData()
        return HardenModel(
            self.model.currentData(),
            self.name_field.text().strip(),
            self.defence.name,
            source if isinstance(source, Path) else None,
            self.toy.value() if source == TOY else 0,
            self.seed.value(),
            False,
            tuple(self._given[self.defence.name].items()),
        )

    def trouble(self) -> str:
        """Why it cannot begin, in a sentence; "" if it can."""
        info = self.parent_info
        if info is None:
            return "There is no network here that could be hardened; train one first."
        if info.task == TAGGING and not self.defence.tags:
            return f"{self.defence.title} needs classes that exclude each other; {info.title or info.name} is a tagger."
        if self.source.currentIndex() < 0:
            return "Choose the sounds to learn from."
        return model_name_trouble(self.name_field.text().strip(), self._taken)

    # --- what is shown ---

    def set_models(self, models: Sequence[Any], chosen: str = "") -> None:
        """The models that may be hardened; names of all are taken."""
        self._taken = tuple(info.name for info in models)
        self._models = {
            info.name: info for info in models if info.kind in OWN and info.gradients and info.state == "ready"
        }
        kept = chosen or self.model.currentData()
        self.model.blockSignals(True)
        self.model.clear()
        for info in self._models.values():
            self.model.addItem(info.title or info.name, info.name)
        self.model.setCurrentIndex(max(0, self.model.findData(kept)) if self._models else -1)
        self.model.blockSignals(False)
        self._parent_chosen()

    def show_interrupted(self, found: Sequence[Interrupted]) -> None:
        """Offer to go on with the first of these."""
        self._interrupted = found[0] if found else None
        self.offer.setVisible(bool(found))
        if found:
            one = found[0]
            title = (
                self._defences[one.wish.defence].title.lower()
                if one.wish.defence in self._defences
                else one.wish.defence
            )
            more = f" ({len(found) - 1} more after it)" if len(found) > 1 else ""
            self.offer_words.setText(
                f"{one.wish.name} ({title} of {one.wish.parent}) was interrupted after {counted(one.epochs, 'epoch')}.{more}"
            )

    def set_folder(self, folder: str | Path) -> None:
        """Sounds from there."""
        folder = Path(folder)
        self._settings.set_folder("dataset", folder)
        place = next((n for n in range(self.source.count()) if self.source.itemData(n) == folder), -1)
        if place < 0:
            self.source.addItem(str(folder), folder)
            place = self.source.count() - 1
        self.source.setCurrentIndex(place)
        self._source_chosen()

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(
            self, "Folder with one sub-folder for each label", self._settings.folder("dataset")
        )
        if folder:
            self.set_folder(folder)

    def _chosen(self) -> None:
        one = self.defence
        self.title.setText(one.title)
        self.help.setText(one.help)
        self.knowledge.setText(one.knowledge)
        self.reference.setText(one.reference)
        self.forms.setCurrentWidget(self._forms[one.name])
        self._suggest_name()
        self.changed.emit()

    def _set(self, name: str, value: Any) -> None:
        given, one = self._given[self.defence.name], self.defence
        if value is None:
            given.pop(name, None)
        else:
            given[name] = value
        self._forms[one.name].show_parameters(one.parameters, given, values_of(one, given))

    def _parent_chosen(self) -> None:
        info = self.parent_info
        data = info.card.get("data") if info is not None else None
        if isinstance(data, dict) and data.get("name"):
            self.about_data.setText(f"{info.title or info.name} learned from {data['name']}.")
        else:
            self.about_data.setText("")
        toy = info is not None and set(info.labels) == set(TOY_LABELS)
        at = self.source.findData(TOY)
        if toy and at < 0:
            self.source.insertItem(0, "Synthetic toy clips", TOY)
            self.source.setCurrentIndex(0)
        elif not toy and at >= 0:
            self.source.removeItem(at)
        kept = self._settings.folder("dataset")
        if kept and all(self.source.itemData(n) != Path(kept) for n in range(self.source.count())):
            self.source.addItem(kept, Path(kept))
            if self.source.count() > 1:
                return self._source_chosen()
            silently(self.source, self.source.setCurrentIndex, -1)
        self._suggest_name()
        self._source_chosen()
        return None

    def _source_chosen(self) -> None:
        self._form.setRowVisible(self.toy, self.source.currentData() == TOY)
        self.changed.emit()

    def _suggest_name(self) -> None:
        """A free name after the model's and the defence's, unless the person gave one."""
        if not self._own_name and self.defence is not None and self.parent_info is not None:
            self.name_field.setText(free_name(f"{self.parent_info.name}-{self.defence.name}", self._taken))
            self.name_field.setCursorPosition(0)  # a long name is seen from its beginning
        self._show_name()

    def _named(self) -> None:
        self._own_name = bool(self.name_field.text().strip())
        self._show_name()
        self.changed.emit()

    def _show_name(self) -> None:
        trouble = model_name_trouble(self.name_field.text().strip(), self._taken)
        self.name_words.setText(trouble)
        self._form.setRowVisible(self.name_words, bool(trouble))
