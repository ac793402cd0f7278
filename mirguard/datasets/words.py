"""Words as they are read from names and tables, and as they are put into sentences."""

from __future__ import annotations

import unicodedata


def tidy(text: str) -> str:
    """Composed accents and single blanks, so that names from several systems are the same name."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
