"""What a model of one's own may be called."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NAME = re.compile(
    r"[^\W_][\w .+()-]{0,79}"
)  # as models.training.keeping, which is on another thread with torch, has it


def free_name(wanted: str, taken: Iterable[str]) -> str:
    """A name for a model after that of a folder, with a number where it is taken."""
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in wanted.strip().lower()).strip("-._")
    kept = "-".join(filter(None, kept.split("-")))[:60] or "my-classifier"
    taken, number, name = set(taken), 2, kept
    while name in taken:
        name, number = f"{kept}-{number}", number + 1
    return name


def name_trouble(name: str, taken: Iterable[str]) -> str:
    """Why a model cannot be called that, in a sentence; "" if it can."""
    if not name:
        return "Give the classifier a name."
    if not _NAME.fullmatch(name) or name.endswith("."):
        return "A name has up to 80 letters, digits, spaces and -_.+() and begins with a letter or digit."
    if name in set(taken):
        return f"There is a model {name!r} already; choose another name."
    return ""
