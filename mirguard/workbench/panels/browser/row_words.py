"""What is said of a row of the dataset browser: in its cells, below the table and in the tool tip."""

from __future__ import annotations

from mirguard.workbench.collection.collection import Collection
from mirguard.workbench.collection.row import ACCEPT, ADVERSARIAL, FAILED, RELABEL, UNSURE, Row
from mirguard.workbench.views.formats import format_figures, format_percent

DECIDED = {ACCEPT: "accepted", ADVERSARIAL: "adversarial", UNSURE: "unsure", RELABEL: "relabelled"}


def text_of(row: Row, column: str) -> str:
    """A cell's words."""
    heard = row.heard
    if column == "name":
        return row.name
    if column == "true":
        return row.item.label
    if column == "split":
        return row.item.split
    if column == "decision":
        if row.decision == RELABEL:
            return f"→ {row.record.label}"
        return DECIDED.get(row.decision, "") or ("note" if row.note else "")
    if column == "predicted" and heard is None:
        return "cannot be read" if row.state == FAILED else "…"
    if heard is None:
        return ""
    if column == "predicted":
        return heard.label
    if column == "confidence":
        return format_percent(heard.confidence)
    return "" if heard.score is None else format_figures(heard.score)


def told(row: Row, collection: Collection) -> str:
    """All that is known of a row, in lines."""
    lines = [str(row.item.path)]
    if row.trouble:
        lines.append(row.trouble)
    if row.item.label:
        of = f" ({row.item.split})" if row.item.split else ""
        lines.append(f"True label: {row.item.label}{of}")
    if row.heard:
        lines.append(f"Heard as {saying(row)}")
        detected = detection(row, collection)
        if detected:
            lines.append(detected[0].upper() + detected[1:])
    if row.decision:
        to = f" as {row.record.label}" if row.record.label else ""
        lines.append(
            f"You decided: {DECIDED[row.decision]}{to}, {row.record.at.replace('T', ' ').replace('+00:00', ' UTC')}"
        )
    if row.note:
        lines.append(f"Note: {row.note}")
    return "\n".join(lines)


def saying(row: Row) -> str:
    """What the model says: "organ 62 %, brass 21 %, flute 9.1 %"."""
    return ", ".join(f"{label} {format_percent(share)}" for label, share in row.heard.top or [_top(row)])


def _top(row: Row) -> tuple[str, float]:
    return row.heard.label, row.heard.confidence


def detection(row: Row, collection: Collection) -> str:
    """What the detector says, "" where it says nothing."""
    if row.heard is None or row.heard.score is None:
        return ""
    words = f"detector {format_figures(row.heard.score)}"
    percentile = collection.percentile(row.heard.score)
    if percentile is not None:
        words += f", above {percentile:.0f} % of clean clips"
    flagged = collection.flagged(row)
    return words if flagged is None else f"{words}: {'flagged' if flagged else 'passes'}"
