"""Where the program's own files lie: in a checkout's `resources/`, or inside the package in an installation.

The wheel carries the folder as `mirguard/_resources`, because this module has the plain name.
"""

from __future__ import annotations

from pathlib import Path

from mirguard.errors import FileError

_PACKAGE = Path(__file__).resolve().parent
# Inside the package first: beside an installed package, `resources` is some other project's folder.
_PLACES = (_PACKAGE / "_resources", _PACKAGE.parent / "resources")


def resource(*parts: str) -> Path:
    """The path of a shipped file, for example `resource("icons", "play.svg")`."""
    for place in _PLACES:
        path = place.joinpath(*parts)
        if path.exists():
            return path
    raise FileError(f"The installation is incomplete: {'/'.join(parts)} is missing. Install MIRGuard again.")


def demo_clip() -> Path:
    """The short piece of music that comes with the program."""
    return resource("demo", "demo.flac")
