"""The sounds that a transfer matrix is made with, and the matrix as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence

import torch

from mirguard.clip import Clip
from mirguard.errors import UsageError
from mirguard.experiment.transfer import TransferMatrix
from mirguard.models.contract import Classifier
from mirguard.models.tracks import Track, heard_as

COLUMNS = (
    "attack",
    "goal",
    "snr_db",
    "made_on",
    "played_to",
    "attacked_itself",
    "hits",
    "clips",
    "rate",
    "low",
    "high",
)


def windows_of(
    clips: Sequence[Clip], model: Classifier, most: int, rest: Callable[[], None] | None = None
) -> tuple[torch.Tensor, tuple[str, ...]]:
    """At most `most` windows `(rows, window)` of the clips, as many of each as of the others, and what `model` hears in each:
    where nobody has said what a clip is, that counts as right."""
    tracks = [Track(clip, model) for clip in clips]
    rows, turn = [], 0
    while len(rows) < most and any(turn < track.windows for track in tracks):
        for track in tracks:
            if turn < track.windows and len(rows) < most:
                row = track.piece(turn, turn + 1).cpu()
                rows += [row] if bool(row.abs().max() > 0) else []
        turn += 1
    if not rows:
        raise UsageError("The clips are silent; load some with sound in them.")
    x = torch.cat(rows).clamp(-1.0, 1.0)
    return x, tuple(model.labels[number] for number in heard_as(model, x, rest).tolist())


def as_csv(matrix: TransferMatrix) -> str:
    """A line for each cell, with counts and the 95 % interval of the rate."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for cell in matrix.cells:
        figures = (cell.rate, *cell.interval) if cell.clips else ("", "", "")
        made_on = "+".join(cell.sources) or "white noise"
        about = (matrix.attack, matrix.goal, matrix.snr_db, made_on, cell.target, int(cell.known))
        writer.writerow((*about, cell.hits, cell.clips, *figures))
    return text.getvalue()
