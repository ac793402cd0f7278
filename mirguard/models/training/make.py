"""From labelled sounds to a classifier in the catalogue, with a card that says honestly how good it is.

Training and validation clips are learned from and chosen with; test clips are heard once, at the end, and decide nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mirguard import __version__
from mirguard.errors import FileError, UsageError
from mirguard.models import catalogue
from mirguard.models.contract import Classifier
from mirguard.models.decision import SINGLE_LABEL, track_logits
from mirguard.models.load_file import load_model_file
from mirguard.models.model_file import ModelFile
from mirguard.models.training.cache import Cache
from mirguard.models.training.hearing import Ear
from mirguard.models.training.loop import Epoch
from mirguard.models.training.methods import BACKBONE, DEFAULT, LEARNER, NETWORK, Method, find_method, plain
from mirguard.models.training.report import Report
from mirguard.parameters import resolve

TRAIN, VALIDATION, TEST = "train", "validation", "test"
HEARING, LEARNING, TESTING, SAVING = "hearing", "learning", "testing", "saving"
FEW_TEST_CLIPS = 30
FEW_CLIPS = 5  # of a class, to learn from
_NAME = re.compile(r"[^\W_][\w .+()-]{0,79}")
# Windows keeps these for devices, with any suffix.
_DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10))}


@dataclass(frozen=True)
class TrainingProgress:
    """What is being done: `stage` is "hearing", "learning", "testing" or "saving", `fraction` the part of the stage that is done,
    where known. `epoch` comes after each pass over the training sounds, for methods that make several."""

    stage: str
    fraction: float | None
    sentence: str
    epoch: Epoch | None = None


@dataclass(frozen=True, eq=False)
class Trained:
    """A classifier made here: what its model.toml says, how good it is, and itself, as loaded from its file."""

    file: ModelFile
    report: Report
    classifier: Classifier


class Teller:
    """Tells how far training is; nothing happens where nobody listens."""

    def __init__(self, progress: Callable[[TrainingProgress], None] | None) -> None:
        self._progress = progress or (lambda _: None)

    def __call__(self, stage: str, fraction: float | None, sentence: str, epoch: Epoch | None = None) -> None:
        self._progress(TrainingProgress(stage, fraction, sentence, epoch))

    def heard(self, done: int, of: int, name: str) -> None:
        self(HEARING, done / of, f"Hearing {name} ({done + 1} of {of})")

    def epoch(self, epoch: Epoch) -> None:
        held_out = f", {100 * epoch.validation:.0f} % in validation" if epoch.validation is not None else ""
        self(
            LEARNING,
            epoch.number / epoch.of,
            f"Epoch {epoch.number} of {epoch.of}: loss {epoch.loss:.3f}, {100 * epoch.accuracy:.0f} % right in training{held_out}",
            epoch,
        )


@dataclass(frozen=True, eq=False)
class Job:
    """What every way to train is given. `labels` number the classes; `items` are those of all splits."""

    name: str
    labels: tuple[str, ...]
    items: tuple[Any, ...]
    values: Mapping[str, Any]
    seed: int
    ear: Ear
    cancel: threading.Event | None
    tell: Teller

    def numbers(self, items: Sequence[Any]) -> np.ndarray:
        return np.array([self.labels.index(item.label) for item in items], np.int64)


@dataclass(frozen=True, eq=False)
class Made:
    """What a way to train gives: the items it could hear, sentences about the others, logits `(n, K)` of the windows of test clips
    and the clip of each (a number into `items`), `save(folder, name, title, note, card)`, and the splits that were learned from."""

    items: tuple[Any, ...]
    skipped: tuple[str, ...]
    logits: np.ndarray
    clip: np.ndarray
    save: Callable[..., ModelFile]
    chosen: Mapping[str, Any]
    learned: tuple[str, ...]
    lineage: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


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
    target = _target(name, folder, replace)
    _check(dataset)
    tell = Teller(progress)
    ear = Ear(most=values["windows"], cache=cache, progress=tell.heard, cancel=cancel, rest=rest)
    labels = tuple(dataset.labels)
    job = Job(name, labels, tuple(dataset.items), values, seed, ear, cancel, tell)
    made = _way(chosen)(chosen, job)
    tell(TESTING, None, "Deciding on the test clips")
    report = _judge(job, made)
    warnings = _warnings(dataset, made, report)
    card = {
        "made": "trained",
        "method": chosen.name,
        "data": _data(dataset, made, warnings),
        "lineage": list(made.lineage),
        "seed": seed,
        "parameters": plain(values) | dict(made.chosen),
        "seconds": round(time.perf_counter() - began, 1),
        "test": report.card(),
        "version": __version__,
    }
    note = " ".join([_note(dataset, made, report), *made.remarks])
    ear.pause()
    tell(SAVING, None, f"Saving {name}")
    file, classifier = _keep(target, replace, lambda place: made.save(place, name, title, note, card))
    catalogue.forget(name)
    return Trained(file, report, classifier)


def check_name(name: str, folder: str | os.PathLike | None = None, replace: bool = False) -> None:
    """UsageError with one sentence if a model cannot be kept under that name."""
    _target(name, folder, replace)


# -- What is asked for ---------------------------------------------------------------------------------------------------


def _target(name: str, folder: str | os.PathLike | None, replace: bool) -> Path:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name != name.strip() or name.endswith("."):
        raise UsageError(
            f"{name!r} cannot be a model's name: up to 80 letters, digits, spaces and -_.+() that begin with a letter or digit."
        )
    if name.split(".")[0].upper() in _DEVICES:
        raise UsageError(f"{name!r} cannot be a model's name: Windows keeps it for a device.")
    taken = {info.name: info.kind for info in catalogue.list_models()}.get(name)
    if taken not in (None, catalogue.YOURS):
        raise UsageError(f"{name} is the name of a model that comes with MIRGuard or a plug-in; choose another one.")
    target = (Path(folder).expanduser() if folder else catalogue.own_folder(name).parent) / name
    if target.exists() and not replace:
        raise UsageError(f"There is a model called {name} already; choose another name, or ask for it to be replaced.")
    return target


def _check(dataset: Any) -> None:
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
    _need_every_class(labels, items, f"in {dataset.name}")
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


def _need_every_class(labels: Sequence[str], items: Sequence[Any], where: str) -> None:
    there = {item.label for item in items if item.split == TRAIN}
    missing = [label for label in labels if label not in there]
    if missing:
        raise UsageError(
            f"There is no training clip of {', '.join(missing[:3])} {where}; add some, or take the class out."
        )


def check_heard(job: Job, items: Sequence[Any], skipped: Sequence[str]) -> None:
    """Whether what could be heard still allows for training; UsageError with the first reason why not."""
    first = f" ({skipped[0].rstrip('.')})" if skipped else ""
    if not items:
        raise UsageError(f"None of the {len(job.items)} clips can be used{first}.")
    if not any(item.split == TEST for item in items):
        raise UsageError(f"None of the test clips can be used{first}.")
    _need_every_class(job.labels, items, f"that can be used{first}")


# -- The ways to train ---------------------------------------------------------------------------------------------------


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


# -- How good it is ------------------------------------------------------------------------------------------------------


def _judge(job: Job, made: Made) -> Report:
    """A clip's decision is the mean of its windows' probabilities, as everywhere."""
    heard, clip = np.unique(made.clip, return_inverse=True)
    assert all(made.items[number].split == TEST for number in heard.tolist())
    said = [
        int(track_logits(torch.from_numpy(made.logits[clip == number])[None], SINGLE_LABEL)[0].argmax())
        for number in range(len(heard))
    ]
    wanted = job.numbers([made.items[number] for number in heard.tolist()])
    return Report.of(job.labels, wanted, np.array(said, np.int64), clip, made.logits.argmax(1))


def _warnings(dataset: Any, made: Made, report: Report) -> list[str]:
    """What a person should know before trusting the figures."""
    found = list(dataset.warnings)
    learned = Counter(item.label for item in made.items if item.split in made.learned)
    groups = {item.group for item in made.items}
    said = any("each file counts as" in sentence for sentence in found)
    by_file = all(item.group.endswith(item.path.name) for item in made.items)  # no table named a track
    if dataset.grouped_by == "track" and by_file and len(groups) == len(made.items) and not said:
        found.append(
            "Nothing says which clips come from one track or artist, so each file counts as a track of its own; "
            "where some belong together, the figures are too good."
        )
    torn = {item.group for item in made.items if item.split == TEST} & {
        item.group for item in made.items if item.split != TEST
    }
    if torn and not any("more than one part" in sentence for sentence in found):
        found.append(f"{len(torn)} groups have clips in training and in the test, so the figures are too good.")
    if report.clips < FEW_TEST_CLIPS:
        found.append(f"{report.clips} test clips are few: the interval is what counts, not the figure.")
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
        found.append(f"{len(made.skipped)} files could not be used; the first: {made.skipped[0]}")
    return list(dict.fromkeys(found))


def _some(labels: Sequence[str], most: int = 3) -> str:
    more = len(labels) - most
    return ", ".join(labels[:most]) + (f" and {more} more" if more > 0 else "")


def _data(dataset: Any, made: Made, warnings: list[str]) -> dict[str, Any]:
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


def _note(dataset: Any, made: Made, report: Report) -> str:
    learned = sum(item.split in made.learned for item in made.items)
    return (
        f"Trained on {learned} clips of {dataset.name}; right for {report.sentence} of the same kind; "
        "says nothing of other music."
    )


def _gradient(model: Classifier) -> dict[str, Any]:
    """What a card says of gradients: whether one reaches the waveform, not (as `gradient_check` does) whether it is the slope."""
    reaches = False
    if model.differentiable:
        with torch.inference_mode(False), torch.enable_grad():
            window = 0.1 * torch.randn(1, model.window, generator=torch.Generator().manual_seed(0))
            window = window.to(model.device).requires_grad_()
            (slope,) = torch.autograd.grad(model.logits(window)[0].max(), window)
        reaches = bool(torch.isfinite(slope).all() and slope.any())
    sentence = (
        "A gradient reaches the waveform; it was not compared with differences."
        if reaches
        else "No gradient reaches the waveform: only attacks that need none can be used."
    )
    return {"reaches": reaches, "verdict": "none", "sentence": sentence}


# -- Keeping it ----------------------------------------------------------------------------------------------------------


def _keep(target: Path, replacing: bool, save: Callable[[Path], ModelFile]) -> tuple[ModelFile, Classifier]:
    """The model's folder, made beside its place under another name, and moved there once it is complete and can be loaded."""
    mark = secrets.token_hex(4)
    making, old = target.with_name(f".making-{mark}"), target.with_name(f".old-{mark}")
    try:
        making.mkdir(parents=True)
        file = save(making)
        classifier = load_model_file(file)
        file = replace(file, card={**file.card, "gradient": _gradient(classifier)})
        file.write()
        if target.exists():
            if not replacing:
                raise UsageError(f"There is a model called {target.name} already; choose another name.")
            target.rename(old)
        try:
            making.rename(target)
        except OSError:
            if target.exists():  # another training or adding was quicker by a moment
                raise UsageError(f"There is a model called {target.name} already; choose another name.") from None
            if old.exists():
                old.rename(target)
            raise
    except OSError as error:
        raise FileError(
            f"{target.name} cannot be kept in {target.parent}: {error.strerror}; "
            "name a folder that you may write to in MIRGUARD_DATA."
        ) from error
    finally:
        for place in (making, old):
            with contextlib.suppress(OSError):
                shutil.rmtree(place)
    return replace(file, folder=target), classifier
