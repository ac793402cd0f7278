"""Where the program's own files lie: in a checkout's `resources/`, or beside the package in an installation."""

from __future__ import annotations

from pathlib import Path

from mirguard.errors import FileError

_PACKAGE = Path(__file__).resolve().parent
_PLACES = (_PACKAGE.parent / "resources", _PACKAGE / "resources")


def resource(*parts: str) -> Path:
    """The path of a shipped file, for example `resource("icons", "play.svg")`."""
    for place in _PLACES:
        path = place.joinpath(*parts)
        if path.exists():
            return path
    raise FileError(f"The installation is incomplete: {'/'.join(parts)} is missing. Install MIRGuard again.")
