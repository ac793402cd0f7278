"""One table of everything that can be done by menu and key; menus, tool tips and the key sheet all come from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QAbstractButton, QAbstractSpinBox, QApplication, QComboBox, QMainWindow, QMenu

from mirguard.workbench.theme import bind_icon

SEPARATOR = "-"
WATCHED = (QAbstractButton, QComboBox, QAbstractSpinBox)


@dataclass(frozen=True)
class Deed:
    """One thing that can be done: its name for the program, words, keys, icon, one line of help."""

    name: str
    text: str
    keys: tuple[str, ...] = ()
    icon: str = ""
    help: str = ""
    checkable: bool = False


DEEDS = {
    deed.name: deed
    for deed in (
        Deed("open", "&Open …", ("Ctrl+O",), "open", "Load sound files"),
        Deed("open-folder", "Open &folder …", ("Ctrl+Shift+O",), "folder", "Load every sound file below a folder"),
        Deed("demo", "Open the &demo clip", (), "clip", "Load the demonstration clip that comes with the program"),
        Deed(
            "open-dataset",
            "Open &dataset …",
            ("Ctrl+D",),
            "folder",
            "See what the model makes of labelled sounds: a folder with one sub-folder for each class",
        ),
        Deed("open-list", "Open dataset &list …", (), "", "The same from a CSV with the columns file and label"),
        Deed(
            "open-review",
            "Open re&view queue …",
            ("Ctrl+Shift+D",),
            "flag",
            "Decide on a folder of unknown clips, those that the detector flags first",
        ),
        Deed("export-decisions", "Export de&cisions …", (), "", "Write what you decided on the dataset's clips as CSV"),
        Deed("export", "&Export …", ("Ctrl+E",), "export", "Write the adversarial sound and the perturbation to files"),
        Deed("close-clip", "&Remove the clip", ("Ctrl+W",), "close", "Take the clip off the list"),
        Deed("quit", "&Quit", ("Ctrl+Q",), "", "Close the program"),
        Deed(
            "new-classifier",
            "&New classifier from a folder …",
            ("Ctrl+N",),
            "folder",
            "Train a classifier on labelled sounds of your own",
        ),
        Deed(
            "harden",
            "&Harden a model …",
            (),
            "",
            "Make a model that is harder to fool out of one that there is: adversarial training and other defences",
        ),
        Deed("add-model", "&Add a model …", ("Ctrl+M",), "open", "Use a model that you bring: a model.toml or a zip"),
        Deed("model-card", "Model &card …", ("Ctrl+I",), "model", "All that is known of the model in use"),
        Deed("run", "&Run the attack", ("Ctrl+R",), "run", "Attack the clip as designed"),
        Deed("cancel", "&Cancel", ("Esc",), "cancel", "Stop what is computing and keep the best so far"),
        Deed("live", "&Live", (), "", "Run again whenever a setting changes", True),
        Deed(
            "restrict",
            "Draw where the perturbation may &be",
            ("R",),
            "restrict",
            "Drag on a spectrogram over the times and frequencies that may be changed; with Shift times only, with Ctrl "
            "frequencies only",
            True,
        ),
        Deed(
            "unrestrict",
            "Let the perturbation be &anywhere",
            (),
            "",
            "Restrict the perturbation to no times, frequencies or levels",
        ),
        Deed(
            "universal",
            "Make a &universal perturbation …",
            (),
            "perturbation",
            "One perturbation that fools the model on any clip, made from many",
        ),
        Deed("reference", "Build a &reference from a folder …", (), "detector", "Fit the detector on clean music"),
        Deed(
            "measure-detectors",
            "How &good are the detectors …",
            (),
            "",
            "ROC curves of the fitted detectors against an attack, and against one that evades them",
        ),
        Deed("play", "&Play or pause", ("Space",), "play", "Play, or pause where it is"),
        Deed("stop", "&Stop", ("Shift+Space",), "stop", "Stop and go back to the beginning"),
        Deed("loop", "&Loop", ("L",), "loop", "Repeat what is visible, or the region chosen", True),
        Deed("loop-start", "Loop &from here", ("[",), "", "The loop begins at the playhead"),
        Deed("loop-end", "Loop &to here", ("]",), "", "The loop ends at the playhead"),
        Deed("start", "Go to the &beginning", ("Home",), "", "Move the playhead to the beginning"),
        Deed("end", "Go to the &end", ("End",), "", "Move the playhead to the end"),
        Deed("swap", "&Switch original and adversarial", ("X",), "", "Compare at the same position, without a gap"),
        Deed("hear-original", "Hear the &original", ("1",), "original", "Play the original"),
        Deed("hear-adversarial", "Hear the &adversarial", ("2",), "adversarial", "Play the adversarial sound"),
        Deed(
            "hear-perturbation", "Hear the &perturbation", ("3",), "perturbation", "Play the perturbation, made louder"
        ),
        Deed(
            "listening-test",
            "Listening &test …",
            ("Ctrl+T",),
            "volume",
            "Find the SNR at which you can just not hear this perturbation",
        ),
        Deed(
            "ear-budget",
            "Budget from my &ear",
            (),
            "volume",
            "Set the budget to the SNR that you could just not tell in the listening test (for JSMA that SNR, not γ, is set)",
        ),
        Deed("transfer", "&Transfer matrix", (), "matrix", "Does what fools one model fool the others?"),
        Deed("checks", "C&hecks", (), "check", "Is what attacks say of this model's robustness to be believed?"),
        Deed("zoom-in", "Zoom &in", ("Ctrl+=", "Ctrl++"), "zoom-in", "Show less time"),
        Deed("zoom-out", "Zoom &out", ("Ctrl+-",), "zoom-out", "Show more time"),
        Deed("fit", "&Fit", ("F",), "fit", "Show the whole sound"),
        Deed("page-left", "Page &left", ("PgUp",), "", "Show the page before"),
        Deed("page-right", "Page &right", ("PgDown",), "", "Show the page after"),
        Deed("full-screen", "F&ull screen", ("F11",), "", "Use the whole screen", True),
        Deed("reset-layout", "&Arrange panels anew", (), "", "Put every panel back to its place"),
        Deed("help", "&What this program does", ("F1",), "help", "A short guide to the program"),
        Deed("keys", "&Keys", ("F2",), "", "All keys at a glance"),
        Deed("about", "&About MIRGuard", (), "", "Version, libraries and where files are kept"),
    )
}

# What can be done with rows of the dataset browser. These keys count while its table has the focus, and there they go before
# what they mean in the window.
BROWSER_DEEDS = {
    deed.name: deed
    for deed in (
        Deed("row-play", "&Listen", ("Space",), "play", "Play the clip from the table, or pause"),
        Deed("row-send", "Send to the &designer", ("Return", "Enter"), "send", "Load the chosen clips to attack them"),
        Deed("row-accept", "&Accept", ("A",), "check", "It is what it is said to be; go to the next undecided clip"),
        Deed("row-adversarial", "Ad&versarial", ("S",), "flag", "It was tampered with; go to the next undecided clip"),
        Deed("row-unsure", "&Unsure", ("D",), "help", "Leave it open for somebody else; go to the next undecided clip"),
        Deed("row-relabel", "&Relabel …", ("R",), "tag", "It is something else: choose or type what it is"),
        Deed("row-undecide", "&Take the decision back", ("Backspace", "Del"), "", "Undecided again; notes stay"),
        Deed("row-next", "&Next undecided clip", ("N",), "", "Go to the next clip without a decision"),
    )
}

MENUS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "&File",
        ("open", "open-folder", "demo", "recent", SEPARATOR, "open-dataset", "open-list", "open-review", SEPARATOR)
        + ("export", "export-decisions", SEPARATOR, "close-clip", SEPARATOR, "quit"),
    ),
    ("&Model", ("new-classifier", "harden", "add-model", SEPARATOR, "model-card")),
    (
        "&Attack",
        (
            "run",
            "cancel",
            "live",
            SEPARATOR,
            "restrict",
            "unrestrict",
            "ear-budget",
            SEPARATOR,
            "universal",
            "transfer",
            "checks",
            "reference",
            "measure-detectors",
        ),
    ),
    (
        "&Sound",
        ("play", "stop", "loop", "loop-start", "loop-end", SEPARATOR, "start", "end", SEPARATOR)
        + ("swap", "hear-original", "hear-adversarial", "hear-perturbation", SEPARATOR, "listening-test"),
    ),
    (
        "&View",
        ("zoom-in", "zoom-out", "fit", "page-left", "page-right", SEPARATOR, "theme", "panels", "reset-layout")
        + (SEPARATOR, "full-screen"),
    ),
    ("&Help", ("help", "keys", SEPARATOR, "about")),
)


def make_actions(window: QMainWindow, work: Mapping[str, Callable]) -> dict[str, QAction]:
    """The actions of the table, each connected to its work. `work` must have all of them and no more."""
    if set(work) != set(DEEDS):
        raise ValueError(f"deeds without work or work without deed: {set(work) ^ set(DEEDS)}")
    actions = {}
    for deed in DEEDS.values():
        action = QAction(deed.text, window)
        action.setObjectName(deed.name)
        action.setShortcuts([QKeySequence(key) for key in deed.keys])
        action.setCheckable(deed.checkable)
        action.setToolTip(tip(deed.name))
        action.setStatusTip(deed.help)
        if deed.icon:
            bind_icon(action, deed.icon)
        # Menu items without an icon stay without; a checkable one passes its state on.
        if deed.checkable:
            action.triggered.connect(work[deed.name])
        else:
            action.triggered.connect(lambda _checked=False, name=deed.name: work[name]())
        window.addAction(action)
        actions[deed.name] = action
    return actions


def fill_menus(window: QMainWindow, actions: Mapping[str, QAction], submenus: Mapping[str, QMenu]) -> None:
    """The menu bar of the table; `submenus` are the menus that are filled elsewhere ("recent", "theme", "panels")."""
    for title, names in MENUS:
        menu = window.menuBar().addMenu(title)
        menu.setToolTipsVisible(True)
        for name in names:
            if name == SEPARATOR:
                menu.addSeparator()
            elif name in submenus:
                menu.addMenu(submenus[name])
            else:
                menu.addAction(actions[name])


def plain(text: str) -> str:
    """Words without the menu's mnemonics and dots."""
    return text.replace("&", "").removesuffix("…").strip()


