"""From a rectangle on a pane to times and frequencies, and back; an edge on the sound's own edge is none."""

from __future__ import annotations

from dataclasses import dataclass

from mirguard.workbench.views.navigation import Navigation

Range = tuple[float, float] | None
FLAT = 6  # pixels: what is thinner was meant for the other direction alone
STICKY = 4  # pixels from the sound's edge
SHORTEST, NARROWEST = 0.01, 1.0  # seconds, Hz


@dataclass(frozen=True)
class Area:
    """A range in seconds and one in Hz; None is all there is."""

    time: Range = None
    band: Range = None

    def edges(self, navigation: Navigation) -> dict[str, float | None]:
        """In seconds and on the axis of frequencies; None where the area reaches as far as the sound does."""
        left, right = self.time or (None, None)
        low, high = self.band or (None, None)
        scale = navigation.scale
        return {
            "left": left,
            "right": right,
            "bottom": None if low is None or low <= scale.lowest else float(scale.forward(low)),
            "top": None if high is None or high >= navigation.top_hz else float(scale.forward(high)),
        }


def area_between(edges: dict[str, float | None], navigation: Navigation, pixel: tuple[float, float]) -> Area:
    """The area inside those edges, which may have changed sides; `pixel` is the size of one in the view's coordinates."""
    bottom, top = navigation.scale.span(navigation.top_hz)
    time = _range(edges["left"], edges["right"], 0.0, navigation.duration, STICKY * pixel[0])
    band = _range(edges["bottom"], edges["top"], bottom, top, STICKY * pixel[1])
    if time is not None:
        time = apart(round(time[0], 3), round(time[1], 3), navigation.duration, SHORTEST)
    if band is not None:
        low, high = (float(navigation.scale.inverse(edge)) for edge in band)
        low, high = 0.0 if band[0] == bottom else round(low), navigation.top_hz if band[1] == top else round(high)
        band = apart(low, high, navigation.top_hz, NARROWEST)
    return Area(time, band)


def drawn_area(
    start: tuple[float, float],
    end: tuple[float, float],
    navigation: Navigation,
    pixel: tuple[float, float],
    only: str = "",
) -> Area | None:
    """What a drag from `start` to `end` means; `only` "time" or "band" leaves the other one open, as does a drag along a line.
    None for one that goes nowhere."""
    wide = abs(end[0] - start[0]) >= FLAT * pixel[0] and only != "band"
    high = abs(end[1] - start[1]) >= FLAT * pixel[1] and only != "time"
    if not wide and not high:
        return None
    edges = {
        "left": start[0] if wide else None,
        "right": end[0] if wide else None,
        "bottom": start[1] if high else None,
        "top": end[1] if high else None,
    }
    return area_between(edges, navigation, pixel)


def _range(first: float | None, second: float | None, least: float, most: float, slack: float) -> Range:
    first, second = least if first is None else first, most if second is None else second
    low, high = sorted((min(max(first, least), most), min(max(second, least), most)))
    low, high = least if low < least + slack else low, most if high > most - slack else high
    return None if (low, high) == (least, most) else (low, high)


def apart(low: float, high: float, most: float, least: float) -> tuple[float, float]:
    """The two, at least so far apart: the second gives way."""
    low = min(low, most - least)
    return low, max(high, low + least)
