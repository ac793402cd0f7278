"""From a model and labelled sounds to a hardened model in the catalogue, with its lineage and held-out accuracy on its card."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mirguard import __version__
from mirguard.defences.card import about_defence, lineage_of
from mirguard.defences.catalogue import find_defence, list_defences
from mirguard.defences.checkpoint import Unfinished
from mirguard.defences.defence import Defence
from mirguard.defences.job import Job
from mirguard.errors import UsageError
from mirguard.models import catalogue
from mirguard.models.backbone import BackboneClassifier, save_backbone
from mirguard.models.contract import Classifier
from mirguard.models.decision import TAGGING
from mirguard.models.model_file import ModelFile
from mirguard.models.networks import outlier, subnetwork
from mirguard.models.networks.saved import OwnNetwork, save_network
from mirguard.models.training.cache import Cache
from mirguard.models.training.from_nothing import logits_of_test, to_learn_from
from mirguard.models.training.hearing import Ear, Sounds
from mirguard.models.training.job import TRAIN, Made
from mirguard.models.training.job import Job as Hearing
from mirguard.models.training.keeping import check_place, keep, place_for
from mirguard.models.training.make import Trained, check_data, judge
from mirguard.models.training.methods import plain
from mirguard.models.training.own_card import about_data, doubts, note_of
from mirguard.models.training.progress import LEARNING, SAVING, TESTING, Teller, TrainingProgress
from mirguard.parameters import resolve


def defend(
    model: Classifier | str,
    dataset: Any,
    name: str,
    defence: str,
    *,
    seed: int = 0,
    title: str = "",
    folder: str | os.PathLike | None = None,
    replace: bool = False,
    resume: bool = False,
    cache: Cache | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
    cancel: threading.Event | None = None,
    rest: Callable[[], None] | None = None,
    **parameters: Any,
) -> Trained:
    """Make a hardened model out of `model` with labelled sounds and keep it in the catalogue under `name`.

        dataset = mg.split(mg.labelled_folder("genres"))
        made = mg.defend("my-genres", dataset, "my-genres-robust", "adversarial-training", snr=30, epochs=5)
        print(made.report.sentence)

    `model` is a network of ours, from the catalogue or loaded; `dataset` a split LabelledSet with the model's labels (what it was
    trained on, or more of the kind; divide it as for the model, with the same seed, or test clips were heard when that was
    trained). `defence` and its `parameters` are those that `mirguard defend list` shows. The model itself stays as it is; the new
    one has the same labels, so that it can be attacked and compared.

    After each epoch the state is kept in `unfinished/NAME` of the user's data folder until the model is done: with `resume`,
    the same request goes on from there and gives the very same weights as if it had never stopped. `progress`, `cancel`, `rest`
    and `folder` are as for `train_classifier`: where one of them ends the work, nothing new is in the catalogue. UsageError or
    FileError with one sentence if it cannot be done.
    """
    began = time.perf_counter()
    chosen = find_defence(defence)
    values = resolve(chosen.parameters, parameters)
    parent = catalogue.load_model(model) if isinstance(model, str) else model
    check_parent(parent, chosen)
    target = place_for(name, folder, replace)
    check_data(dataset)
    _same_labels(parent, dataset)
    check_place(target)

    tell = Teller(progress)
    ear = Ear(most=values["windows"], cache=cache, progress=tell.heard, cancel=cancel, rest=rest)
    hearing = Hearing(name, parent.labels, tuple(dataset.items), values, seed, ear, cancel, tell)
    unfinished = Unfinished(name, _request(chosen, values, parent, dataset, seed))
    resumed = unfinished.begin(resume)
    sounds = Sounds(dataset.items, parent.sample_rate, parent.window, ear)
    excerpts, wanted, validation = to_learn_from(hearing, sounds)
    if parent.task == TAGGING:
        tags = np.eye(len(parent.labels), dtype=np.int64)
        wanted, validation = tags[wanted], validation and (validation[0], tags[validation[1]])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        job = Job(
            parent,
            excerpts,
            wanted,
            validation,
            values,
            seed,
            keeper=unfinished.stage,
            progress=tell.epoch,
            cancel=cancel,
            rest=ear.pause,
        )
        going = "Going on with" if resumed else "Making"
        tell(LEARNING, None, f"{going} {name}: {chosen.title.lower()} of {parent.name}")
        hardened = chosen.call(job)
    network = hardened.network.eval()
    tell(TESTING, None, "Deciding on the test clips")
    logits, clip = logits_of_test(hearing, sounds, parent.front_end, network)
    save = partial(_save, parent, network)
    made = Made(
        sounds.items,
        sounds.skipped,
        logits,
        clip,
        save,
        hardened.found,
        (TRAIN,),
        (lineage_of(parent),),
        hardened.remarks,
    )
    report = judge(hearing, made, parent.task)
    warnings = doubts(dataset, made, report)
    card = {
        "made": "trained",
        "method": chosen.name,
        "defence": about_defence(chosen, parent),
        "data": about_data(dataset, made, warnings),
        "lineage": list(made.lineage),
        "seed": seed,
        "parameters": plain(values) | dict(made.chosen),
        "seconds": round(time.perf_counter() - began, 1),
        "test": report.card(),
        "version": __version__,
    }
    note = " ".join(
        [f"{parent.title}, hardened by {chosen.title.lower()}.", note_of(dataset, made, report), *made.remarks]
    )
    ear.pause()
    tell(SAVING, None, f"Saving {name}")
    title = title or f"{parent.title}, {chosen.title.lower()}"
    file, classifier = keep(target, replace, lambda place: made.save(place, name, title, note, card))
    catalogue.forget(name)
    unfinished.remove()
    return Trained(file, report, classifier, (*dataset.skipped, *made.skipped))


def check_parent(parent: Classifier, defence: Defence) -> OwnNetwork | BackboneClassifier:
    """Itself, if the defence can make another model of it; UsageError says why not."""
    if isinstance(parent, BackboneClassifier):
        if not defence.backbones:
            able = ", ".join(other.name for other in list_defences() if other.backbones)
            raise UsageError(
                f"{parent.name} is built on {parent.backbone.name}, which stays as it is: there is nothing to train by "
                f"{defence.name}; a classifier on a backbone can have {able}."
            )
        return parent
    if not isinstance(parent, OwnNetwork):
        raise UsageError(
            f"{parent.name} cannot be hardened: only networks that can be trained here can, and it has no weights of such a one; "
            "choose a network of 'mirguard models list' or train one ('mirguard models train')."
        )
    if parent.task == TAGGING and not defence.tags:
        raise UsageError(
            f"{parent.name} is a tagger, and {defence.name} needs classes that exclude each other; tags do not."
        )
    had = next((key for key in (outlier.LAYER, subnetwork.LAYER) if parent.network.settings.get(key)), None)
    if had:
        raise UsageError(f"{parent.name} watches itself already ({had}); harden the model that it was made of instead.")
    return parent


def _same_labels(parent: Classifier, dataset: Any) -> None:
    strange = [label for label in dataset.labels if label not in parent.labels]
    if strange:
        raise UsageError(
            f"{dataset.name} has the label {strange[0]!r}, which {parent.name} does not know: hardening takes sounds with the "
            "model's own labels."
        )
    missing = [label for label in parent.labels if label not in dataset.labels]
    if missing:
        raise UsageError(
            f"{dataset.name} has no sounds of {missing[0]!r}: {parent.name} would forget that label while it is hardened."
        )


def _request(
    defence: Defence, values: Mapping[str, Any], parent: Classifier, dataset: Any, seed: int
) -> dict[str, Any]:
    """Everything that decides what comes out."""
    digest = hashlib.sha256()
    for item in dataset.items:
        part = (os.path.realpath(item.path), getattr(item, "start", None), getattr(item, "seconds", None))
        digest.update(repr((part, item.label, item.split)).encode("utf-8", "surrogateescape"))
    return {
        "defence": defence.name,
        **{f"value of {key}": value for key, value in values.items()},
        "model": parent.hash,
        "set of sounds": digest.hexdigest(),
        "seed": seed,
        "version": __version__,
    }


def _save(
    parent: OwnNetwork | BackboneClassifier,
    network: nn.Module,
    folder: Path,
    name: str,
    title: str,
    note: str,
    card: Mapping[str, Any],
) -> ModelFile:
    if isinstance(parent, BackboneClassifier):
        return save_backbone(
            folder,
            name,
            backbone=parent.backbone,
            layers=parent.read,
            head=network.head,
            labels=parent.labels,
            tuned=parent.tuned,
            title=title,
            note=note,
            card=card,
        )
    return save_network(
        folder,
        name,
        architecture=parent.architecture,
        network=network,
        representation=parent.representation,
        sample_rate=parent.sample_rate,
        window=parent.window,
        labels=parent.labels,
        task=parent.task,
        title=title,
        note=note,
        card=card,
    )
