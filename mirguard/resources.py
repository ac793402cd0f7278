"""Where the program's own files lie (a checkout's `resources/`, or inside the package in an installation) and the user's.

The wheel carries the folder as `mirguard/_resources`, because this module has the plain name.
"""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_path

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


def data_folder() -> Path:
    """Where the user's models, references and caches are kept: MIRGUARD_DATA, or the platform's place for such data."""
    named = os.environ.get("MIRGUARD_DATA")
    return Path(named).expanduser() if named else user_data_path("mirguard", appauthor=False)
