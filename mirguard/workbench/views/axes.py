"""Axes that write numbers and Hz as the rest of the window does."""

from __future__ import annotations

import pyqtgraph as pg
from PySide6.QtGui import QFont

from mirguard.workbench.theme import colours
from mirguard.workbench.views.formats import format_hz_tick, format_tick
from mirguard.workbench.views.navigation import Navigation

AXIS_WIDTH = 46


def small_font(font: QFont) -> QFont:
    """The same font a little smaller, for ticks and notes."""
    small = QFont(font)
    small.setPointSizeF(max(7.0, font.pointSizeF() * 0.88))
    return small


class NumberAxis(pg.AxisItem):
    """An axis of a plot, with a true minus sign and powers of ten as they are printed."""

    def tickStrings(self, values, scale, spacing):
        return [format_tick(text) for text in super().tickStrings(values, scale, spacing)]


class FrequencyAxis(pg.AxisItem):
    """The left axis of a spectrogram pane, in Hz on whichever scale the navigation has."""

    def __init__(self, navigation: Navigation) -> None:
        super().__init__("left", maxTickLength=-5)
        self._navigation = navigation
        self.setWidth(AXIS_WIDTH)
        self.enableAutoSIPrefix(False)
        self.setStyle(autoExpandTextSpace=False, tickTextOffset=4, hideOverlappingLabels=False)
        self.restyle()

    def restyle(self) -> None:
        """Take the theme's colours."""
        self.setPen(pg.mkPen(colours().border))
        self.setTextPen(pg.mkPen(colours().muted))

    def tickValues(self, minimum, maximum, size):
        axis = self._navigation.scale
        low, high = float(axis.inverse(minimum)), float(axis.inverse(maximum))
        major, minor = axis.ticks(low, high, int(size / 26))
        major, minor = ([float(axis.forward(hz)) for hz in ticks] for ticks in (major, minor))
        # A label needs half its height on either side, so none stands at the very ends.
        room = 7.0 / max(size, 1.0) * (maximum - minimum)
        minor += [value for value in major if not minimum + room <= value <= maximum - room]
        major = [value for value in major if minimum + room <= value <= maximum - room]
        return [(1.0, major), (0.0, minor)]

    def tickStrings(self, values, scale, spacing):
        if spacing == 0.0:
            return [""] * len(values)
        hertz = (float(self._navigation.scale.inverse(value)) for value in values)
        return [format_hz_tick(float(f"{hz:.5g}")) for hz in hertz]
