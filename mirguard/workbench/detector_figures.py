"""The figures of a detection report as a table: in words for a person, and as CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np

from mirguard.attacks.catalogue import find_attack
from mirguard.detectors.catalogue import find_detector
from mirguard.words import counted

if TYPE_CHECKING:
    from mirguard.detectors.roc import Area
    from mirguard.experiment.detection_report import DetectionReport, Figure

COLUMNS = ("Detector", "AUC static", "AUC adaptive", "TPR 1 %", "TPR 5 %", "Get past")
ABOUT = (
    "",
    "Area under the ROC curve where the attack knows nothing of the detector (95 % interval): 0.5 is chance, 1 perfect",
    "The same where the attack sets out to evade this very detector: the figure that counts",
    "Share of the fooling static results that is flagged where one in a hundred clean clips is; – with too few clean clips",
    "Share of the fooling static results that is flagged where one in twenty clean clips is",
    "Clips on which the evading attack fools the model and is not flagged at 5 %",
)
ENOUGH = 10  # results that fool the model; of fewer, intervals over clips are too narrow
FEW = " So few results say little, whatever the figures: take more clips, or a lower SNR."
NAMES = (
    "model",
    "attack",
    "snr_db",
    "clips",
    "detector",
    "auc_static",
    "auc_static_low",
    "auc_static_high",
    "auc_adaptive",
    "auc_adaptive_low",
    "auc_adaptive_high",
    "tpr_at_1_percent",
    "tpr_at_5_percent",
    "adaptive_fooled",
    "adaptive_fooled_and_passed",
)


def row(report: DetectionReport, figure: Figure) -> tuple[str, ...]:
    """A detector's figures in the order of COLUMNS."""
    static, adaptive = _words(figure.static), _words(figure.adaptive)
    caught = ["–" if share is None else f"{share:.0%}".replace("%", " %") for share in figure.caught]
    passed = "–" if figure.evaded is None else f"{figure.evaded} of {report.clips}"
    return find_detector(figure.detector).title, static, adaptive, *caught, passed


def _words(area: Area | None) -> str:
    return "–" if area is None or area.value is None else f"{area.value:.2f} ({area.low:.2f}–{area.high:.2f})"


def headline(report: DetectionReport) -> str:
    """What was attacked, and with what success."""
    one = report.headings[0]
    snr = "" if one.snr_db is None else f" at a median SNR of {one.snr_db:.1f} dB"
    return (
        f"{find_attack(one.attack).title} alone fooled {report.model} on {one.fooled} of {counted(one.clips, 'clip')}{snr}. What "
        "fools it is held against all clips, clean and with white noise of the same SNR."
        + (FEW if 0 < one.fooled < ENOUGH else "")
    )


def of_sets(report: DetectionReport) -> str:
    """What the detectors that test sets of clips say, "" where there is none."""
    said = []
    for one in report.sets:
        parts = [(one.clean, "clean"), (one.noisy, "with noise"), (one.attacked, "attacked")]
        if all(p is None for p, _kind in parts):
            said.append(f"{find_detector(one.detector).title} cannot tell anything of so few clips together.")
        else:
            words = ", ".join(f"{'–' if p is None else f'{p:.2g}'} {kind}" for p, kind in parts)
            said.append(f"{find_detector(one.detector).title} tests all clips as one set: p = {words}.")
    return " ".join(said)


def as_text(report: DetectionReport) -> str:
    """Aligned columns, for a letter or a log."""
    rows = [COLUMNS, *(row(report, figure) for figure in report.figures)]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in rows]
    return "\n".join(filter(None, (headline(report), *lines, of_sets(report)))) + "\n"


def as_csv(report: DetectionReport) -> str:
    """A line for each detector; cells are empty where there is no figure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(NAMES)
    for figure in report.figures:
        areas = []
        for area in (figure.static, figure.adaptive):
            areas += ["", "", ""] if area is None else [area.value, area.low, area.high]
        about = (report.model, figure.attack, report.snr, report.clips, figure.detector)
        shares = ["" if share is None else share for share in (*figure.caught, figure.fooled, figure.evaded)]
        writer.writerow((*about, *areas, *shares))
    return text.getvalue()


def curves(report: DetectionReport, figure: Figure) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The ROC of a detector, (false-positive rates, true-positive rates), "static" and, where it was evaded, "adaptive": of the
    sounds that fool the model, against all clean and all noisy ones. What fooled it nowhere has none."""
    from mirguard.detectors.roc import roc

    scores = report.scores[figure.attack][figure.detector]
    fooled = report.fools[figure.attack][figure.detector]
    negatives = [*scores["clean"], *scores["noisy"]]
    kinds = {"static": "attacked", "adaptive": "adaptive"}
    found = {}
    for name, kind in kinds.items():
        positives = [score for score, fools in zip(scores.get(kind, ()), fooled.get(kind, ()), strict=True) if fools]
        if positives:
            found[name] = roc(negatives, positives)
    return found
