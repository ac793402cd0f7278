"""What the model hears before and after the attack, and the figures of the result."""

from __future__ import annotations

import math
from collections.abc import Mapping

from PySide6.QtWidgets import QVBoxLayout, QWidget

from mirguard.words import counted
from mirguard.workbench.document import Document
from mirguard.workbench.facts import Entry, Run
from mirguard.workbench.panels.parts import Content, Scroll, label, set_role
from mirguard.workbench.views.formats import format_figures, format_number
from mirguard.workbench.views.label_bars import LabelBars
from mirguard.workbench.wording import in_a_row, looks

SHOWN = 50


class LabelsPanel(QWidget):
    """Bars before → after; below them whether the exported sound still does it, and what it cost."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bars = LabelBars()
        self.verdict = label("", "heading", wrap=True)
        self.figures = label("", "muted", wrap=True)
        self.baseline = label("", "muted", wrap=True)
        inner = Content()
        layout = QVBoxLayout(inner)
        layout.setContentsMargins(10, 6, 10, 8)
        layout.setSpacing(4)
        layout.addWidget(self.bars, 1)
        layout.addWidget(self.verdict)
        layout.addWidget(self.figures)
        layout.addWidget(self.baseline)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(Scroll(inner, "Labels"))
        self.setMinimumHeight(120)

    def show_labels(self, document: Document) -> None:
        entry = document.current
        run = document.run if entry is not None and document.run and document.run.key == entry.key else None
        target = document.design.aim
        if entry is None or entry.decision is None:
            self.bars.set_empty_text(_absent(document, entry))
            self.bars.set_readings(None)
            self._say("", "", "")
            return
        after = None
        moment = document.moment
        if run is not None and run.last is not None:
            after = run.last.decision.top(SHOWN)
        elif moment is not None and moment.decision is not None:
            after = moment.decision.top(SHOWN)
        elif run is None and entry.outcome is not None:
            after = entry.outcome.exported.decision.top(SHOWN)
        self.bars.set_readings(entry.decision.top(SHOWN), after, target)
        self.bars.set_stale(run is None and document.stale(entry))
        if run is not None:
            self._say_run(run, {info.name: info.title for info in document.models})
        elif moment is not None:
            by = " by the stand-ins" if moment.look is not None and entry.stand_ins else ""
            heard = f", heard{by} as {moment.decision.label}" if moment.decision is not None else ""
            self._say(f"Not the result: {moment.words}{heard}", "warning", f"SNR {decibels(moment.snr_db)}")
        elif entry.outcome is not None:
            self._say_outcome(entry, document.stale(entry))
        else:
            self._say("", "", "")

    def _say_run(self, run: Run, titles: Mapping[str, str]) -> None:
        if run.last is None:
            self._say("Attacking …", "", "")
            return
        last, through = run.last, run.design.surrogates
        if through:  # what is shown is what they hear, not what the model will
            names = " and ".join(titles.get(name) or name for name in through)
            verdict = f"{names}: {'fooled, not yet carried over' if last.success else 'not fooled yet'}"
        else:
            verdict = "Fooled, before export" if last.success else "Not fooled yet"
        self._say(
            verdict,
            "good" if last.success and not through else "",
            in_a_row(
                f"margin {format_number(last.margin, 2)} logits",
                f"SNR {decibels(last.snr_db)}",
                looks(last.gradients, last.forwards),
            ),
        )

    def _say_outcome(self, entry: Entry, stale: bool) -> None:
        outcome = entry.outcome
        windows = len(outcome.clean.windows)
        label_now = outcome.exported.decision.label
        if outcome.success:
            verdict, role = f"The exported sound is heard as {label_now}", "good"
        elif outcome.reached and outcome.experiment.surrogates:
            verdict, role = f"Does not carry over to the model: the file is heard as {label_now}", "danger"
        elif outcome.reached:
            verdict, role = f"Does not survive export: the file is heard as {label_now}", "warning"
        elif label_now != outcome.clean.label:
            verdict, role = f"Heard as {label_now}, not as {outcome.target}", "danger"
        else:
            verdict, role = "The model is not fooled", "danger"
        if outcome.status == "cancelled":
            verdict = f"Cancelled. {verdict}"
        if stale:
            verdict, role = f"{verdict} (settings changed: run again)", "warning"
        figures = in_a_row(
            f"SNR {decibels(outcome.snr_db)}",
            f"L∞ {format_figures(outcome.linf)}",
            f"{outcome.windows_flipped} of {counted(windows, 'window')} flipped",
            looks(outcome.gradients, outcome.forwards),
            f"{outcome.seconds:.1f} s",
            outcome.experiment.knowledge,
            outcome.experiment.subtype.replace("PCM_", "") + (" bit" if "PCM" in outcome.experiment.subtype else ""),
        )
        self._say(verdict, role, figures, entry.baseline.sentence if entry.baseline else "")

    def _say(self, verdict: str, role: str, figures: str, baseline: str = "") -> None:
        self.baseline.setText(baseline)
        self.baseline.setVisible(bool(baseline))
        self.verdict.setText(verdict)
        self.verdict.setVisible(bool(verdict))
        set_role(self.verdict, role or "heading")
        self.figures.setText(figures)
        self.figures.setVisible(bool(figures))


def _absent(document: Document, entry: Entry | None) -> str:
    if entry is None:
        return "The model's labels appear here"
    if entry.trouble:
        return entry.trouble
    return "Listening …" if document.model is not None else document.model_state


def decibels(value: float | None) -> str:
    if value is None:
        return "none (silent)"
    if math.isinf(value):
        return "∞ dB"
    return f"{format_number(value, 1)} dB"
