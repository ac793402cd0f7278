"""How the attack went, step by step, and the way back to any step that was kept: its labels, its picture, its sound."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QSlider, QVBoxLayout, QWidget

from mirguard.workbench.document import Document
from mirguard.workbench.facts import Entry, Moment, Run
from mirguard.workbench.panels.labels import decibels
from mirguard.workbench.panels.parts import (
    Elided,
    keyboard_only,
    label,
    named,
    push_button,
    set_role,
    silently,
    tool_button,
)
from mirguard.workbench.views.formats import format_percent
from mirguard.workbench.views.label_curves import Key, leading
from mirguard.workbench.views.probability_trace import ProbabilityTrace
from mirguard.workbench.views.trace_plot import TracePlot
from mirguard.workbench.wording import fooled_by, in_a_row

AXIS, RIGHT_AXIS = 54, 50  # pixels, so that both plots have one axis of steps


class TracePanel(QWidget):
    """Shows the trace of the clip's attack; asks for a step to be shown and played, or for the result again."""

    step_wanted = Signal(float)  # number of the look at the model
    back_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.figures = TracePlot("loss", "margin")
        self.labels = ProbabilityTrace()
        self.key = Key()
        for plot in (self.figures, self.labels):
            plot.getPlotItem().getAxis("left").setWidth(AXIS)
            plot.getPlotItem().getAxis("right").setWidth(RIGHT_AXIS)
            plot.picked.connect(self.step_wanted)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setTracking(True)
        named(keyboard_only(self.slider), "Step back", "Show and play a step of the attack instead of its result")
        self.flip_button = tool_button("flag", "First flip", "The first step that fooled the model")
        self.best_button = tool_button("check", "Best step", "The step whose perturbation is the result")
        self.state = Elided()
        named(self.state, "The step shown")
        self.back_button = push_button("Back to the result", "", "Show and play the attack's result again")
        self.detail = label("", "muted", wrap=True)
        self.state.setMinimumHeight(self.back_button.sizeHint().height())  # with and without the button

        steps = QHBoxLayout()
        steps.setSpacing(6)
        steps.addWidget(self.slider, 1)
        steps.addWidget(self.flip_button)
        steps.addWidget(self.best_button)
        words = QHBoxLayout()
        words.setSpacing(6)
        words.addWidget(self.state, 1)
        words.addWidget(self.back_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.setSpacing(6)
        layout.addWidget(self.figures, 1)
        layout.addWidget(self.labels, 1)
        layout.addWidget(self.key)
        layout.addLayout(steps)
        layout.addLayout(words)
        layout.addWidget(self.detail)

        self.slider.valueChanged.connect(self._slid)
        self.flip_button.clicked.connect(lambda: self._go(self._trail.flip))
        self.best_button.clicked.connect(lambda: self._go(self._trail.best))
        self.back_button.clicked.connect(self.back_wanted)
        self._document: Document | None = None
        self._trail = None
        self._drawn, self._in_sight = 0, False
        self._unit = "Iteration"

    # --- what is shown ---

    def set_in_sight(self, on: bool) -> None:
        """Whether the panel can be seen; behind another panel's tab it is visible to Qt all the same."""
        self._in_sight = on
        if on and self._document is not None:
            self.show_trace(self._document)

    def show_trace(self, document: Document) -> None:
        """The trace of the running attack on the clip on screen, else of its last one. Nothing is drawn while nobody looks."""
        self._document = document
        if not self._in_sight:
            return
        entry = document.current
        run = document.run if entry is not None and document.run and document.run.key == entry.key else None
        source = run or entry
        points = [] if source is None else source.trace
        design = run.design if run else entry.made_with[0] if entry and entry.made_with else None
        if design is not None and design.step_word != self._unit:
            self._unit = design.step_word
            self.labels.getPlotItem().setLabel("bottom", self._unit)
        self.figures.follow(
            None if source is None else points, self._unit, "fooled" if design is None else fooled_by(design)
        )
        self._drawn = len(points)
        self._draw_labels(document, source)
        self._trail = entry.trail if entry is not None and run is None else None
        self.show_moment(document)

    def _draw_labels(self, document: Document, source: Run | Entry | None) -> None:
        heard = [] if source is None else source.heard
        names = () if document.model is None else document.model.labels
        if heard and len(heard[0][1]) == len(names):
            shares = np.array([probabilities for _, probabilities in heard])
            decision = document.current.decision if document.current else None
            target = document.design.target
            chosen = leading(names, shares, (decision.label if decision else None, target))
            places = np.array([look for look, _ in heard], float)
            columns = shares[:, [names.index(name) for name in chosen]]
        else:
            chosen, places, columns = [], np.empty(0), np.empty((0, 0))
        snr = np.array([point[2] for point in source.trace], float) if len(places) else np.empty(0)
        self.labels.set_trace(places, chosen, columns, snr)
        self.key.set_names(chosen)
        self.key.setVisible(bool(chosen))

    def show_moment(self, document: Document) -> None:
        """Which step is shown and played: one of the way, or the result."""
        self._document = document
        kept = self._trail.kept if self._trail else ()
        moment = document.moment
        self.slider.setEnabled(len(kept) > 1)
        silently(self.slider, self.slider.setRange, 0, max(0, len(kept) - 1))
        looks = [step.look for step in kept]
        if moment is not None and moment.look in looks:
            place = looks.index(moment.look)
        else:
            place = looks.index(self._trail.best) if kept and self._trail.best in looks else max(0, len(kept) - 1)
        silently(self.slider, self.slider.setValue, place)
        self.flip_button.setEnabled(bool(kept) and self._trail.flip is not None)
        self.best_button.setEnabled(bool(kept) and self._trail.best is not None)
        self.back_button.setVisible(moment is not None)
        position = None if moment is None else moment.look
        if position is None and kept and moment is None:
            position = self._trail.best
        for plot in (self.figures, self.labels):
            plot.show_position(position)
        state, role, detail = self._words(document, moment)
        self.state.setText(state)
        set_role(self.state, role)
        self.detail.setText(detail)

    def _words(self, document: Document, moment: Moment | None) -> tuple[str, str, str]:
        entry = document.current
        if document.run is not None and entry is not None and document.run.key == entry.key:
            return "Steps can be heard when the attack has ended", "muted", " "
        if moment is not None:
            return f"Not the result: {moment.words}", "warning", _told(moment, bool(entry and entry.stand_ins))
        if self._trail is None or not self._trail.kept:
            return "Run an attack, then step back through it here", "muted", " "
        best = "" if self._trail.best is None else f": {self._unit.lower()} {self._trail.best} of {self._drawn}"
        about = "Drag the slider or click a plot to show and play another step"
        if entry is not None and entry.stand_ins:
            about += ". The plots show what the stand-ins heard, not the model."
        return f"The result{best}", "muted", about

    # --- what is asked for ---

    def _slid(self, place: int) -> None:
        if self._trail is not None and place < len(self._trail.kept):
            self._go(self._trail.kept[place].look)

    def _go(self, look: int | None) -> None:
        if look is not None:
            self.step_wanted.emit(float(look))


def _told(moment: Moment, stand_ins: bool) -> str:
    """What the model hears in a moment, or those that stand in for it, and the SNR."""
    snr = [f"SNR {decibels(moment.snr_db)}"] if moment.snr_db is not None else []
    heard = moment.decision.top(3) if moment.decision is not None else []
    parts = [*(f"{name} {format_percent(share)}" for name, share in heard), *snr]
    said = in_a_row(*parts)
    return f"Stand-ins: {said}" if stand_ins and moment.look is not None else said
