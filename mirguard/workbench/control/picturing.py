"""Spectrograms and outline of the clip on screen, drawn in the pictures' lane and kept for the last clips."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from PySide6.QtCore import QObject, Signal

from mirguard.analysis.spectrogram import Spectrogram
from mirguard.workbench.bench import Bench
from mirguard.workbench.facts import ADVERSARIAL, ORIGINAL, PERTURBATION, SIDES, Snapshot
from mirguard.workbench.lanes import Answer
from mirguard.workbench.pictures import Draw, MixLive, Outline
from mirguard.workbench.requests import Attack

KEPT_BYTES = 600_000_000  # of spectrograms of clips that are not on screen


class Picturing(QObject):
    """Says what there is to see. `sounded` carries an adversarial sound in the making, for the player."""

    pictured = Signal(str, object)  # side, Spectrogram or None
    outlined = Signal(object)  # Peaks or None
    stale = Signal(str, bool)  # a side's picture is of something that is being made anew
    sounded = Signal(int, object)  # key of the clip, samples (channels, frames)

    def __init__(self, bench: Bench, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench = bench
        self._window: int | None = None
        self._kept: OrderedDict[tuple, tuple[np.ndarray, Spectrogram]] = OrderedDict()  # with what it was drawn from
        self._shown: dict[str, object] = {}  # by side: the samples whose picture is on screen or on its way
        bench.on(Draw, self._drawn)
        bench.on(Outline, self._outlined)
        bench.on(MixLive, self._mixed)
        bench.on(Attack, progress=self._live)
        bench.document.watch("current", self._show_clip)
        bench.document.watch("outcome", self._show_results)
        bench.document.watch("run", self._show_results)
        bench.document.watch("moment", self._show_results)

    def set_window(self, window: int | None) -> None:
        """Another transform length: everything is drawn again."""
        if window != self._window:
            self._window = window
            self._shown.clear()
            self._show_results()

    def _show_clip(self) -> None:
        self._bench.pictures.forget("Outline")
        self._bench.pictures.forget("MixLive")
        self.outlined.emit(None)
        entry = self._bench.document.current
        if entry is not None:
            self._bench.pictures.ask(Outline(entry.key, entry.clip))
        for side in SIDES:
            self._clear(side)
        self._show_results()

    def _show_results(self) -> None:
        """Every side of the clip on screen, while no attack on it is bringing newer ones."""
        document = self._bench.document
        entry = document.current
        if entry is None:
            return
        sounds = document.shown(entry)
        running = document.run is not None and document.run.key == entry.key
        if not running:
            self._bench.pictures.forget("MixLive")
        for side in SIDES:
            if side in sounds and not (running and side != ORIGINAL):
                self._show(entry.key, side, sounds[side].samples)
            elif side not in sounds and not running:
                self._clear(side)
            elif side != ORIGINAL and document.run.last is None and side in self._shown:
                self.stale.emit(side, True)  # of the run before; the first picture of this one is on its way

    def _clear(self, side: str) -> None:
        self._bench.pictures.forget(("Draw", side))
        self._shown.pop(side, None)
        self.stale.emit(side, False)
        self.pictured.emit(side, None)

    def _show(self, key: int, side: str, samples: np.ndarray) -> None:
        if self._shown.get(side) is samples:
            return
        self._shown[side] = samples
        kept = self._kept.get((key, side, self._window))
        if kept is not None and kept[0] is samples:
            self._bench.pictures.forget(("Draw", side))
            self._kept.move_to_end((key, side, self._window))
            self.stale.emit(side, False)
            self.pictured.emit(side, kept[1])
            return
        rate = self._bench.document.entries[key].clip.sample_rate
        self._bench.pictures.ask(Draw(key, side, samples, rate, self._window))

    def _drawn(self, answer: Answer) -> None:
        request = answer.request
        if request.key != self._bench.document.current_key or self._shown.get(request.side) is not request.samples:
            return
        entry = self._bench.document.current
        sound = self._bench.document.sounds(entry).get(request.side)
        if sound is not None and sound.samples is request.samples:
            self._keep((request.key, request.side, request.window), request.samples, answer.value)
        self.stale.emit(request.side, False)
        self.pictured.emit(request.side, answer.value)

    def _keep(self, name: tuple, samples: np.ndarray, spectrogram: Spectrogram) -> None:
        entries = self._bench.document.entries
        self._kept[name] = samples, spectrogram
        for old in [old for old in self._kept if old[0] not in entries]:
            del self._kept[old]
        while len(self._kept) > 3 and sum(held.nbytes for _, held in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)

    def _outlined(self, answer: Answer) -> None:
        if answer.request.key == self._bench.document.current_key:
            self.outlined.emit(answer.value)

    def _live(self, answer: Answer) -> None:
        snapshot, key = answer.value, answer.request.key
        if not isinstance(snapshot, Snapshot) or snapshot.delta is None or key != self._bench.document.current_key:
            return
        # While the picture before this one is still being drawn, this one is left out: none would ever be finished.
        if not self._bench.pictures.holds(("Draw", ADVERSARIAL)):
            self._bench.pictures.ask(MixLive(key, answer.request.clip, snapshot.delta))

    def _mixed(self, answer: Answer) -> None:
        document, request = self._bench.document, answer.request
        if document.run is None or document.run.key != request.key or document.current_key != request.key:
            return
        self._show(request.key, ADVERSARIAL, answer.value)
        self._show(request.key, PERTURBATION, request.delta)
        self.sounded.emit(request.key, answer.value)
