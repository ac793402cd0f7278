"""What stays together where sounds are split: groups by a rule on the names of files."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mirguard.datasets.labelled import Item, some
from mirguard.errors import UsageError
from mirguard.words import counted, tidy

GROUPINGS = ("auto", "file", "folder", "artist", "excerpt")
# "song_03", "song-part2", "song (4)": a name and the number of a piece of it.
_EXCERPT = re.compile(
    r"(.*?)[\s._-]*[(\[]?(?:part|pt|seg|segment|chunk|excerpt|clip|section)?[\s._-]*\d+[)\]]?", re.IGNORECASE
)


@dataclass(frozen=True)
class Grouping:
    """`of(path below its class or table, class or "")` is a group's name; None where the name does not fit the rule."""

    kind: str
    of: Callable[[Path, str], str | None]


def grouping_rule(rule: str) -> Grouping | None:
    """None is "auto"."""
    if rule == "auto":
        return None
    if rule == "file":
        return Grouping("track", lambda path, label: _joined(label, path.as_posix()))
    if rule == "folder":
        return Grouping("given", lambda path, label: path.parent.as_posix() if path.parent.name else None)
    if rule == "artist":
        return Grouping("artist", lambda path, label: artist_in(path.stem))
    if rule == "excerpt":
        return Grouping("track", _without_number)
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise UsageError(
            f"Grouping by {rule!r} makes no sense: it is none of {', '.join(GROUPINGS)}, and as a regular expression "
            f"it is wrong ({error})."
        ) from error
    if pattern.groups != 1:
        raise UsageError(
            f"Grouping by {rule!r} makes no sense: it is none of {', '.join(GROUPINGS)}, and a regular expression "
            "needs exactly one pair of parentheses around what stays together."
        )

    def found(path: Path, _label: str) -> str | None:
        match = pattern.search(path.stem)
        return match[1] if match and match[1] else None

    return Grouping("given", found)


def artist_in(stem: str) -> str | None:
    """What stands before the first " - " of a file's name, track numbers aside: "Bessie Smith" of
    "03 - Bessie Smith - St. Louis Blues"."""
    parts = [tidy(part) for part in stem.replace("_", " ").split(" - ")]
    if parts[0].rstrip(".").isdigit():
        del parts[0]
    return parts[0] or None if len(parts) > 1 else None


def _without_number(path: Path, label: str) -> str | None:
    match = _EXCERPT.fullmatch(path.stem)
    return _joined(label, path.with_name(match[1]).as_posix()) if match and match[1] else None


def _joined(label: str, name: str) -> str:
    return f"{label}/{name}" if label else name


def grouped(grouping: Grouping | None, path: Path, label: str) -> tuple[str, bool]:
    """The group of a file by the rule, and whether the rule fitted; else the file is a group of its own."""
    group = grouping.of(path, label) if grouping else None
    return (group, True) if group else (_joined(label, path.as_posix()), grouping is None)


def unfitting(names: list[str], rule: str) -> list[str]:
    if not names:
        return []
    return [f"{counted(len(names), 'file')} ({some(names)}) fit not the grouping by {rule}, so each stands for itself."]


def looks_like_excerpts(items: list[Item]) -> list[str]:
    """A word where names look as if several files were pieces of one track, and each is a group of its own.

    Numbers of several digits after one name for a whole class (blues.00042) are how collections count their files.
    """
    stems = defaultdict(list)
    for item in items:
        match = _EXCERPT.fullmatch(item.path.stem)
        if match and match[1]:
            stems[item.label, match[1]].append(item.name)
    found = [names for names in stems.values() if len(names) > 1]
    pieces = sum(map(len, found))
    labels = {label for label, _ in stems}
    if len(found) <= 2 * len(labels) or pieces < 0.3 * len(items):
        return []
    return [
        f"Some names look like pieces of one track ({some(sorted(max(found, key=len)), 2)}), but each file counts as "
        "a track of its own; if they are pieces, group by 'excerpt', or figures will be too good."
    ]
