"""Settings and results in the words that panels and report share."""

from __future__ import annotations

from mirguard.attacks.restriction import Restriction
from mirguard.words import counted
from mirguard.workbench.design import Design


def looks(gradients: int, forwards: int) -> str:
    """What an attack has cost: gradients, or without any the queries."""
    return counted(gradients, "gradient") if gradients else counted(forwards, "query")


def fooled_by(design: Design) -> str:
    """What marks the step of an attack of this design at which it first got what it wanted."""
    return "stand-ins fooled" if design.surrogates else "fooled"


def in_a_row(*parts: str) -> str:
    """Figures beside each other; a line breaks between them, after the dot, and not inside one."""
    return "\u00a0· ".join(part.replace(" ", "\u00a0") for part in parts)


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
