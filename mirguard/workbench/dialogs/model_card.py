"""All that is known of a model: what it hears, what it says, how good it is, what it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QDialog, QFrame, QGridLayout, QHBoxLayout, QMessageBox, QVBoxLayout, QWidget

from mirguard.words import counted
from mirguard.workbench.dialogs.figures import AccuracyFigures, Confusion, TestFigures
from mirguard.workbench.dialogs.notices import Sign
from mirguard.workbench.panels.parts import Flow, Scroll, label, named, push_button
from mirguard.workbench.panels.run_row import duration
from mirguard.workbench.views.formats import MINUS

KINDS = {
    "bundled": "Comes with the program",
    "published": "Published by others",
    "yours": "Yours",
    "plug-in": "From a plug-in",
}
TASKS = {"single-label": "One label for each clip", "tagging": "Tags, several for each clip"}
VERDICTS = {"pass": ("check", "good"), "fail": ("warning", "danger"), "none": ("warning", "warning")}
MOST_LABELS = 24
# What a card may say in words of its own, and how that is headed.
WORDS = {
    "architecture": "Architecture",
    "outputs": "Outputs",
    "verified": "Verified",
    "source": "Source",
    "citation": "Citation",
    "licence": "Licence",
}
FIGURES = {"roc_auc": "ROC AUC", "pr_auc": "PR AUC"}


class ModelCard(QDialog):
    """One model; `use_wanted` and `remove_wanted` carry its name."""

    use_wanted = Signal(str)
    remove_wanted = Signal(str)

    def __init__(self, info: Any, in_use: bool = False, news: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.info = info
        title = info.title or info.name
        self.setWindowTitle(f"Model card: {title}")
        card: Mapping[str, Any] = info.card or {}
        figures = TestFigures.from_card(card.get("test", {})) if card.get("test") else None

        inner = Flow()
        row = QHBoxLayout(inner)
        row.setContentsMargins(2, 0, 10, 0)
        row.setSpacing(28)
        column = QVBoxLayout()
        column.setSpacing(10)
        row.addLayout(column, 1)
        if news:
            column.addWidget(_banner(news, "check", "good"))
        heading = label(title, "heading", wrap=True)
        font = heading.font()
        font.setPointSizeF(font.pointSizeF() * 1.4)
        heading.setFont(font)
        column.addWidget(heading)
        if info.note:
            column.addWidget(label(info.note, wrap=True))
        if info.state != "ready" and info.how:
            column.addWidget(_banner(info.how, "warning", "warning"))
        if info.labels:
            self.gradient = _gradient_line(info, card)
            column.addWidget(self.gradient)
        column.addWidget(_rule())
        self.facts = _facts(info, card)
        column.addLayout(_table(self.facts))
        for number, sentence in enumerate(_warnings(card)):
            if not number:
                column.addWidget(_rule())
                column.addWidget(label("Before you trust it", "heading"))
            column.addWidget(_banner(sentence, "warning", "warning", ""))
        column.addStretch(1)
        self.accuracy, self.confusion = None, None
        if figures is not None:
            row.addLayout(self._figures(figures), 1)
        scroll = Scroll(inner, f"Model card of {title}")
        scroll.setFocusPolicy(Qt.FocusPolicy.TabFocus)

        self.use_button = push_button("Use it", "model", "Choose this model in the designer", primary=not in_use)
        self.use_button.setVisible(not in_use and info.state != "unusable")
        self.remove_button = push_button("Remove …", "close", "Delete this model and its files")
        self.remove_button.setVisible(info.kind == "yours")
        self.close_button = push_button("Close")
        for button in (self.use_button, self.remove_button, self.close_button):
            button.setAutoDefault(False)
        (self.close_button if in_use else self.use_button).setDefault(True)
        foot = QHBoxLayout()
        foot.setSpacing(8)
        foot.addWidget(self.remove_button)
        foot.addStretch(1)
        foot.addWidget(self.close_button)
        foot.addWidget(self.use_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 12, 14)
        layout.setSpacing(12)
        layout.addWidget(scroll, 1)
        layout.addLayout(foot)
        self.close_button.clicked.connect(self.reject)
        self.use_button.clicked.connect(self._use)
        self.remove_button.clicked.connect(self._remove)
        (self.close_button if self.use_button.isHidden() else self.use_button).setFocus()
        width = 620 if figures is None else 980
        self._size = QSize(width, min(640, max(300, inner.heightForWidth(width - 50) + 90)))
        self.resize(self._size)

    def _figures(self, figures: TestFigures) -> QVBoxLayout:
        """How good it is."""
        column = QVBoxLayout()
        column.setSpacing(10)
        column.addWidget(label("On clips that it never heard", "heading"))
        self.accuracy = AccuracyFigures()
        self.accuracy.set_figures(figures, len(self.info.labels))
        column.addWidget(self.accuracy)
        if figures.confusion and len(figures.confusion) == len(self.info.labels):
            self.confusion = Confusion()
            self.confusion.set_matrix(self.info.labels, figures.confusion)
            column.addWidget(self.confusion)
        column.addStretch(1)
        return column

    def sizeHint(self) -> QSize:
        return self._size

    def _use(self) -> None:
        self.use_wanted.emit(self.info.name)
        self.accept()

    def _remove(self) -> None:
        answer = QMessageBox.question(
            self,
            "Remove the model",
            f"Remove {self.info.title or self.info.name} and delete its files? This cannot be undone.",
            QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.Cancel,
            QMessageBox.StandardButton.Cancel,
        )
        if answer == QMessageBox.StandardButton.Yes:
            self.remove_wanted.emit(self.info.name)
            self.accept()


def _rule() -> QFrame:
    rule = QFrame()
    rule.setFrameShape(QFrame.Shape.HLine)
    rule.setProperty("rule", True)
    return rule


def _banner(sentence: str, icon: str, role: str, words_role: str | None = None) -> QWidget:
    """A sentence with its sign."""
    if words_role is None:
        words_role = role if role != "good" else "heading"
    banner = QWidget()
    row = QHBoxLayout(banner)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(8)
    row.addWidget(Sign(icon, role, 18), 0, Qt.AlignmentFlag.AlignTop)
    words = label(sentence, words_role, wrap=True)
    words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    row.addWidget(words, 1)
    return named(banner, sentence)


def _gradient_line(info: Any, card: Mapping[str, Any]) -> QWidget:
    """Whether attacks that need gradients can be used, and what the check found."""
    found = card.get("gradient", {})
    sentence, verdict = str(found.get("sentence", "")), str(found.get("verdict", ""))
    if verdict not in ("pass", "fail"):
        verdict = "pass" if info.gradients else "none"
    if not sentence:
        sentence = (
            "Gradients reach the waveform: every attack can be used on it."
            if info.gradients
            else "It gives no gradients: only attacks that need none, such as noise, can be used on it."
        )
    return _banner(sentence, *VERDICTS[verdict])


def _facts(info: Any, card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What there is to say, line by line."""
    shown = ", ".join(info.labels[:MOST_LABELS])
    more = f" and {len(info.labels) - MOST_LABELS} more" if len(info.labels) > MOST_LABELS else ""
    rows = [("Name", info.name), ("Kind", KINDS.get(info.kind, info.kind))]
    if info.state != "ready":
        rows.append(("State", info.state.capitalize()))
    rows += [("Task", TASKS.get(info.task, info.task))]
    if info.labels:
        rows.append((f"{len(info.labels)} labels", shown + more))
    if info.sample_rate:
        seconds = info.window / info.sample_rate
        rows.append(
            ("Hears", f"windows of {seconds:.3g} s ({info.window:,} samples) at {info.sample_rate / 1000:g} kHz")
        )
    rows += _made(card)
    if info.path:
        rows.append(("Kept in", str(info.path)))
    return rows


