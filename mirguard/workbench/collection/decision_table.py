"""A person's decisions as the rows of a CSV file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mirguard.workbench.collection.row import Row


def decision_table(rows: Sequence[Row], folder: Path) -> list[dict[str, object]]:
    """The person's decisions and notes for a CSV file in that folder, one mapping a row, in the order listed.

    Files below the folder are named from there, as labelled data wants them, so that what was accepted and relabelled
    can be trained on."""
    listed = []
    for row in rows:
        record = row.record
        if record is None:
            continue
        listed.append(
            {
                "file": _from(folder, row.item.path),
                "label": record.label,
                "decision": record.decision,
                "note": record.note,
                "start": _blank(row.item.start),
                "seconds": _blank(row.item.seconds),
                "true_label": row.item.label,
                "heard": record.heard,
                "confidence": _blank(record.confidence),
                "detector_score": _blank(record.score),
                "flagged": "" if record.flagged is None else ("yes" if record.flagged else "no"),
                "model": record.model,
                "decided_at": record.at,
                "sha256_of_samples": record.sound,
            }
        )
    return listed


def _blank(value: float | None) -> float | str:
    return "" if value is None else value


def _from(folder: Path, path: Path) -> str:
    """The path from a folder on where it lies below it; else all of it."""
    full = os.path.abspath(path)
    relative = os.path.relpath(full, folder) if os.path.splitdrive(full)[0] == os.path.splitdrive(folder)[0] else full
    return full if relative.startswith(os.pardir) else relative.replace(os.sep, "/")
