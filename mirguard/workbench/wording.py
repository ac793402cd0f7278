"""Settings and results in the words that panels and report share."""

from __future__ import annotations

from mirguard.attacks.restriction import Restriction
from mirguard.words import counted


def looks(gradients: int, forwards: int) -> str:
    """What an attack has cost: gradients, or without any the queries."""
    return counted(gradients, "gradient") if gradients else counted(forwards, "query")


def sentence(words: str) -> str:
    """The words with a capital first letter."""
    return words[:1].upper() + words[1:]


def where(restriction: Restriction) -> str:
    """What is restricted, in a line: "1.20–3.45 s, 500–4000 Hz"."""
    said = []
    if restriction.time is not None:
        said.append(f"{restriction.time[0]:.2f}–{restriction.time[1]:.2f} s")
    if restriction.band is not None:
        said.append(f"{restriction.band[0]:.0f}–{restriction.band[1]:.0f} Hz")
    if restriction.above is not None:
        said.append(f"above {restriction.above:.0f} dB".replace("-", "\u2212"))
    if restriction.masked:
        said.append("masked")
    return ", ".join(said) or "the whole sound"
