"""The work behind the actions of the dataset browser, and what leads where in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QApplication, QFileDialog

from mirguard.workbench.bench import WARNING
from mirguard.workbench.collection.collection import LABELLED, REVIEW

if TYPE_CHECKING:
    from mirguard.workbench.window import Window


class DatasetDeeds:
    """Asks for folders and files."""

    def __init__(self, window: Window) -> None:
        self._window = window

    def table(self) -> dict[str, Callable]:
        return {
            "open-dataset": self.open_dataset,
            "open-list": self.open_list,
            "open-review": self.open_review,
            "export-decisions": self.export,
        }

    def open_dataset(self) -> None:
        self._open_folder("Open a labelled folder", "dataset", LABELLED)

    def open_review(self) -> None:
        self._open_folder("Open a folder as a review queue", "review", REVIEW)

    def open_list(self) -> None:
        window = self._window
        path, _ = QFileDialog.getOpenFileName(
            window,
            "Open a list of labelled sounds",
            window.settings.folder("dataset"),
            "Lists (*.csv *.tsv);;All files (*)",
        )
        if path:
            window.settings.set_folder("dataset", Path(path).parent)
            self.show(path, LABELLED)

    def _open_folder(self, title: str, what: str, mode: str) -> None:
        window = self._window
        folder = QFileDialog.getExistingDirectory(window, title, window.settings.folder(what))
        if folder:
            window.settings.set_folder(what, folder)
            self.show(folder, mode)

    def show(self, path: str | Path, mode: str = "") -> None:
        """Open a folder or list in the browser and bring it to the front."""
        self.raise_browser()
        self._window.browsing.open(path, mode)

    def raise_browser(self) -> None:
        dock = self._window.docks["browser"]
        dock.show()
        dock.raise_()

    def export(self) -> None:
        window, collection = self._window, self._window.browsing.collection
        if collection is None or not any(row.record is not None for row in collection.rows):
            window.bench.say(
                "There are no decisions to export yet; open a dataset or review queue and decide.", WARNING
            )
            return
        suggested = (
            Path(window.settings.folder("decisions") or Path.home()) / f"{Path(collection.name).stem}-decisions.csv"
        )
        path, _ = QFileDialog.getSaveFileName(window, "Export decisions", str(suggested), "CSV (*.csv)")
        if path:
            chosen = Path(path) if Path(path).suffix else Path(path).with_suffix(".csv")
            window.settings.set_folder("decisions", chosen.parent)
            window.browsing.export(chosen)


def wire_browser(window: Window, deeds: DatasetDeeds) -> None:
    """Connect the browser's panel with its controller."""
    panel, browsing, document = window.browser, window.browsing, window.document
    opens = {"dataset": deeds.open_dataset, "list": deeds.open_list, "review": deeds.open_review}
    panel.open_wanted.connect(lambda kind: opens[kind]())
    panel.dropped.connect(deeds.show)
    panel.export_wanted.connect(deeds.export)
    panel.close_wanted.connect(browsing.close)
    panel.resume_wanted.connect(browsing.hearing.resume)
    panel.cancel_wanted.connect(browsing.cancel)
    panel.preferred.connect(browsing.look_at)
    panel.audition_wanted.connect(browsing.toggle_audition)
    panel.send_wanted.connect(browsing.send)
    panel.decided.connect(browsing.decide)
    panel.undecided.connect(browsing.undecide)
    panel.noted.connect(browsing.annotate)

    def opened() -> None:
        panel.show_collection(browsing.collection, browsing.labels_to_choose, document)
        if browsing.collection is not None and panel.isVisible():
            panel.table.setFocus()  # so that its keys count at once
        panel.show_progress(browsing.hearing.progress)

    browsing.opening.connect(panel.show_opening)
    browsing.leaving.connect(panel.finish_note)
    browsing.opened.connect(opened)
    browsing.hearing.news.connect(panel.show_news)
    browsing.hearing.progressed.connect(lambda: panel.show_progress(browsing.hearing.progress))
    browsing.auditioning.connect(lambda: panel.show_played(browsing.heard_row, browsing.playing))
    browsing.sent.connect(window.docks["spectrograms"].raise_)
    document.watch("model", lambda: panel.show_labels(browsing.labels_to_choose))
    for topic in ("model", "reference"):
        document.watch(topic, panel.show_figures)

    def hidden(visible: bool) -> None:
        # Behind another tab: what is played is the clip on screen again, and keys are the window's.
        if not visible:
            browsing.end_audition()
            if panel.isAncestorOf(QApplication.focusWidget() or window):
                window.spectrograms.stack.setFocus()

    window.docks["browser"].visibilityChanged.connect(hidden)
