"""The work behind every entry of the table of actions."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QFileDialog
from shiboken6 import isValid

from mirguard.attacks.restriction import FREE
from mirguard.sound_files import SOUNDS
from mirguard.workbench.bench import WARNING
from mirguard.workbench.dataset_deeds import DatasetDeeds
from mirguard.workbench.detector_deeds import DetectorDeeds
from mirguard.workbench.dialogs import sheets
from mirguard.workbench.dialogs.export import ExportDialog
from mirguard.workbench.dialogs.listening_test import ListeningTest, told
from mirguard.workbench.dialogs.model_card import ModelCard
from mirguard.workbench.dialogs.new_classifier import RESULT, NewClassifierDialog
from mirguard.workbench.dialogs.universal import UniversalDialog

if TYPE_CHECKING:
    from mirguard.models.catalogue import ModelInfo
    from mirguard.workbench.facts import Entry
    from mirguard.workbench.settings import Ear
    from mirguard.workbench.window import Window


class Deeds:
    """Methods called like the deeds they do; `table` names them all."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self.datasets = DatasetDeeds(window)
        self.detectors = DetectorDeeds(window)
        self._wizard: NewClassifierDialog | None = None

    def table(self) -> dict[str, Callable]:
        """The work of every deed, for `make_actions`."""
        window = self._window
        listening, stack = window.listening, window.spectrograms.stack
        return {
            "open": self.open,
            "open-folder": self.open_folder,
            "demo": window.loading.open_demo,
            "export": self.export,
            "close-clip": self.close_clip,
            "quit": window.quit,
            "new-classifier": self.new_classifier,
            "add-model": self.add_model,
            "model-card": self.model_card,
            "run": window.attacking.run,
            "cancel": self.cancel,
            "live": self.live,
            "restrict": self.restrict,
            "unrestrict": lambda: window.document.change_design(restriction=FREE),
            "universal": self.universal,
            "reference": self.reference,
            "play": listening.toggle,
            "stop": listening.stop,
            "loop": self.loop,
            "loop-start": listening.set_loop_start,
            "loop-end": listening.set_loop_end,
            "start": listening.go_to_start,
            "end": listening.go_to_end,
            "swap": listening.swap,
            "hear-original": lambda: listening.select_number(0),
            "hear-adversarial": lambda: listening.select_number(1),
            "hear-perturbation": lambda: listening.select_number(2),
            "listening-test": self.listening_test,
            "ear-budget": self.ear_budget,
            "transfer": lambda: self.bring("transfer"),
            "checks": lambda: self.bring("checks"),
            "zoom-in": lambda: stack.zoom(2.0),
            "zoom-out": lambda: stack.zoom(0.5),
            "fit": stack.fit,
            "page-left": lambda: stack.pan(-0.9),
            "page-right": lambda: stack.pan(0.9),
            "full-screen": self.full_screen,
            "reset-layout": window.arrange,
            "help": lambda: self.show(sheets.guide(window)),
            "keys": lambda: self.show(sheets.key_sheet(window)),
            "about": self.about,
            **self.datasets.table(),
            **self.detectors.table(),
        }

    def open(self) -> None:
        patterns = " ".join(f"*{suffix}" for suffix in sorted(SOUNDS))
        files, _ = QFileDialog.getOpenFileNames(
            self._window, "Open", self._window.settings.folder("open"), f"Sound ({patterns});;All files (*)"
        )
        if files:
            self._window.settings.set_folder("open", Path(files[0]).parent)
            self._window.loading.open(files)

    def open_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self._window, "Open folder", self._window.settings.folder("open"))
        if folder:
            self._window.settings.set_folder("open", folder)
            self._window.loading.open([folder])

    def close_clip(self) -> None:
        key = self._window.document.current_key
        if key is not None:
            self._window.document.remove(key)

    def cancel(self) -> None:
        """Esc: whatever takes long stops; with nothing to stop, the mouse draws no longer, and messages go."""
        window = self._window
        stops = (
            window.transmitting,
            window.generalising,
            window.probing,
            window.carrying,
            window.checking,
            window.measuring,
            window.hardening,
            window.adding,
        )
        for work in (window.attacking.cancel, window.detecting.cancel_building, *(part.cancel for part in stops)):
            if work():
                return
        if window.learning.cancel() or window.browsing.cancel():
            return
        if window.actions_by_name["restrict"].isChecked():
            self.restrict(False)
        else:
            window.messages.clear()

    # --- models ---

    def new_classifier(self, source: Path | None = None) -> None:
        """The wizard, once at a time; `source` is a folder to begin with."""
        from mirguard.datasets.mirdata_sets import list_known
        from mirguard.models.training.methods import list_methods

        window = self._window
        dialog = self._wizard
        if dialog is None or not isValid(dialog):
            dialog = self._wizard = NewClassifierDialog(
                window.learning, list_methods(), window.document.models, window.settings, list_known(), window
            )
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.use_wanted.connect(window.modelling.choose)
            dialog.card_wanted.connect(self.model_card)
        if dialog.isVisible():
            dialog.raise_()
        dialog.show()
        dialog.activateWindow()
        if source is not None:
            dialog.scan(source)

    def show_models(self) -> None:
        """The wizard has to know which names are taken and what is here."""
        self.detectors.show_models()
        if self._wizard is not None and isValid(self._wizard):
            self._wizard.set_models(self._window.document.models)

    def add_model(self) -> None:
        window = self._window
        file, _ = QFileDialog.getOpenFileName(
            window, "Add a model", window.settings.folder("model"), "Models (model.toml *.toml *.zip);;All files (*)"
        )
        if file:
            window.settings.set_folder("model", Path(file).parent)
            window.adding.add(file)

    def model_card(self, name: str | None = None) -> None:
        """The card of that model; without a name, of the one that is chosen."""
        document = self._window.document
        wanted = name or (document.model.name if document.model else self._window.designer.model.currentData())
        info = next((info for info in document.models if info.name == wanted), None)
        if info is not None:
            self.show_card(info)

    def show_card(self, info: ModelInfo, news: str = "") -> None:
        """A model's card, with what has just happened to it above."""
        window = self._window
        in_use = window.document.model is not None and window.document.model.name == info.name
        card = ModelCard(info, in_use, news, window)
        card.use_wanted.connect(window.modelling.choose)
        card.use_wanted.connect(self._end_wizard)
        card.remove_wanted.connect(window.adding.remove)
        self.show(card)

    def _end_wizard(self) -> None:
        """A wizard that has done its work goes when the model is in use."""
        if self._wizard is not None and isValid(self._wizard) and self._wizard.page == RESULT:
            self._wizard.accept()

    def live(self, on: bool) -> None:
        self._window.attacking.set_live(on)
        self._window.designer.run_row.show_live(on)
        self._window.actions_by_name["live"].setChecked(on)

    def restrict(self, on: bool) -> None:
        """Let the mouse draw on the spectrograms where the perturbation may be."""
        window = self._window
        if on:
            window.docks["spectrograms"].raise_()
            window.designer.show_where()
        window.spectrograms.show_drawing(on)
        window.designer.restriction.show_drawing(on)
        window.actions_by_name["restrict"].setChecked(on)

    def reference(self) -> None:
        window = self._window
        folder = QFileDialog.getExistingDirectory(window, "Folder of clean music", window.settings.folder("reference"))
        if folder:
            window.settings.set_folder("reference", folder)
            window.detecting.build(folder)

    def listening_test(self) -> None:
        """At which SNR the perturbation of the clip on screen can just not be heard."""
        window = self._window
        entry = window.document.current
        if entry is None or entry.outcome is None or not math.isfinite(entry.outcome.snr_db or math.nan):
            window.bench.say("Run an attack first: the listening test is about its perturbation.", WARNING)
            return
        window.stepping.back()
        dialog = ListeningTest(entry, window.listening, window)

        def found(ear: Ear) -> None:
            window.settings.ear = ear

        dialog.found.connect(found)
        dialog.use_wanted.connect(self.ear_budget)
        self.show(dialog)

    def ear_budget(self) -> None:
        """The level that could just not be told becomes the budget; the listening test comes first where there is none."""
        window = self._window
        ear = window.settings.ear
        if ear is None:
            self.listening_test()
            return
        limited = window.document.design.limited or window.document.design.seeks_smallest
        window.document.change_design(held="snr", level=ear.snr_db, limited=limited)
        window.bench.say(f"The budget is what you could just not tell on {ear.clip}: {told(ear)}.")

    def universal(self) -> None:
        """Ask what to make, and show how far it is and what it achieves."""
        window, document = self._window, self._window.document
        if document.model is None:
            window.bench.say("Choose a model first; a universal perturbation is made for one.", WARNING)
            return
        clips = [entry.clip for entry in document.entries.values()]
        dialog = UniversalDialog(document.model, clips, window.settings, window)
        generalising = window.generalising
        dialog.wanted.connect(generalising.make)
        dialog.cancel_wanted.connect(generalising.cancel)
        generalising.working.connect(dialog.show_progress)
        generalising.made.connect(dialog.show_made)
        generalising.failed.connect(dialog.show_trouble)
        generalising.cancelled.connect(dialog.show_cancelled)
        self.show(dialog)

    def bring(self, panel: str) -> None:
        """Bring a panel to the front."""
        self._window.docks[panel].show()
        self._window.docks[panel].raise_()

    def export_transfer(self) -> None:
        window = self._window
        path, _ = QFileDialog.getSaveFileName(
            window,
            "Export the transfer matrix",
            str(Path(window.settings.folder("export")) / "transfer.csv"),
            "CSV (*.csv)",
        )
        if path:
            window.settings.set_folder("export", Path(path).parent)
            window.carrying.export(Path(path))

    def loop(self, on: bool) -> None:
        listening, stack = self._window.listening, self._window.spectrograms.stack
        if on != (listening.loop is not None):
            listening.toggle_loop(stack.visible_times())
        self._window.actions_by_name["loop"].setChecked(listening.loop is not None)

    def full_screen(self, on: bool) -> None:
        if on:
            self._window.showFullScreen()
        else:
            self._window.showNormal()

    def export(self) -> None:
        """Ask where to, and show what the files are heard as."""
        window = self._window
        entry = window.document.current
        if entry is None or entry.outcome is None:
            window.bench.say("There is nothing to export yet; run an attack first.", WARNING)
            return
        dialog = ExportDialog(entry, window.settings.folder("export") or str(self._beside(entry)), window)

        def wanted(what: str, path: str, subtype: str) -> None:
            window.settings.set_folder("export", Path(path).parent)
            if not window.exporting.export(what, path, subtype, entry):
                dialog.refused(what)

        dialog.wanted.connect(wanted)
        window.exporting.exported.connect(dialog.show_result)
        self.show(dialog)

    @staticmethod
    def _beside(entry: Entry) -> Path:
        """The folder of the clip's file, if a person can keep something there and would: else the person's own."""
        source = entry.clip.source
        program = Path(__file__).resolve().parents[2]
        if source is None or program in source.resolve().parents or not os.access(source.parent, os.W_OK):
            return Path.home()
        return source.parent

    def about(self) -> None:
        from mirguard.resources import data_folder

        self.show(sheets.about(str(data_folder()), self._window))

    def show(self, dialog: QDialog) -> None:
        """A dialog beside which the window goes on living; it is gone when closed."""
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()
