"""How numbers are written in the window."""

from __future__ import annotations

import math

MINUS = "\u2212"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def format_time(seconds: float, step: float = 1.0) -> str:
    """m:ss, or h:mm:ss from an hour up, with as many decimals as ticks `step` seconds apart need."""
    decimals = 0 if step >= 1 else min(4, math.ceil(-math.log10(step) - 1e-9))
    units = round(abs(seconds) * 10**decimals)
    whole, part = divmod(units, 10**decimals)
    minutes, second = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02d}:{second:02d}" if hours else f"{minutes}:{second:02d}"
    if decimals:
        text += f".{part:0{decimals}d}"
    return MINUS + text if seconds < 0 and units else text


def format_hz(hz: float) -> str:
    """A frequency with its unit, to three figures."""
    if hz >= 999.5:
        return f"{hz / 1000:.2f} kHz" if hz < 9995 else f"{hz / 1000:.1f} kHz"
    return f"{hz:.0f} Hz" if hz >= 99.5 else f"{hz:.1f} Hz"


def format_hz_tick(hz: float) -> str:
    """A frequency as an axis writes it: 500, 1k, 2.5k."""
    return f"{hz / 1000:g}k" if hz >= 1000 else f"{hz:g}"


def format_db(db: float | None, decimals: int = 0) -> str:
    """A level with its unit and a true minus sign; a dash for none."""
    if db is None or math.isnan(db):
        return "– dB"
    return format_number(db, decimals) + " dB"


def format_number(value: float, decimals: int) -> str:
    """A number with a true minus sign, and never "−0"."""
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def format_tick(text: str) -> str:
    """A number as Python writes it ("-5e-05") as it is printed ("−5·10⁻⁵")."""
    mantissa, _, exponent = text.partition("e")
    power = f"·10{str(int(exponent)).translate(_RAISED)}" if exponent else ""
    return mantissa.replace("-", MINUS) + power


def format_figures(value: float, figures: int = 3) -> str:
    """A number to so many figures, without needless zeros, with powers of ten only where they save reading."""
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else MINUS + "∞")
    size = math.floor(math.log10(abs(value)))
    if -5 <= size < 6:
        text = f"{value:.{max(0, figures - 1 - size)}f}"
        if "." in text:
            text = text.rstrip("0").rstrip(".")
    else:
        text = f"{value:.{figures - 1}g}"
    return text.replace("-", MINUS)


def format_percent(probability: float) -> str:
    """A probability as per cent; below 10 % with a decimal, and never rounded up to 100 or down to 0."""
    percent = 100 * probability
    if percent == 0:
        return "0 %"
    if 0 < percent < 0.05:
        return "<0.1 %"
    if 99.5 <= percent < 100:
        return ">99 %"
    return f"{percent:.1f} %" if percent < 9.95 else f"{percent:.0f} %"


def readout(time: float, hz: float, db: float | None) -> str:
    """What a status bar says of the point under the cursor."""
    return f"{format_time(time, 0.001)}   {format_hz(hz)}   {format_db(db)}"
