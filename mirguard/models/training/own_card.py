"""What the card of a classifier made here says of its data and figures, and what a person should know of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mirguard.models.contract import Classifier
from mirguard.models.imports.wrap import NONE_REACHES, why_no_gradient
from mirguard.models.training.job import TEST, TRAIN, VALIDATION, Made
from mirguard.models.training.report import Report
from mirguard.words import counted

FEW_TEST_CLIPS = 30
FEW_CLIPS = 5  # of a class, to learn from


def doubts(dataset: Any, made: Made, report: Report) -> list[str]:
    """What a person should know before trusting the figures."""
    found = list(dataset.warnings)
    learned = Counter(item.label for item in made.items if item.split in made.learned)
    groups = {item.group for item in made.items}
    said = any("each file counts as" in sentence for sentence in found)
    # Groups that are called otherwise than their files were told by somebody.
    told = any(Path(item.group).name not in (item.path.name, item.path.stem) for item in made.items)
    if dataset.grouped_by == "track" and len(groups) == len(made.items) and not (told or said):
        found.append(
            "Nothing says which clips come from one track or artist, so each file counts as a track of its own; "
            "where some belong together, the figures are too good."
        )
    torn = {item.group for item in made.items if item.split == TEST} & {
        item.group for item in made.items if item.split != TEST
    }
    if torn and not any("more than one part" in sentence for sentence in found):
        have = "has" if len(torn) == 1 else "have"
        found.append(
            f"{counted(len(torn), 'group')} {have} clips in training and in the test, so the figures are too good."
        )
    if report.clips < FEW_TEST_CLIPS:
        are = "is" if report.clips == 1 else "are"
        found.append(f"{counted(report.clips, 'test clip')} {are} few: the interval is what counts, not the figure.")
    few = [label for label in report.labels if learned[label] < FEW_CLIPS]
    if few:
        found.append(f"There are fewer than {FEW_CLIPS} clips to learn {_some(few)} from.")
    untested = [entry.label for entry in report.by_label if not entry.clips]
    if untested and not any("test part holds" in sentence for sentence in found):
        found.append(f"No test clip is of {_some(untested)}: how well that is told apart is unknown.")
    commonest, most = max(Counter({e.label: e.clips for e in report.by_label}).items(), key=lambda pair: pair[1])
    if report.clip_interval[0] <= most / report.clips:
        found.append(
            f"It is not shown to be better than a guess: saying {commonest} every time would be right for "
            f"{most} of {report.clips} test clips."
        )
    if learned and max(learned.values()) >= 5 * min(learned[label] for label in report.labels):
        found.append(f"The classes are uneven: {_some([learned.most_common(1)[0][0]])} has far more clips than others.")
    if made.skipped:
        which = "" if len(made.skipped) == 1 else "; the first"
        found.append(f"{counted(len(made.skipped), 'file')} could not be used{which}: {made.skipped[0]}")
    return list(dict.fromkeys(found))


def _some(labels: Sequence[str], most: int = 3) -> str:
    more = len(labels) - most
    return ", ".join(labels[:most]) + (f" and {more} more" if more > 0 else "")


def about_data(dataset: Any, made: Made, warnings: list[str]) -> dict[str, Any]:
    counts = Counter(item.split for item in made.items)
    kind = {"artist": "by artist", "track": "by track"}.get(dataset.grouped_by, dataset.grouped_by)
    how = {"given": "given", "completed": f"given in part, else {kind}"}.get(getattr(dataset, "split_by", ""), kind)
    return {
        "name": dataset.name,
        "source": str(dataset.source),
        "clips": {split: counts[split] for split in (TRAIN, VALIDATION, TEST)},
        "learned_from": list(made.learned),
        "groups": len({item.group for item in made.items}),
        "split": how,
        "skipped": len(dataset.skipped) + len(made.skipped),
        "warnings": warnings,
    }


def note_of(dataset: Any, made: Made, report: Report) -> str:
    learned = sum(item.split in made.learned for item in made.items)
    return (
        f"Trained on {learned} clips of {dataset.name}; right for {report.sentence} of the same kind; "
        "says nothing of other music."
    )


def about_gradient(model: Classifier) -> dict[str, Any]:
    """What a card says of gradients: whether one reaches the waveform, not (as `gradient_check` does) whether it is the slope."""
    reason = NONE_REACHES
    if model.differentiable:
        generator = torch.Generator().manual_seed(0)
        with torch.inference_mode(False), torch.enable_grad():
            window = (0.1 * torch.randn(1, model.window, generator=generator)).to(model.device).requires_grad_()
            reason = why_no_gradient(model.logits(window), window, generator)
    sentence = reason or "A gradient reaches the waveform; it was not compared with differences."
    return {"reaches": not reason, "verdict": "none", "sentence": sentence}
