"""The panels as docks: where they begin, and how they are put back."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget, QMainWindow, QWidget

LEFT, RIGHT, BOTTOM = (
    Qt.DockWidgetArea.LeftDockWidgetArea,
    Qt.DockWidgetArea.RightDockWidgetArea,
    Qt.DockWidgetArea.BottomDockWidgetArea,
)
# Below this height the left column has no room for three panels one under another: two of them become tabs.
TALL = 850


@dataclass(frozen=True)
class Place:
    """A panel's name for the program, its title, and its key in the layout."""

    name: str
    title: str


PLACES = (
    Place("clips", "Clips"),
    Place("labels", "Labels"),
    Place("detectors", "Detectors"),
    Place("spectrograms", "Spectrograms"),
    Place("designer", "Designer"),
    Place("channel", "Channel"),
    Place("playback", "Playback"),
    Place("browser", "Dataset"),
    Place("trace", "Trace"),
    Place("response", "Response"),
    Place("transfer", "Transfer"),
    Place("checks", "Checks"),
)


def make_docks(window: QMainWindow, panels: dict[str, QWidget]) -> dict[str, QDockWidget]:
    """A dock for each panel, movable, floatable and closable."""
    docks = {}
    for place in PLACES:
        dock = QDockWidget(place.title, window)
        dock.setObjectName(place.name)  # what the remembered arrangement goes by
        dock.setAccessibleName(place.title)
        dock.setWidget(panels[place.name])
        dock.setAllowedAreas(Qt.DockWidgetArea.AllDockWidgetAreas)
        docks[place.name] = dock
    return docks


def arrange(window: QMainWindow, docks: dict[str, QDockWidget], width: int, height: int) -> None:
    """The arrangement to begin with, for a window of that size."""
    window.setDockNestingEnabled(True)
    window.setCorner(Qt.Corner.BottomLeftCorner, BOTTOM)
    window.setCorner(Qt.Corner.BottomRightCorner, BOTTOM)
    browsing = not docks["browser"].isHidden()  # shown once it is wanted
    for dock in docks.values():
        dock.setFloating(False)
        window.removeDockWidget(dock)
    tall = height >= TALL
    # All in one area: a bottom area of its own would take a share of what the window grows by and leave it empty.
    window.addDockWidget(LEFT, docks["clips"])
    window.splitDockWidget(docks["clips"], docks["playback"], Qt.Orientation.Vertical)
    window.splitDockWidget(docks["clips"], docks["spectrograms"], Qt.Orientation.Horizontal)
    window.splitDockWidget(docks["spectrograms"], docks["designer"], Qt.Orientation.Horizontal)
    window.splitDockWidget(docks["clips"], docks["labels"], Qt.Orientation.Vertical)
    if tall:
        window.splitDockWidget(docks["labels"], docks["detectors"], Qt.Orientation.Vertical)
    else:
        window.tabifyDockWidget(docks["labels"], docks["detectors"])
    window.tabifyDockWidget(docks["spectrograms"], docks["browser"])
    window.tabifyDockWidget(docks["browser"], docks["transfer"])
    window.tabifyDockWidget(docks["transfer"], docks["checks"])
    window.tabifyDockWidget(docks["designer"], docks["channel"])
    window.tabifyDockWidget(docks["channel"], docks["trace"])
    window.tabifyDockWidget(docks["trace"], docks["response"])
    for dock in docks.values():
        dock.setVisible(dock is not docks["browser"] or browsing)
    docks["labels"].raise_()
    docks["spectrograms"].raise_()
    docks["designer"].raise_()
    left = max(230, min(310, round(0.19 * width)))
    right = max(310, min(370, round(0.25 * width)))
    columns = [docks["clips"], docks["spectrograms"], docks["designer"]]
    window.resizeDocks(columns, [left, max(300, width - left - right), right], Qt.Orientation.Horizontal)
    room = height - 130
    if tall:
        column, heights = ["clips", "labels", "detectors"], [0.2, 0.35, 0.45]
    else:
        column, heights = ["clips", "labels"], [0.34, 0.66]
    window.resizeDocks(
        [docks[name] for name in column], [round(share * room) for share in heights], Qt.Orientation.Vertical
    )
    window.resizeDocks([docks["playback"]], [46], Qt.Orientation.Vertical)
