"""A listening test: at which SNR does this perturbation stop being heard? What it finds can be an attack's budget."""

from __future__ import annotations

import random

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QDialog, QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from mirguard.clip import Clip
from mirguard.playback.staircase import COUNTED, GAP, HIGHEST_DB, LOWEST_DB, STEPS_DB, Staircase, excerpt, trial
from mirguard.workbench.control.listening import Listening
from mirguard.workbench.facts import Entry
from mirguard.workbench.panels.parts import label, named, push_button, set_role
from mirguard.workbench.settings import Ear
from mirguard.workbench.views.formats import format_number

ABOUT = (
    "You hear the same passage twice. One time the perturbation is in it: say which, with the keys 1 and 2. It gets quieter "
    "while you are right and louder when you are wrong, until you can just not tell. If you cannot tell, guess. That takes three "
    "to five minutes; headphones help. Space plays the pair again."
)
EASIER_DB = 20.0  # so much louder than the result does the perturbation begin
TURNS = 2 * (len(STEPS_DB) - 1) + COUNTED
PER_TURN = 8  # trials from one turn to the next, of most listeners fewer


class ListeningTest(QDialog):
    """Runs a `Staircase` over the player with the perturbation of the clip's result."""

    found = Signal(object)  # Ear
    use_wanted = Signal()

    def __init__(
        self, entry: Entry, listening: Listening, parent: QWidget | None = None, seed: int | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Listening test")
        self._entry, self._listening, self._random = entry, listening, random.Random(seed)
        self._result_snr = float(entry.outcome.snr_db)
        start = min(max(self._result_snr - EASIER_DB, LOWEST_DB), HIGHEST_DB)
        self.stairs = Staircase(start)
        rate, original = entry.clip.sample_rate, entry.clip.samples
        loop = listening.loop
        if loop is not None and loop[1] - loop[0] <= 6.0:
            first, last = (round(time * rate) for time in loop)
        else:
            first, last = excerpt(entry.outcome.perturbation.samples, rate)
        self._part = original[:, first:last], entry.outcome.perturbation.samples[:, first:last]
        self.second = False  # whether the perturbation comes in the second sound
        self._started = False
        self._turned_at = 0  # trials at the last turn

        self.about = label(ABOUT, "", wrap=True)
        self.about.setMinimumWidth(440)
        self.buttons = [self._choice(number) for number in (1, 2)]
        self.start_button = push_button("Begin", "play", "Play the first pair", primary=True)
        self.start_button.setToolTip("Play the first pair; later: play the pair again (Space)")
        self.verdict = label("", "muted")
        self.verdict.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.progress = QProgressBar()
        self.progress.setRange(0, PER_TURN * TURNS)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(6)
        named(self.progress, "Progress of the listening test")
        self.use_button = push_button(
            "Use as the budget", "check", "Set the attack's SNR to what you could not tell", True
        )
        self.close_button = push_button("Close", "", "Stop the test")
        choices = QHBoxLayout()
        choices.setSpacing(12)
        for button in self.buttons:
            choices.addWidget(button)
        foot = QHBoxLayout()
        foot.addWidget(self.start_button)
        foot.addStretch(1)
        foot.addWidget(self.use_button)
        foot.addWidget(self.close_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(18, 16, 18, 14)
        layout.setSpacing(14)
        for part in (self.about, choices, self.verdict, self.progress, foot):
            layout.addLayout(part) if isinstance(part, QHBoxLayout) else layout.addWidget(part)

        self.start_button.clicked.connect(self.play)
        self.use_button.clicked.connect(self._use)
        self.close_button.clicked.connect(self.reject)
        listening.moved.connect(self._light)
        self._show()

    def _choice(self, number: int) -> QPushButton:
        button = push_button(
            str(number), "", f"The perturbation was in the {('first', 'second')[number - 1]} sound ({number})"
        )
        button.setMinimumHeight(72)
        button.setCheckable(True)  # lit while its sound plays
        button.setStyleSheet("font-size: 24px; font-weight: 600;")
        button.setAccessibleName(f"It was in sound {number}")
        button.clicked.connect(lambda: self.answer(number))
        return button

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        if key in (Qt.Key.Key_1, Qt.Key.Key_2):
            self.answer(1 if key == Qt.Key.Key_1 else 2)
        elif key == Qt.Key.Key_Space:
            self.play()
        else:
            super().keyPressEvent(event)

    # --- trials ---

    def play(self) -> None:
        """The pair of this trial, from its beginning."""
        if self.stairs.done:
            return
        if not self._started:
            self._started, self.second = True, self._random.random() < 0.5
        gain = self._result_snr - self.stairs.level
        rate = self._entry.clip.sample_rate
        sound = trial(*self._part, gain, self.second, rate)
        self._listening.audition(Clip(sound, rate))
        if self._listening.player.silent:
            self.verdict.setText("There is no sound device: nothing can be heard, so nothing can be tested.")
            set_role(self.verdict, "warning")
        self._show()

    def answer(self, number: int) -> None:
        """The listener says in which sound the perturbation was."""
        if not self._started or self.stairs.done:
            return
        right, turns = (number == 2) == self.second, len(self.stairs.turns)
        self.stairs.answer(right)
        if len(self.stairs.turns) > turns:
            self._turned_at = self.stairs.trials
        self.verdict.setText("Right" if right else f"No, it was in sound {2 if self.second else 1}")
        set_role(self.verdict, "good" if right else "warning")
        if self.stairs.done:
            self._end()
        else:
            self.second = self._random.random() < 0.5
            self.play()

    def _end(self) -> None:
        self._listening.end_audition()
        threshold = self.stairs.threshold
        if threshold is None:
            heard = self.stairs.level >= HIGHEST_DB - STEPS_DB[-1]
            text = "You heard it at every level that there is" if heard else "There were too few turns to name a level"
            self.verdict.setText(f"{text}; no budget was found.")
            set_role(self.verdict, "warning")
        else:
            ear = Ear(round(threshold, 1), round(self.stairs.spread, 1), self._entry.name)
            self.verdict.setText(f"You can just not tell at {told(ear)}.")
            set_role(self.verdict, "good")
            self.found.emit(ear)
        self._show()
        if self.use_button.isVisibleTo(self):
            self.use_button.setDefault(True)  # Return takes it; Space, which played the pair, does nothing any more
        self.setFocus()

    def _use(self) -> None:
        self.use_wanted.emit()
        self.accept()

    # --- what is shown ---

    def _show(self) -> None:
        done = self.stairs.done
        since = min(self.stairs.trials - self._turned_at, PER_TURN - 1)
        self.progress.setValue(PER_TURN * TURNS if done else PER_TURN * len(self.stairs.turns) + since)
        for button in self.buttons:
            button.setEnabled(self._started and not done)
        self.start_button.setText("Play again" if self._started else "Begin")
        self.start_button.setEnabled(not done)
        self.use_button.setVisible(done and self.stairs.threshold is not None)

    def _light(self, seconds: float) -> None:
        """Light the number whose sound is playing."""
        length = self._part[0].shape[1] / self._entry.clip.sample_rate
        playing = self._listening.auditioning and self._listening.player.playing
        lit = (playing and seconds < length, playing and seconds >= length + GAP)
        for button, on in zip(self.buttons, lit, strict=True):
            button.setChecked(on)

    def done(self, result: int) -> None:
        self._listening.moved.disconnect(self._light)
        self._listening.end_audition()
        super().done(result)


def told(ear: Ear) -> str:
    """A threshold in words: "43.2 ± 1.8 dB SNR"."""
    return f"{format_number(ear.snr_db, 1)} ± {format_number(ear.spread, 1)} dB SNR"
