"""Original, adversarial and perturbation one above the other, on the same times and frequencies."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from mirguard.analysis.spectrogram import Spectrogram, SpectrogramSettings, suggest_gain
from mirguard.workbench.views.area import Area
from mirguard.workbench.views.axes import small_font
from mirguard.workbench.views.colourbar import ColourBar
from mirguard.workbench.views.navigation import Navigation
from mirguard.workbench.views.ruler import TimeRuler
from mirguard.workbench.views.spectrogram_view import SpectrogramView

PANES = {
    "original": ("Original", "Drop a song here"),
    "adversarial": ("Adversarial", "Run an attack to see what it does to the sound"),
    "perturbation": ("Perturbation", "The difference between adversarial and original appears here"),
}
GAIN_HYSTERESIS_DB = 10.0


class SpectrogramStack(QWidget):
    """Three linked panes under one time ruler, with one colour scale.

    `which` is "original", "adversarial" or "perturbation" throughout. Times are in seconds.
    """

    hovered = Signal(float, float, float)  # seconds, Hz, dB re full scale (NaN outside the sound)
    hoverEnded = Signal()
    seekRequested = Signal(float)
    regionSelected = Signal(float, float)
    regionCleared = Signal()
    areaDrawn = Signal(object)  # Area, once it is finished; None where the drag went nowhere
    settingsChanged = Signal(object)
    viewChanged = Signal(float, float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.settings = SpectrogramSettings()
        self.navigation = Navigation(self)
        self.follow = True
        self._playhead: float | None = None
        self._gain: float | None = None
        self.setAccessibleName("Spectrograms")
        self.ruler = TimeRuler(self.navigation)
        self.bar = ColourBar()
        self.views = {
            which: SpectrogramView(which, title, self.navigation, empty) for which, (title, empty) in PANES.items()
        }
        column = QVBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        for view in self.views.values():
            column.addWidget(view, 1)
            view.hovered.connect(self._hover)
            view.hoverEnded.connect(self._end_hover)
            view.seekRequested.connect(self.seekRequested)
            view.regionSelected.connect(self._select)
            view.areaDrawn.connect(self._draw)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(0)
        unit = QLabel("dB")
        unit.setProperty("role", "muted")
        unit.setFont(small_font(self.font()))
        unit.setContentsMargins(6, 0, 0, 0)
        grid.addWidget(self.ruler, 0, 0)
        grid.addWidget(unit, 0, 1)
        grid.addLayout(column, 1, 0)
        grid.addWidget(self.bar, 1, 1)
        grid.setRowStretch(1, 1)
        self.ruler.seekRequested.connect(self.seekRequested)
        self.ruler.regionSelected.connect(self._select)
        self.ruler.regionCleared.connect(self._clear)
        self.bar.rangeChanged.connect(self._range_dragged)
        self.navigation.changed.connect(self._moved)
        self.set_settings(self.settings)

    # -- content ---------------------------------------------------------------------------------------------------

    def set_spectrogram(self, which: str, spectrogram: Spectrogram | None) -> None:
        """Show a spectrogram in a pane, or its empty state. A new original of another length resets the view."""
        self.views[which].set_spectrogram(spectrogram)
        self.views[which].set_playhead(self._playhead)
        if which == "original" and spectrogram is None:
            self.set_region(None)
            self.set_playhead(None)
        if which == "perturbation" and spectrogram is None:
            self._gain = None
        if which != "adversarial":
            self._update_gain()

    def spectrogram(self, which: str) -> Spectrogram | None:
        return self.views[which].spectrogram

    def set_settings(self, settings: SpectrogramSettings) -> None:
        """Scale, range, colours: at once. (Another window needs new spectrograms, which whoever computes them brings.)"""
        self.settings = settings
        self.bar.set_settings(settings)
        self.navigation.set_scale(settings.scale)
        for which, view in self.views.items():
            view.set_settings(settings, (self._gain or 0.0) if which == "perturbation" else 0.0)
        self._update_gain()

    def set_overlay(self, overlay: Spectrogram | None, opacity: float = 0.8) -> None:
        """Lay a picture over the original's, or take it away."""
        self.views["original"].set_overlay(overlay, opacity)

    def set_stale(self, which: str, stale: bool) -> None:
        """Grey a pane whose picture belongs to a past choice, and say "computing…"."""
        self.views[which].set_stale(stale)

    def set_empty_text(self, which: str, text: str) -> None:
        """What a pane says while it has nothing to show."""
        self.views[which].set_empty_text(text)

    def set_pane_visible(self, which: str, visible: bool) -> None:
        """Hide a pane to give the others its room."""
        self.views[which].setVisible(visible)

    @property
    def perturbation_gain_db(self) -> float:
        """By how much the perturbation is shown louder than it is."""
        return self._gain or 0.0

    def readings(self, time: float, hz: float) -> dict[str, float | None]:
        """dB re full scale at a point, by pane."""
        return {
            which: view.spectrogram.at(time, hz) if view.spectrogram is not None else None
            for which, view in self.views.items()
        }

    def _update_gain(self) -> None:
        """The chosen gain, or the suggested one; that moves only by more than a step, so that it does not flicker."""
        shown = self.views["perturbation"].spectrogram
        if self.settings.perturbation_gain_db is not None:
            gain = self.settings.perturbation_gain_db
        elif shown is None:
            gain = None
        else:
            gain = suggest_gain(self.views["original"].spectrogram, shown)
            if self._gain is not None and abs(gain - self._gain) <= GAIN_HYSTERESIS_DB:
                gain = self._gain
        self._gain = gain
        if self.views["perturbation"].gain_db != (gain or 0.0):
            self.views["perturbation"].set_settings(self.settings, gain or 0.0)

    # -- playhead, loop, view --------------------------------------------------------------------------------------

    def set_playhead(self, seconds: float | None) -> None:
        """Move the playhead, and turn the page when it leaves the view at which one was looking."""
        before, self._playhead = self._playhead, seconds
        self.ruler.set_playhead(seconds)
        for view in self.views.values():
            view.set_playhead(seconds)
        navigation = self.navigation
        if not self.follow or seconds is None or before is None:
            return
        if navigation.t0 <= before <= navigation.t1 and not navigation.t0 <= seconds <= navigation.t1:
            navigation.page_to(seconds)

    def set_region(self, region: tuple[float, float] | None) -> None:
        """Show the loop (start, end), or none; says nothing back."""
        self.ruler.set_region(region)
        for view in self.views.values():
            view.set_region(region)

    def set_area(self, area: Area) -> None:
        """Show where the perturbation may be; says nothing back."""
        for view in self.views.values():
            view.set_area(area)

    def set_drawing(self, on: bool) -> None:
        """Let the mouse draw where the perturbation may be, or move the view again."""
        for view in self.views.values():
            view.set_drawing(on)

    def fit(self) -> None:
        """The whole sound, all frequencies."""
        self.navigation.fit()

    def zoom(self, factor: float) -> None:
        """Show 1/factor of the time, about the playhead if it is in view, else about the middle."""
        navigation, at = self.navigation, self._playhead
        inside = at is not None and navigation.t0 <= at <= navigation.t1
        navigation.zoom_time(factor, at if inside else None)

    def pan(self, share: float) -> None:
        """Move the view by a share of its length: 1 is a page on, -1 a page back."""
        self.navigation.pan_by(share)

    def show_times(self, start: float, end: float) -> None:
        """Bring these times into view."""
        self.navigation.show_times(start, end)

    def visible_times(self) -> tuple[float, float]:
        return self.navigation.t0, self.navigation.t1

    def _moved(self) -> None:
        self.viewChanged.emit(self.navigation.t0, self.navigation.t1)

    def _hover(self, time: float, hz: float, db: float) -> None:
        source = self.sender()
        for view in self.views.values():
            if view is not source:
                view.set_cursor(time)
        self.hovered.emit(time, hz, db)

    def _end_hover(self) -> None:
        for view in self.views.values():
            view.set_cursor(None)
        self.hoverEnded.emit()

    def _select(self, start: float, end: float) -> None:
        self.set_region((start, end))
        self.regionSelected.emit(start, end)

    def _draw(self, area: Area | None, finished: bool) -> None:
        if area is not None:
            self.set_area(area)
        if finished:
            self.areaDrawn.emit(area)

    def _clear(self) -> None:
        self.set_region(None)
        self.regionCleared.emit()

    def _range_dragged(self, floor: float, ceiling: float) -> None:
        self.set_settings(self.settings.changed(floor_db=floor, ceiling_db=ceiling))
        self.settingsChanged.emit(self.settings)
