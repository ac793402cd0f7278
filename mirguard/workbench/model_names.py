"""What a model of one's own may be called."""

from __future__ import annotations

from collections.abc import Iterable

from mirguard.files import name_trouble


def free_name(wanted: str, taken: Iterable[str]) -> str:
    """A name for a model after that of a folder, with a number where it is taken."""
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in wanted.strip().lower()).strip("-._")
    kept = "-".join(filter(None, kept.split("-")))[:60] or "my-classifier"
    taken, number, name = {other.casefold() for other in taken}, 2, kept
    while name.casefold() in taken:
        name, number = f"{kept}-{number}", number + 1
    return name


def model_name_trouble(name: str, taken: Iterable[str]) -> str:
    """Why a model cannot be called that, in a sentence; "" if it can."""
    if not name:
        return "Give the classifier a name."
    if trouble := name_trouble(name):
        return f"This cannot be its name: {trouble}."
    if name.casefold() in {other.casefold() for other in taken}:
        return f"There is a model {name!r} already; choose another name."
    return ""
