"""The player and the clip on screen: which sounds there are to switch between, where the sound is, which device."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from mirguard.clip import Clip
from mirguard.errors import MirguardError
from mirguard.playback.levels import MAX_GAIN_DB
from mirguard.workbench.bench import ERROR, WARNING, Bench
from mirguard.workbench.facts import ADVERSARIAL, ORIGINAL, SIDES
from mirguard.workbench.lanes import Answer
from mirguard.workbench.pictures import ListDevices, SuggestGain
from mirguard.workbench.settings import Settings

LOOK_MS = 33  # between looks at the player while it plays
IDLE_MS = 250


class Listening(QObject):
    """Gives the player the sounds of the clip on screen and tells the window what it does."""

    moved = Signal(float)  # seconds
    changed = Signal()  # playing, source, loop, volume, gain or device
    devices_found = Signal(object)  # tuple of names

    def __init__(self, bench: Bench, settings: Settings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench, self._settings, self.player = bench, settings, bench.player
        self.gain_is_suggested = True
        self._held: np.ndarray | None = None  # the adversarial samples that the player has
        self._instead: dict[str, np.ndarray] = {}  # what the player has in the place of the clip's own sounds, by side
        self._loaded: int | None = None
        self._seen: tuple = ()
        self._notice: str | None = None
        self._auditioned: Clip | None = None
        self._left: tuple[float, str, tuple[float, float] | None] = (0.0, ORIGINAL, None)
        self.player.volume = settings.volume
        self.player.device = settings.device
        bench.on(ListDevices, lambda answer: self.devices_found.emit(answer.value))
        bench.on(SuggestGain, self._suggested)
        bench.document.watch("current", self._clip_changed)
        bench.document.watch("outcome", self._result_changed)
        bench.document.watch("run", self._result_changed)
        bench.document.watch("moment", self._result_changed)
        self._timer = QTimer(self, interval=IDLE_MS)
        self._timer.timeout.connect(self._look)
        self._timer.start()

    # --- what there is to hear ---

    def _clip_changed(self) -> None:
        entry, self._held, self._instead = self._bench.document.current, None, {}
        there = self._loaded is not None or self._auditioned is not None
        self._auditioned = None
        if entry is None:
            if there:
                self.player.stop()
                # There is no such thing as an empty player: one sample of silence takes the clip's place.
                self.player.load({ORIGINAL: np.zeros((1, 1), np.float32)}, 44100)
            self._loaded = None
        else:
            self._loaded = entry.key
            self.player.load({ORIGINAL: entry.clip.samples}, entry.clip.sample_rate)
            self._result_changed()
        self._look()
        self.changed.emit()

    def _result_changed(self) -> None:
        document = self._bench.document
        entry = document.current
        if entry is None or (document.run is not None and document.run.key == entry.key):
            return
        sounds = document.shown(entry)
        if ADVERSARIAL in sounds:
            self.put(entry.key, sounds[ADVERSARIAL].samples)
        elif self._held is not None:
            self._held = None
            self._instead.pop(ADVERSARIAL, None)
            if self._auditioned is not None:
                return
            self.player.remove(ADVERSARIAL)
            self.changed.emit()

    def put(self, key: int, samples: np.ndarray) -> None:
        """Another adversarial sound of the clip on screen; if it is being heard, it is faded into."""
        if key != self._loaded or samples is self._held:
            return
        first, self._held = self._held is None, samples
        if self._auditioned is not None:
            return  # the player gets it when it comes back to the clip on screen
        if ADVERSARIAL in self._instead:
            return  # and keeps that until there is something to hear instead of this one
        self.player.replace(ADVERSARIAL, samples)
        if self.gain_is_suggested:
            entry = self._bench.document.current
            self._bench.pictures.ask(SuggestGain(key, entry.clip.samples, samples))
        if first:
            self.changed.emit()

    def hear_instead(self, sounds: Mapping[str, np.ndarray]) -> None:
        """Give the player these in the place of the original and the adversarial sound of the clip on screen, at the same
        position; none: the clip's own again."""
        before, self._instead = self._instead, dict(sounds)
        if self._loaded is None or self._auditioned is not None or not (before or sounds):
            return
        own = {ORIGINAL: self._bench.document.current.clip.samples, ADVERSARIAL: self._held}
        for side, samples in (own | self._instead).items():
            if samples is not None:
                self._try(self.player.replace, side, samples)
        self.changed.emit()

    @property
    def heard(self) -> np.ndarray | None:
        """The adversarial samples that the player has; None while there are none."""
        return self._held

    @property
    def names(self) -> tuple[str, ...]:
        return self.player.names if self._loaded is not None or self._auditioned is not None else ()

    # --- a sound that is not on the screen ---

    def audition(self, clip: Clip) -> None:
        """Play another sound; the clip on screen is back, where it was, as soon as anything is asked of it."""
        if self._auditioned is None:
            self._left = self.player.position, self.player.selected, self.player.loop
        self._auditioned = clip
        if self._try(self.player.load, {ORIGINAL: clip.samples}, clip.sample_rate):
            self._try(self.player.play)
        self.changed.emit()

    @property
    def auditioning(self) -> bool:
        """Whether the player has a sound that is not on the screen."""
        return self._auditioned is not None

    def end_audition(self) -> None:
        """Fall silent and go back to the clip on screen."""
        if self._auditioned is None:
            return
        (position, selected, loop), instead = self._left, self._instead
        self._clip_changed()
        self.hear_instead(instead)
        if self._loaded is not None:
            self._try(setattr, self.player, "loop", loop)
            if selected in self.player.names:
                self._try(self.player.select, selected)
            self._try(self.player.seek, position)

    # --- moving through it ---

    def toggle(self) -> None:
        if self._loaded is not None or self._auditioned is not None:
            self._try(self.player.toggle)

    def stop(self) -> None:
        if self._auditioned is not None:
            self.end_audition()
        else:
            self._try(self.player.stop)

    def seek(self, seconds: float) -> None:
        self.end_audition()
        if self._loaded is not None:
            self._try(self.player.seek, seconds)

    def go_to_start(self) -> None:
        self.seek(0.0)

    def go_to_end(self) -> None:
        self.end_audition()
        self.seek(self.player.duration)

    def select(self, name: str) -> None:
        self.end_audition()
        if self._loaded is not None:
            self._try(self.player.select, name)

    def select_number(self, number: int) -> None:
        self.select(SIDES[number])

    def swap(self) -> None:
        """From the original to the adversarial and back."""
        self.select(ORIGINAL if self.player.selected != ORIGINAL else ADVERSARIAL)

    @property
    def loop(self) -> tuple[float, float] | None:
        return self.player.loop

    def set_loop(self, loop: tuple[float, float] | None) -> None:
        self.end_audition()
        if self._loaded is not None:
            self._try(setattr, self.player, "loop", loop)

    def toggle_loop(self, visible: tuple[float, float]) -> None:
        """Repeat what is visible (the whole clip if all is), or stop repeating."""
        self.set_loop(None if self.player.loop else visible)

    def set_loop_start(self) -> None:
        """The loop begins here; it ends where it ended, else at the clip's end."""
        self.end_audition()
        here, loop, end = self.player.position, self.player.loop, self.player.duration
        self.set_loop((here, loop[1] if loop and loop[1] > here else end))

    def set_loop_end(self) -> None:
        """The loop ends here; it begins where it began, else at the clip's beginning."""
        self.end_audition()
        here, loop = self.player.position, self.player.loop
        self.set_loop((loop[0] if loop and loop[0] < here else 0.0, here))

    # --- how loud, and on what ---

    def set_volume(self, volume: float) -> None:
        self.player.volume = volume
        self._settings.volume = volume
        self.changed.emit()

    def set_gain(self, gain_db: float) -> None:
        """The perturbation's gain, as the person wants it: no longer as suggested."""
        self.gain_is_suggested = False
        self._try(setattr, self.player, "perturbation_gain_db", max(-MAX_GAIN_DB, min(MAX_GAIN_DB, gain_db)))

    def suggest_gain(self) -> None:
        """Back to the gain that makes the perturbation as loud as the original."""
        self.gain_is_suggested = True
        entry = self._bench.document.current
        if entry is not None and self._held is not None:
            self._bench.pictures.ask(SuggestGain(entry.key, entry.clip.samples, self._held))
        self.changed.emit()

    def _suggested(self, answer: Answer) -> None:
        if self.gain_is_suggested and answer.request.key == self._loaded:
            self._try(setattr, self.player, "perturbation_gain_db", answer.value)

    def set_device(self, name: str | None) -> None:
        self._settings.device = name
        self.player.device = name
        self.changed.emit()

    def find_devices(self) -> None:
        self._bench.pictures.ask(ListDevices())

    def rescan(self) -> None:
        """Look for devices that came or went."""
        self._bench.pictures.ask(ListDevices(self.player.rescan))

    # --- what it does ---

    def _try(self, work, *arguments) -> bool:
        try:
            work(*arguments)
        except MirguardError as error:
            self._bench.say(str(error), WARNING)
            return False
        finally:
            self._look()
        return True

    def _look(self) -> None:
        player = self.player
        if self._auditioned is not None and player.ended:
            self.end_audition()
        playing = player.playing
        state = (playing, player.selected, player.loop, player.volume, player.perturbation_gain_db, player.limiting)
        state += (player.output, player.silent, player.names)
        if state != self._seen:
            self._seen = state
            self.changed.emit()
        self.moved.emit(player.position)
        wanted = LOOK_MS if playing else IDLE_MS
        if self._timer.interval() != wanted:
            self._timer.setInterval(wanted)
        if player.notice != self._notice:
            self._notice = player.notice
            if self._notice:
                self._bench.say(self._notice, WARNING if player.silent else ERROR)
