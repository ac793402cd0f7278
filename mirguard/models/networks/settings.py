"""Checks of the settings that a network is built from; they may come from a stranger's model.toml."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mirguard.errors import UsageError

WIDEST = 65_536  # channels, units
DEEPEST = 32  # layers


def width(name: str, value: Any, least: int = 1, most: int = WIDEST) -> int:
    """A whole number; UsageError names the setting."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise UsageError(f"The network's {name} must be a whole number from {least} to {most:,}.")
    return value


def widths(name: str, values: Any, count: int | None = None) -> tuple[int, ...]:
    """One whole number a layer, `count` of them if that is given; UsageError names the setting."""
    least, most = (count, count) if count else (1, DEEPEST)
    if not isinstance(values, Sequence) or isinstance(values, str) or not least <= len(values) <= most:
        raise UsageError(f"The network's {name} must be a list of {count or f'1 to {DEEPEST}'} whole numbers.")
    return tuple(width(name, value) for value in values)
