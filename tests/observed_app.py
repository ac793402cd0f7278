"""The program as a person starts it, with one addition: four times a second it writes into a file what it shows.

    python observed_app.py STATE.json [SOUND FILE ...]

Tests read there where a button is on the screen and what has come of a key; they press and type with xdotool.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from PySide6.QtCore import QPoint, QTimer
from PySide6.QtWidgets import QApplication, QDialog, QWidget

from mirguard.workbench import app as workbench
from mirguard.workbench.window import Window


def seen() -> dict:
    """What is on the screen: places of named widgets, and the state of the work."""
    windows = [widget for widget in QApplication.topLevelWidgets() if isinstance(widget, Window)]
    if not windows:
        return {}
    window = windows[0]
    document, player, entry = window.document, window.bench.player, window.document.current
    outcome = entry.outcome if entry else None
    return {
        "places": {name: place for widget in shown() for name, place in [placed(widget)] if name},
        "window": [window.x(), window.y(), window.width(), window.height()],
        "active": window.isActiveWindow(),
        "model": document.model.name if document.model else None,
        "clips": [kept.name for kept in document.entries.values()],
        "label": entry.decision.label if entry and entry.decision else None,
        "level": [document.design.held, document.design.level],
        "running": document.run is not None,
        "gradients": document.run.last.gradients if document.run and document.run.last else 0,
        "outcome": [outcome.exported.decision.label, outcome.success, outcome.status] if outcome else None,
        "readings": {side: found[0].flagged for side, found in entry.readings.items() if found} if entry else {},
        "pictures": [side for side, view in window.spectrograms.stack.views.items() if view.spectrogram is not None],
        "playing": player.playing,
        "position": player.position,
        "selected": player.selected,
        "output": player.output,
        "silent": player.silent,
        "underruns": player.underruns,
        "dialogs": [dialog.windowTitle() for dialog in window.findChildren(QDialog) if dialog.isVisible()],
        "messages": [message.sentence for message in window.messages.shown],
    }


def shown() -> list[QWidget]:
    return [widget for widget in QApplication.allWidgets() if widget.isVisible() and widget.accessibleName()]


def placed(widget: QWidget) -> tuple[str, list[int]]:
    corner = widget.mapToGlobal(QPoint(0, 0))
    return widget.accessibleName(), [corner.x(), corner.y(), widget.width(), widget.height()]


def main() -> int:
    path = Path(sys.argv[1])
    workbench.make_application()

    def write() -> None:
        state = seen()
        if state:
            part = path.with_suffix(".part")
            part.write_text(json.dumps(state))
            os.replace(part, path)

    timer = QTimer(interval=250)
    timer.timeout.connect(write)
    timer.start()
    return workbench.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