def _made(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How it came about."""
    rows = []
    if card.get("made") == "trained":
        seconds = card.get("seconds")
        took = f", in {duration(seconds)}" if isinstance(seconds, int | float) else ""
        rows.append(("Trained", f"by {card.get('method', 'an unknown method')}, seed {card.get('seed', 0)}{took}"))
    for name, title in WORDS.items():
        if isinstance(card.get(name), str):
            rows.append((title, card[name]))
    settings = card.get("parameters")
    if isinstance(settings, Mapping) and settings:
        rows.append(("Settings", ", ".join(f"{name.replace('_', ' ')} {_plain(v)}" for name, v in settings.items())))
    data = card.get("data")
    if isinstance(data, Mapping):
        rows += _data(data)
    elif data:
        rows.append(("Data", str(data)))
    lineage = card.get("lineage")
    if lineage:
        rows.append(("Lineage", ", ".join(map(_short, lineage)) if isinstance(lineage, list) else str(lineage)))
    test = card.get("test")
    if isinstance(test, Mapping) and "clips" not in test:
        found = ", ".join(f"{title} {test[name]:.3f}" for name, title in FIGURES.items() if name in test)
        rows.append(("Tested", " ".join(filter(None, (found, f"on {test['on']}" if test.get("on") else "")))))
    if card.get("version"):
        rows.append(("Made with", f"MIRGuard {card['version']}"))
    return rows


def _data(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    parts = [str(data.get("name", "")), str(data.get("source", ""))]
    if any(parts):
        rows.append(("Data", " · ".join(dict.fromkeys(filter(None, parts)))))
    clips = data.get("clips")
    if isinstance(clips, Mapping):
        words = ", ".join(f"{number} {part}" for part, number in clips.items())
        split = f", split {data['split']}" if data.get("split") else ""
        rows.append(("Clips", f"{words}{split}"))
    for name, title in (("groups", "Groups"), ("labels", "Labelled by")):
        if isinstance(data.get(name), str):
            rows.append((title, data[name]))
    if data.get("skipped"):
        rows.append(("Left out", counted(int(data["skipped"]), "file")))
    return rows


def _warnings(card: Mapping[str, Any]) -> list[str]:
    data = card.get("data")
    found = list(data.get("warnings", [])) if isinstance(data, Mapping) else []
    found += [card["limits"]] if card.get("limits") else []
    return [str(sentence) for sentence in found]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " to ".join(map(_plain, value)) if len(value) == 2 else ", ".join(map(_plain, value))
    return f"{value:g}".replace("-", MINUS) if isinstance(value, float) else str(value)


def _short(value: Any) -> str:
    """A hash is cut to what tells it from others."""
    text = str(value)
    words = text.split()
    return " ".join(w[:12] + "…" if len(w) >= 40 and all(c in "0123456789abcdef" for c in w) else w for w in words)


def _table(rows: list[tuple[str, str]]) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(16)
    grid.setVerticalSpacing(5)
    grid.setColumnStretch(1, 1)
    for number, (name, words) in enumerate(rows):
        value = label(words, wrap=True)
        value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        value.setAccessibleName(f"{name}: {words}")
        grid.addWidget(label(name, "muted"), number, 0, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(value, number, 1)
    return grid
