"""Which part of a sound is on screen: one state that panes, ruler and overview share."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from mirguard.analysis.scales import Scale, scale

MIN_SECONDS = 0.02
MIN_SHARE = 0.02  # of the frequency axis


class Navigation(QObject):
    """The visible times and frequencies, kept inside the sound.

    `changed` is emitted once per turn of the event loop however often the view moved in it, so that a burst of wheel
    or mouse events costs one picture.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.duration = 0.0
        self.top_hz = 11_025.0
        self.scale: Scale = scale("log")
        self.t0, self.t1 = 0.0, 1.0
        self.v0, self.v1 = self.scale.span(self.top_hz)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self.changed)

    @property
    def low_hz(self) -> float:
        return float(self.scale.inverse(self.v0))

    @property
    def high_hz(self) -> float:
        return float(self.scale.inverse(self.v1))

    def set_sound(self, duration: float, top_hz: float) -> None:
        """A new sound: everything comes into view. The same extent again moves nothing."""
        if (duration, top_hz) != (self.duration, self.top_hz):
            self.duration, self.top_hz = duration, top_hz
            self.fit()

    def set_scale(self, name: str) -> None:
        """Another frequency scale; the visible frequencies stay."""
        if name == self.scale.name:
            return
        bottom, top = self.scale.span(self.top_hz)
        low, high = self.low_hz, self.high_hz
        whole = self.v0 <= bottom + 1e-9 and self.v1 >= top - 1e-9
        self.scale = scale(name)
        if whole:
            self._set_band(*self.scale.span(self.top_hz))
        else:
            self._set_band(float(self.scale.forward(max(low, self.scale.lowest))), float(self.scale.forward(high)))

    def fit(self) -> None:
        """Everything."""
        self.t0, self.t1 = 0.0, self.duration or 1.0
        self.v0, self.v1 = self.scale.span(self.top_hz)
        self._moved()

    def show_times(self, t0: float, t1: float) -> None:
        """Bring t0 to t1 seconds into view; a range that sticks out is shifted, one that is too long is cut."""
        end = self.duration or 1.0
        length = min(max(t1 - t0, min(MIN_SECONDS, end)), end)
        middle = (t0 + t1) / 2
        t0 = min(max(middle - length / 2, 0.0), end - length)
        if (t0, t0 + length) != (self.t0, self.t1):
            self.t0, self.t1 = t0, t0 + length
            self._moved()

    def show_frequencies(self, low: float, high: float) -> None:
        """Bring low to high Hz into view."""
        self._set_band(float(self.scale.forward(max(low, self.scale.lowest))), float(self.scale.forward(high)))

    def pan(self, seconds: float, coordinate: float = 0.0) -> None:
        """Move the view by seconds, and by so much on the frequency axis (in its own coordinate)."""
        if seconds:
            self.show_times(self.t0 + seconds, self.t1 + seconds)
        if coordinate:
            self._set_band(self.v0 + coordinate, self.v1 + coordinate)

    def pan_by(self, share: float) -> None:
        """Move the view by a share of its length."""
        self.pan(share * (self.t1 - self.t0))

    def zoom_time(self, factor: float, centre: float | None = None) -> None:
        """Show 1/factor of the time; what stands at `centre` seconds stays where it is."""
        centre = (self.t0 + self.t1) / 2 if centre is None else centre
        length = min(max((self.t1 - self.t0) / factor, min(MIN_SECONDS, self.duration or 1.0)), self.duration or 1.0)
        share = (centre - self.t0) / (self.t1 - self.t0)
        t0 = centre - share * length
        self.show_times(t0, t0 + length)

    def zoom_frequency(self, factor: float, centre: float | None = None) -> None:
        """Show 1/factor of the frequency axis; what stands at `centre` (axis coordinate) stays."""
        centre = (self.v0 + self.v1) / 2 if centre is None else centre
        bottom, top = self.scale.span(self.top_hz)
        length = min(max((self.v1 - self.v0) / factor, MIN_SHARE * (top - bottom)), top - bottom)
        share = (centre - self.v0) / (self.v1 - self.v0)
        v0 = centre - share * length
        self._set_band(v0, v0 + length)

    def page_to(self, seconds: float) -> None:
        """Turn the page so that `seconds` stands near its left edge."""
        length = self.t1 - self.t0
        t0 = seconds - 0.03 * length
        self.show_times(t0, t0 + length)

    def flush(self) -> None:
        """Emit a pending `changed` now."""
        if self._timer.isActive():
            self._timer.stop()
            self.changed.emit()

    def _set_band(self, v0: float, v1: float) -> None:
        bottom, top = self.scale.span(self.top_hz)
        length = min(max(v1 - v0, MIN_SHARE * (top - bottom)), top - bottom)
        middle = (v0 + v1) / 2
        v0 = min(max(middle - length / 2, bottom), top - length)
        if (v0, v0 + length) != (self.v0, self.v1):
            self.v0, self.v1 = v0, v0 + length
            self._moved()

    def _moved(self) -> None:
        if not self._timer.isActive():
            self._timer.start()
