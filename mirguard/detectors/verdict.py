"""What several detectors say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mirguard.detectors.reading import Reading
from mirguard.words import counted


@dataclass(frozen=True)
class Verdict:
    """Whether several detectors together flag a clip, at the rate `fpr` of clean clips at the most; `p` is the smallest of their
    p-values times their number (Bonferroni), `by` the detectors whose own is small enough."""

    flagged: bool
    p: float
    fpr: float
    by: tuple[str, ...]
    sentence: str


def joint(readings: Sequence[Reading], fpr: float) -> Verdict | None:
    """One verdict from all readings that have a score; None where there is none.

    Each reading's p-value is that of its rank among the clean scores, (1 + #{clean ≥ score}) / (1 + n). With m detectors each
    may use fpr / m, whatever they have in common; no p-value can be below 1 / (n + 1), and where that is too coarse it is said."""
    scored = [reading for reading in readings if reading.score is not None]
    if not scored:
        return None
    values = {
        one.detector: (1 + int(np.sum(np.asarray(one.clean_scores) >= one.score))) / (1 + len(one.clean_scores))
        for one in scored
    }
    m = len(values)
    by = tuple(name for name, p in values.items() if p * m <= fpr)
    p = min(1.0, min(values.values()) * m)
    smallest = min(1.0 / (1 + len(one.clean_scores)) for one in scored) * m
    each = f"{counted(m, 'detector')} at {fpr:.1%} together"
    if by:
        sentence = f"Flagged by {', '.join(by)} ({each})."
    elif smallest > fpr:
        sentence = f"Not flagged, but {each} would need more clean clips than the reference has to flag anything."
    else:
        sentence = f"Not flagged ({each})."
    return Verdict(bool(by), p, fpr, by, sentence)
