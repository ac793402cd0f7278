"""Run and cancel, how far it is, and how long it will take."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from mirguard.words import counted
from mirguard.workbench.actions import tip
from mirguard.workbench.document import Document
from mirguard.workbench.facts import Run
from mirguard.workbench.panels.parts import Elided, check, named, push_button, set_role
from mirguard.workbench.wording import looks


class RunRow(QWidget):
    """Always in sight below the designer's settings."""

    run_wanted = Signal()
    cancel_wanted = Signal()
    live_chosen = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.run_button = push_button("Run", "run", tip("run"), primary=True)
        self.cancel_button = push_button("Cancel", "cancel", tip("cancel"))
        self.live = push_button("Live", "", tip("live"))
        self.live.setCheckable(True)
        self.progress = QProgressBar()
        named(self.progress, "Progress of the attack")
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(6)
        stays = self.progress.sizePolicy()
        stays.setRetainSizeWhenHidden(True)
        self.progress.setSizePolicy(stays)
        self.state = Elided()  # long words make the designer no wider
        set_role(self.state, "muted")
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        buttons.addWidget(self.run_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        buttons.addWidget(self.live)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 6, 10, 8)
        layout.setSpacing(6)
        layout.addLayout(buttons)
        layout.addWidget(self.progress)
        layout.addWidget(self.state)
        self.run_button.clicked.connect(self.run_wanted)
        self.cancel_button.clicked.connect(self.cancel_wanted)
        self.live.clicked.connect(self.live_chosen)

    def show_run(self, document: Document) -> None:
        run, entry = document.run, document.current
        unsuited = bool(document.attack_trouble)
        self.run_button.setEnabled(run is None and entry is not None and document.model is not None and not unsuited)
        self.run_button.setToolTip(document.attack_trouble or tip("run"))
        self.cancel_button.setEnabled(run is not None)
        if run is None:
            stale = entry is not None and document.stale(entry)
            self.progress.hide()
            self._say(idle_words(document))
            set_role(self.state, "warning" if stale or unsuited else "muted")
            return
        fraction = run.fraction
        self.progress.show()
        self.progress.setRange(0, 0 if fraction is None else 1000)
        self.progress.setValue(round(1000 * (fraction or 0.0)))
        self._say(words(run))
        set_role(self.state, "muted")

    def _say(self, sentence: str) -> None:
        self.state.setText(sentence)
        self.state.setToolTip(sentence)

    def show_live(self, on: bool) -> None:
        check(self.live, on)


def idle_words(document: Document) -> str:
    """What there is to do while nothing runs."""
    entry = document.current
    if document.model is None:
        return document.model_state
    if entry is None:
        return "Load a clip to attack"
    if document.attack_trouble:
        return "Choose a target" if document.design.needs_target else "No gradients: choose another attack"
    if entry.outcome is None:
        return "Ready"
    if document.stale(entry):
        return "Settings changed: run again"
    ended = "Cancelled after" if entry.outcome.status == "cancelled" else "Done:"
    outcome = entry.outcome
    return f"{ended} {looks(outcome.gradients, outcome.forwards)} in {outcome.seconds:.1f} s"


def words(run: Run) -> str:
    """How far an attack is: "12 of 40 gradients · about 3 s left"."""
    if run.stopped:
        return "Cancelled; measuring what was reached …"
    if run.cancelling:
        return "Cancelling …"
    if run.last is None:
        return "Starting …"
    done, most, what = run.spent
    left = run.seconds_left
    estimate = "" if left is None else f" · about {duration(left)} left"
    return f"{f'{done} of ' if most else ''}{counted(most or done, what)}{estimate}"


def duration(seconds: float) -> str:
    """Seconds or minutes, as people say them."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min"
