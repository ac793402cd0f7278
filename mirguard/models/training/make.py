"""From labelled sounds to a classifier in the catalogue, with a card that says honestly how good it is.

Training and validation clips are learned from and chosen with; test clips are heard once, at the end, and decide nothing.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mirguard import __version__
from mirguard.errors import UsageError
from mirguard.models import catalogue
from mirguard.models.contract import Classifier
from mirguard.models.decision import SINGLE_LABEL, track_logits
from mirguard.models.model_file import ModelFile
from mirguard.models.training.cache import Cache
from mirguard.models.training.hearing import Ear
from mirguard.models.training.job import TEST, TRAIN, VALIDATION, Job, Made, need_every_class
from mirguard.models.training.keeping import check_place, keep, place_for
from mirguard.models.training.methods import BACKBONE, DEFAULT, LEARNER, NETWORK, Method, find_method, plain
from mirguard.models.training.own_card import about_data, doubts, note_of
from mirguard.models.training.progress import SAVING, TESTING, Teller, TrainingProgress
from mirguard.models.training.report import Report
from mirguard.parameters import resolve


@dataclass(frozen=True, eq=False)
class Trained:
    """A classifier made here: what its model.toml says, how good it is, and itself, as loaded from its file; and a sentence for
    each sound that could not be used."""

    file: ModelFile
    report: Report
    classifier: Classifier
    skipped: tuple[str, ...] = ()


def train_classifier(
    dataset: Any,
    name: str,
    method: str = DEFAULT,
    *,
    seed: int = 0,
    title: str = "",
    folder: str | os.PathLike | None = None,
    replace: bool = False,
    cache: Cache | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
    cancel: threading.Event | None = None,
    rest: Callable[[], None] | None = None,
    **parameters: Any,
) -> Trained:
    """Make a classifier of labelled sounds and keep it in the catalogue under `name`.

        dataset = mg.split(mg.labelled_folder("genres"))
        trained = mg.train_classifier(dataset, "my-genres", "svm", kernel="linear")
        print(trained.report.sentence)
        outcome = mg.attack(trained.classifier, clip, "noise", snr=20)

    `dataset` is a split LabelledSet (`mirguard.split`), or anything with its fields; every item is in "train", "validation"
    or "test". `method` and its `parameters` are those that `mirguard models train --help` lists (`methods.list_methods` in
    Python), or the name of any other model to build upon: "musicnn-msd" and "musicnn-mtt" put a new last layer on frozen
    features, "log-mel-cnn" and other networks are trained from nothing, "svm" and other learners have no gradients.
    The model lands in `folder / name`, by default among the user's models; `replace` lets it take the place of one of theirs.

    The same files, seed and parameters give the same classifier. `progress` hears of every step, `rest` is called between
    windows and batches; where either raises, or `cancel` is set (which raises Cancelled), nothing is left behind but what was
    heard. UsageError or FileError with one sentence if it cannot be done.
    """
    began = time.perf_counter()
    chosen = find_method(method)
    values = resolve(chosen.parameters, parameters)
    target = place_for(name, folder, replace)
    check_data(dataset)
    check_place(target)
    tell = Teller(progress)
    ear = Ear(most=values["windows"], cache=cache, progress=tell.heard, cancel=cancel, rest=rest)
    labels = tuple(dataset.labels)
    job = Job(name, labels, tuple(dataset.items), values, seed, ear, cancel, tell)
    made = _way(chosen)(chosen, job)
    tell(TESTING, None, "Deciding on the test clips")
    report = judge(job, made)
    warnings = doubts(dataset, made, report)
    card = {
        "made": "trained",
        "method": chosen.name,
        "data": about_data(dataset, made, warnings),
        "lineage": list(made.lineage),
        "seed": seed,
        "parameters": plain(values) | dict(made.chosen),
        "seconds": round(time.perf_counter() - began, 1),
        "test": report.card(),
        "version": __version__,
    }
    note = " ".join([note_of(dataset, made, report), *made.remarks])
    ear.pause()
    tell(SAVING, None, f"Saving {name}")
    file, classifier = keep(target, replace, lambda place: made.save(place, name, title, note, card))
    catalogue.forget(name)
    return Trained(file, report, classifier, (*dataset.skipped, *made.skipped))


def check_data(dataset: Any) -> None:
    """Whether there is anything to learn, before anything is heard."""
    labels, items = tuple(dataset.labels), tuple(dataset.items)
    if len(labels) < 2:
        only = f"only {labels[0]}" if labels else "none"
        raise UsageError(f"A classifier needs at least two classes; {dataset.name} has {only}.")
    unsplit = next((item for item in items if item.split not in (TRAIN, VALIDATION, TEST)), None)
    if unsplit is not None:
        raise UsageError(
            f"{dataset.name} has not been split into training and test clips yet; mirguard.split does that."
        )
    counts = Counter(item.label for item in items)
    for label in labels:
        if counts[label] < 2:
            has = "has only one clip" if counts[label] else "has no clip"
            raise UsageError(
                f"The class {label} {has}; each class needs at least two, one to learn from and one to be tested on. "
                "Add more, or take it out."
            )
    need_every_class(labels, items, f"in {dataset.name}")
    if not any(item.split == TEST for item in items):
        raise UsageError(
            f"No clip of {dataset.name} is left to test on, so nobody would know how good the classifier is; "
            "use more clips, or a larger part of them for the test."
        )
    splits: dict[str, str] = {}
    for item in items:
        place = os.path.realpath(item.path)
        if splits.setdefault(place, item.split) != item.split:
            raise UsageError(
                f"{item.path.name} is in the {splits[place]} and in the {item.split} part: parts of one file belong together."
            )


def _way(method: Method) -> Callable[[Method, Job], Made]:
    # Each in a file of its own, imported when it is used.
    if method.kind == BACKBONE:
        from mirguard.models.training.on_backbone import on_backbone

        return on_backbone
    if method.kind == NETWORK:
        from mirguard.models.training.from_nothing import from_nothing

        return from_nothing
    assert method.kind == LEARNER
    from mirguard.models.training.with_learner import with_learner

    return with_learner


def judge(job: Job, made: Made, task: str = SINGLE_LABEL) -> Report:
    """Figures on the test clips. A clip's decision is the mean of its windows' probabilities, as everywhere."""
    heard, clip = np.unique(made.clip, return_inverse=True)
    assert all(made.items[number].split == TEST for number in heard.tolist())
    said = [
        int(track_logits(torch.from_numpy(made.logits[clip == number])[None], task)[0].argmax())
        for number in range(len(heard))
    ]
    wanted = job.numbers([made.items[number] for number in heard.tolist()])
    return Report.of(job.labels, wanted, np.array(said, np.int64), clip, made.logits.argmax(1))
