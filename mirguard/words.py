"""Words as they are read from names and tables, and as they are put into sentences."""

from __future__ import annotations

import unicodedata


def tidy(text: str) -> str:
    """Composed accents and single blanks, so that names from several systems are the same name."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def counted(number: int, noun: str) -> str:
    """A number of things: "1 clip", "2 clips", "2 classes", "2 queries"."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("ry"):
        return f"{number} {noun[:-1]}ies"
    return f"{number} {noun}{'es' if noun.endswith('s') else 's'}"
