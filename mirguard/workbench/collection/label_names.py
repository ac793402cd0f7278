"""How names are compared and sorted."""

from __future__ import annotations

import re


def plain(label: str) -> str:
    """A label as it is compared: "Hip-Hop", "hip_hop" and "hiphop" are one."""
    return "".join(letter for letter in label.casefold() if letter.isalnum()) or label


def natural(name: str) -> tuple:
    """For sorting names so that "clip 2" comes before "clip 10"."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name.casefold()))
