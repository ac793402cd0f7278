"""The key sheet, the short guide, what the program is made of, and the details of a failure."""

from __future__ import annotations

import html
import platform

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QPlainTextEdit, QTextBrowser, QVBoxLayout, QWidget

from mirguard.workbench.actions import BROWSER_DEEDS, DEEDS, MENUS, key_text, plain
from mirguard.workbench.panels.parts import named

HIGHEST = 640  # pixels; a longer page scrolls
MOUSE = (
    ("Wheel over a spectrogram", "Zoom in time"),
    ("Ctrl + wheel", "Zoom in frequency"),
    ("Shift + wheel, or drag", "Move through time"),
    ("Click", "Put the playhead there"),
    ("Shift + drag", "Choose a region and loop it"),
    ("Drag after R", "Draw where the perturbation may be; with Shift times only, with Ctrl frequencies only"),
    ("Double-click a slider", "Back to its default"),
)

GUIDE = """
<h3>From a song to a result</h3>
<ol>
<li><b>Drop a song</b> on the window. The model listens and says what it hears.</li>
<li><b>Design the attack</b>: which one, towards which label, and how large the perturbation may be. SNR and amplitude
are two faces of one budget: move either.</li>
<li><b>Hold it to a place</b>, if you like: R lets the mouse draw on a spectrogram in which times and frequencies the sound may be
changed. Under Through other models stand in for one whose gradients nobody knows.</li>
<li><b>Run</b> it. Spectrograms, labels, loss and the detector's reading follow while it works; Esc stops it and keeps
the best so far.</li>
<li><b>Listen</b>: X switches between original and adversarial at the same position; 3 plays the perturbation alone, made
louder by the stated gain.</li>
<li><b>Read the detector</b>: does the adversarial sound lie where clean music lies? For a model of your own, build a
reference from a folder of clean music first.</li>
<li><b>Send it through the air</b>: in the Channel panel rooms, noise or an MP3 encoder stand between file and model; hear what
comes out, count how often it still fools the model, and attack through it.</li>
<li><b>Export</b>. Every file is read again and classified; only that result counts.</li>
</ol>
<p><b>A classifier of your own</b>: Model ▸ New classifier from a folder trains one on sounds that you have labelled, says how
good it is on clips that it never heard, and puts it into the model menu. Model ▸ Add a model takes one that you bring.</p>
<h3>Why it works, and whether it carries over</h3>
<ol>
<li><b>Trace</b>: loss, labels and SNR by iteration. Drag the slider to see and hear a step on the way; one click goes back to the
result.</li>
<li><b>Response</b>: the logits along the perturbation, the margin over a plane through it. Click a curve to play that place.</li>
<li><b>Saliency</b>, below the pictures: what in the sound a label hangs on.</li>
<li><b>Transfer</b>: does what fools one model fool the others?</li>
<li><b>Checks</b>: is what attacks say of this model to be believed, or does something hide its weakness? Each check shows its
evidence.</li>
<li><b>Listening test</b> (Ctrl+T): the level that you can just not tell, which then can be the budget.</li>
</ol>
<h3>From a folder to what is wrong in it</h3>
<ol>
<li><b>Open a dataset</b> (Ctrl+D): a folder with one sub-folder for each class. Every clip is heard, and what the model
mistakes comes first; the confusion matrix leads to the clips of each cell.</li>
<li>Or open a folder of unknown clips as a <b>review queue</b> (Ctrl+Shift+D): what the detector flags comes first. Listen with
Space, decide with A, S, D or R; your decisions are kept and can be exported.</li>
<li>Return <b>sends a clip to the designer</b>.</li>
</ol>
<p>A result is always that of the exported sound: clipped to full scale, rounded to the file's format and read again.
SNR is 10·log<sub>10</sub>(Σx²/Σδ²) over all channels of the whole clip.</p>
"""


class Sheet(QDialog):
    """A page of text to be read and closed, as high as its text needs."""

    def __init__(self, title: str, body: str, parent: QWidget | None = None, width: int = 560) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.page = QTextBrowser()
        self.page.setOpenExternalLinks(True)
        self.page.setHtml(body)
        named(self.page, title)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 14, 14, 12)
        layout.addWidget(self.page)
        layout.addWidget(buttons)
        buttons.button(QDialogButtonBox.StandardButton.Close).setFocus()
        text = self.page.document().clone(self)
        text.setTextWidth(width - 60)
        self.resize(width, min(HIGHEST, round(text.size().height()) + buttons.sizeHint().height() + 56))


def key_sheet(parent: QWidget | None = None) -> Sheet:
    """All keys, in the order of the menus, and what the mouse does."""
    parts = []
    for title, names in MENUS:
        rows = [(plain(DEEDS[name].text), key_text(name)) for name in names if name in DEEDS and DEEDS[name].keys]
        if rows:
            parts.append(_table(plain(title), rows))
    rows = [(plain(deed.text), key_text(name)) for name, deed in BROWSER_DEEDS.items()]
    parts.append(_table("Dataset, while its table has the focus", rows))
    parts.append(_table("Mouse", [(what, keys) for keys, what in MOUSE]))
    return Sheet("Keys", "".join(parts), parent, 520)


def _table(title: str, rows: list[tuple[str, str]]) -> str:
    lines = "".join(
        f"<tr><td width=230 style='padding:2px 0'>{html.escape(what)}</td>"
        f"<td style='padding:2px 0'><b>{html.escape(keys)}</b></td></tr>"
        for what, keys in rows
    )
    return f"<h3>{html.escape(title)}</h3><table>{lines}</table>"


def guide(parent: QWidget | None = None) -> Sheet:
    return Sheet("What this program does", GUIDE, parent)


def about(data_folder: str, parent: QWidget | None = None) -> Sheet:
    """Version, libraries and folders."""
    from importlib.metadata import PackageNotFoundError, version

    import PySide6

    from mirguard import __version__

    def installed(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "not installed"

    rows = [
        ("Version", __version__),
        ("Licence", "MIT"),
        ("Python", platform.python_version()),
        ("PyTorch", installed("torch")),
        ("Qt for Python", PySide6.__version__),
        ("System", platform.platform()),
        ("Data folder", data_folder),
    ]
    return Sheet("About MIRGuard", _table("MIRGuard", rows), parent)


class DetailsDialog(QDialog):
    """What went wrong, to be copied into a report."""

    def __init__(self, sentence: str, details: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Details")
        self.resize(640, 420)
        said = QLabel(sentence)
        said.setWordWrap(True)
        said.setTextFormat(Qt.TextFormat.PlainText)
        self.text = QPlainTextEdit(details)
        self.text.setReadOnly(True)
        named(self.text, "Details")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        copy = buttons.addButton("Copy", QDialogButtonBox.ButtonRole.ActionRole)
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(f"{sentence}\n\n{details}"))
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 14, 14, 12)
        layout.addWidget(said)
        layout.addWidget(self.text, 1)
        layout.addWidget(buttons)
