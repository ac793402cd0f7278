"""How far the hearing of the open collection is."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QWidget

from mirguard.words import counted
from mirguard.workbench.panels.parts import Elided, named, push_button, tool_button


class HearingBar(QWidget):
    """Words and a bar, with a button to stop and one to go on."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.words = Elided()
        self.words.setProperty("role", "muted")
        named(self.words, "How far hearing is")
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        named(self.bar, "Progress of hearing the clips")
        self.stop_button = tool_button("cancel", "Stop hearing the clips", "Stop hearing the clips (Esc)")
        self.resume_button = push_button("Go on", "run", "Hear the clips that are left")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.words, 2)
        row.addWidget(self.bar, 1)
        row.addWidget(self.stop_button)
        row.addWidget(self.resume_button)
        self.hide()

    def show_progress(self, progress) -> None:
        """How far hearing is (control.row_hearing.Progress); nothing is shown when it is done."""
        self.setVisible(progress.state != "done" and progress.total > 0)
        self.bar.setValue(round(1000 * progress.done / max(1, progress.total)))
        self.stop_button.setVisible(progress.state == "hearing")
        self.resume_button.setVisible(progress.state == "stopped")
        words = f"{progress.done} of {counted(progress.total, 'clip')}"
        if progress.state == "hearing":
            left = "" if progress.seconds_left is None else f" · {about_time(progress.seconds_left)} left"
            words = f"Hearing: {words}{left}"
        elif progress.state == "stopped":
            words = f"Stopped after {words}"
        else:
            words = f"{progress.why[:1].upper()}{progress.why[1:]}"
        self.words.setText(words)


def about_time(seconds: float) -> str:
    """A length of time as it is said: "about 20 s", "about 3 min"."""
    if seconds < 60:
        return f"about {max(1, round(seconds / 5) * 5 if seconds > 5 else round(seconds))} s"
    return f"about {round(seconds / 60)} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