def plain_name(deed: str) -> str:
    """The words of a deed, of the window's or the browser's, without dots and mnemonics."""
    return plain(_deed(deed).text)


def _deed(name: str) -> Deed:
    return DEEDS.get(name) or BROWSER_DEEDS[name]


def key_text(name: str) -> str:
    """The keys of a deed as people write them, "" for none."""
    sequences = [QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText) for key in _deed(name).keys]
    return " or ".join(sequences)


def tip(name: str) -> str:
    """The tool tip of a deed: what it does, and its keys."""
    deed, keys = _deed(name), key_text(name)
    return f"{deed.help or plain(deed.text)} ({keys})" if keys else deed.help or plain(deed.text)


class KeyManners(QObject):
    """Lets the widget in focus have the keys that are its own before the window's single-key shortcuts see them.

    Text fields keep every character by Qt's own rules. A button or a menu that was reached with Tab keeps Space and
    Return; a number typed is finished by Return, which gives the keys back to the window. Only the widget in focus is
    watched, so that other events cost nothing.
    """

    def __init__(self, app: QApplication, parent: QObject) -> None:
        super().__init__(parent)
        self._app = app
        app.focusChanged.connect(self._follow)

    def end(self) -> None:
        """Watch no longer."""
        self._app.focusChanged.disconnect(self._follow)
        self._follow(self._app.focusWidget(), None)

    def _follow(self, old: QObject | None, new: QObject | None) -> None:
        if isinstance(old, WATCHED):
            old.removeEventFilter(self)
        if isinstance(new, WATCHED):
            new.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride:
            if event.key() == Qt.Key.Key_Space and isinstance(watched, QAbstractButton | QComboBox):
                event.accept()
                return True
        elif event.type() == QEvent.Type.KeyPress and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if isinstance(watched, QAbstractSpinBox):
                watched.interpretText()
                watched.clearFocus()
                return True
            if isinstance(watched, QAbstractButton) and isinstance(watched.window(), QMainWindow):
                watched.click()
                return True
        return super().eventFilter(watched, event)
