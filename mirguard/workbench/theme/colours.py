"""The two sets of colours, and how far apart two colours are to the eye."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtGui import QColor, QPalette


@dataclass(frozen=True)
class Colours:
    """Every colour the window uses, as #rrggbb. All that carry text reach a contrast of 4.5 on every surface."""

    name: str
    window: str  # behind everything
    base: str  # lists, fields, plots
    raised: str  # buttons, bars
    hover: str
    pressed: str
    border: str
    text: str
    muted: str  # secondary text
    disabled: str
    accent: str  # the one accent: focus, what runs, the playhead's loop, chosen things
    accent_text: str  # on the accent
    original: str
    adversarial: str
    perturbation: str
    danger: str  # flagged, failed
    warning: str
    good: str  # passed, done
    picture: str = "#08080c"  # behind spectrograms, in both themes: colour maps begin near black
    on_picture: str = "#f2f3f5"

    def of(self, which: str) -> QColor:
        """The colour of that role, or of "original", "adversarial", "perturbation"."""
        return QColor(getattr(self, which))

    def faint(self, which: str, alpha: int) -> QColor:
        """The same, see-through: alpha from 0 to 255."""
        colour = self.of(which)
        colour.setAlpha(alpha)
        return colour


DARK = Colours(
    name="dark",
    window="#1c1e23",
    base="#15171b",
    raised="#2a2d34",
    hover="#343841",
    pressed="#22252b",
    border="#3a3e47",
    text="#e8eaed",
    muted="#a3aab5",
    disabled="#6d7480",
    accent="#43c6b9",
    accent_text="#06201d",
    original="#7cb7ff",
    adversarial="#ffab66",
    perturbation="#d3a0ff",
    danger="#ff8080",
    warning="#f0c454",
    good="#6bd693",
)

LIGHT = Colours(
    name="light",
    window="#f1f3f5",
    base="#ffffff",
    raised="#ffffff",
    hover="#e6eaee",
    pressed="#d9dfe5",
    border="#c5ccd4",
    text="#1b1f24",
    muted="#545d69",
    disabled="#929aa5",
    accent="#0a756c",
    accent_text="#ffffff",
    original="#1765ad",
    adversarial="#a84b00",
    perturbation="#7c3aad",
    danger="#b81d24",
    warning="#7a5200",
    good="#146c3c",
)

_current = DARK


def colours() -> Colours:
    """The colours in force."""
    return _current


def use(chosen: Colours) -> None:
    global _current
    _current = chosen


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.1)."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def palette(chosen: Colours) -> QPalette:
    """The Qt palette of a set of colours."""
    made = QPalette()
    roles = {
        QPalette.ColorRole.Window: chosen.window,
        QPalette.ColorRole.WindowText: chosen.text,
        QPalette.ColorRole.Base: chosen.base,
        QPalette.ColorRole.AlternateBase: chosen.window,
        QPalette.ColorRole.Text: chosen.text,
        QPalette.ColorRole.PlaceholderText: chosen.muted,
        QPalette.ColorRole.Button: chosen.raised,
        QPalette.ColorRole.ButtonText: chosen.text,
        QPalette.ColorRole.BrightText: chosen.danger,
        QPalette.ColorRole.ToolTipBase: chosen.raised,
        QPalette.ColorRole.ToolTipText: chosen.text,
        QPalette.ColorRole.Highlight: chosen.accent,
        QPalette.ColorRole.HighlightedText: chosen.accent_text,
        QPalette.ColorRole.Accent: chosen.accent,
        QPalette.ColorRole.Link: chosen.accent,
        QPalette.ColorRole.LinkVisited: chosen.accent,
        QPalette.ColorRole.Light: chosen.hover,
        QPalette.ColorRole.Midlight: chosen.raised,
        QPalette.ColorRole.Mid: chosen.border,
        QPalette.ColorRole.Dark: chosen.border,
        QPalette.ColorRole.Shadow: chosen.base if chosen.name == "dark" else chosen.border,
    }
    for role, colour in roles.items():
        made.setColor(role, QColor(colour))
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, role, QColor(chosen.disabled))
    made.setColor(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Highlight, QColor(chosen.border))
    made.setColor(QPalette.ColorGroup.Disabled, QPalette.ColorRole.HighlightedText, QColor(chosen.muted))
    return made
