"""A new last layer on the frozen layers of a model of the catalogue, and fine-tuning of what lies below it, if asked for.

Frozen features with a linear classifier on top are the field's common way to make much of few labels (Pons et al., "musicnn", 2019;
van den Oord, Dieleman, Schrauwen, "Transfer learning by supervised pre-training for audio-based music classification", ISMIR 2014).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from mirguard.errors import UsageError
from mirguard.models import catalogue
from mirguard.models.backbone import (
    Headed,
    check_backbone,
    last_stage,
    make_head,
    places_of,
    save_backbone,
    unfreeze,
)
from mirguard.models.contract import TorchClassifier
from mirguard.models.training.fitting import fit_linear
from mirguard.models.training.hearing import Features, Sounds, hear_features
from mirguard.models.training.job import TEST, TRAIN, VALIDATION, Job, Made, check_heard
from mirguard.models.training.loop import Epoch, Recipe, train
from mirguard.models.training.methods import MUSICNN_LAYERS, Method, layers_of
from mirguard.models.training.progress import HEARING, LEARNING

MOST_FEATURES = 16_384
PATIENCE = 4  # passes without a better validation after which fine-tuning ends


def on_backbone(method: Method, job: Job) -> Made:
    """Hear everything through the backbone, fit the last layer on training and validation clips (on training clips alone where
    fine-tuning needs the others), and hear the test clips with it."""
    tuning = job.values["fine_tune"]
    if tuning and not any(item.split == VALIDATION for item in job.items):
        raise UsageError(
            "Fine-tuning needs validation clips, to know when to stop; keep a part of the clips for validation."
        )
    backbone = check_backbone(catalogue.load_model(method.name, lambda text, part: job.tell(HEARING, part, text)))
    layers = layers_of(backbone.name, job.values["layers"], backbone.layers)
    if tuning:
        last_stage(backbone)  # before anything is heard
    heard = hear_features(job.items, backbone, layers, job.ear, also=_siblings(backbone))
    check_heard(job, heard.items, heard.skipped)
    if heard.features.shape[1] > MOST_FEATURES:
        raise UsageError(
            f"The layers {', '.join(layers)} of {backbone.name} give {heard.features.shape[1]:,} numbers for a window, which is "
            f"too many to learn from; choose a layer nearer to the end (--layers), of at most {MOST_FEATURES:,}."
        )
    splits = np.array([item.split for item in heard.items])[heard.clip]
    learned = splits == TRAIN if tuning else splits != TEST
    job.tell(LEARNING, None, f"Fitting the last layer on {int(learned.sum())} windows")
    linear = fit_linear(
        heard.features[learned],
        job.numbers(heard.items)[heard.clip[learned]],
        heard.clip[learned],
        [item.group for item in heard.items],
        classes=len(job.labels),
        strength=job.values["strength"],
        seed=job.seed,
        rest=job.ear.pause,
    )
    head, tuned, remarks = make_head(linear.weight, linear.bias), {}, ()
    tested = splits == TEST
    logits, clip = _decided(head, heard.features[tested]), heard.clip[tested]
    if tuning:
        better = _tune(job, backbone, layers, head, heard, splits)
        if better is None:
            remarks = ("Fine-tuning was tried and made nothing better on the validation clips, so it was not kept.",)
        else:
            network, tuned, sounds = better
            head, remarks = network.head, ("Its backbone's last layers were fine-tuned.",)
            logits, clip = _heard_anew(job, backbone, network, sounds, heard)

    def save(folder, name, title, note, card):
        return save_backbone(
            folder,
            name,
            backbone=backbone,
            layers=layers,
            head=head,
            labels=job.labels,
            tuned=tuned,
            title=title,
            note=note,
            card=card,
        )

    return Made(
        items=heard.items,
        skipped=heard.skipped,
        logits=logits,
        clip=clip,
        save=save,
        chosen={"strength": linear.strength, "layers": ", ".join(layers)},
        learned=(TRAIN,) if tuning else (TRAIN, VALIDATION),
        lineage=(f"{backbone.name} {backbone.hash}",),
        remarks=remarks,
    )


def _siblings(backbone: TorchClassifier) -> Sequence[str]:
    """Layers that are heard in the same pass, so that another choice of layers starts at once."""
    return MUSICNN_LAYERS["both"] if backbone.name.startswith("musicnn-") else ()


def _decided(head: torch.nn.Linear, features: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return head(torch.from_numpy(features)).numpy()


# -- Fine-tuning -------------------------------------------------------------------------------------------------------


class _Enough(Exception):
    """Validation has not become better for a while."""


def _tune(
    job: Job,
    backbone: TorchClassifier,
    layers: Sequence[str],
    head: torch.nn.Linear,
    heard: Features,
    splits: np.ndarray,
) -> tuple[Headed, dict[str, torch.Tensor], Callable[[Any], np.ndarray]] | None:
    """The network with its last stage and head trained further, at the pass with the best validation, and the arrays that changed;
    None if no pass was better than none at all."""
    network = Headed(copy.deepcopy(backbone.network), places_of(backbone, layers), copy.deepcopy(head))
    network.requires_grad_(False)
    trained = {f"backbone.{name}": value for name, value in unfreeze(network.backbone, last_stage(backbone)).items()}
    network.head.requires_grad_(True)
    trained |= {f"head.{name}": value for name, value in network.head.named_parameters()}

    learned = [item for item in heard.items if item.split != TEST]
    job.tell(LEARNING, None, "Hearing the training clips for fine-tuning")
    sounds = Sounds(learned, backbone.sample_rate, backbone.window, job.ear)
    parts = [[n for n, item in enumerate(sounds.items) if item.split == split] for split in (TRAIN, VALIDATION)]
    if not parts[1]:
        raise UsageError("None of the validation clips that fine-tuning needs can be used.")
    excerpts, wanted = sounds.excerpts(parts[0]), job.numbers(sounds.items)
    held_out = [sounds.windows(number) for number in parts[1]]
    validation = np.concatenate(held_out), np.repeat(wanted[parts[1]], [len(windows) for windows in held_out])

    before = splits == VALIDATION
    numbers = job.numbers(heard.items)[heard.clip[before]]
    best = float((_decided(head, heard.features[before]).argmax(1) == numbers).mean())
    kept: dict[str, torch.Tensor] = {}
    waited = 0

    def after(epoch: Epoch) -> None:
        nonlocal best, kept, waited
        job.tell.epoch(epoch)
        if epoch.validation is not None and epoch.validation > best:
            best, waited = epoch.validation, 0
            kept = {name: value.detach().clone() for name, value in trained.items()}
        else:
            waited += 1
            if waited >= PATIENCE:
                raise _Enough

    recipe = Recipe(epochs=job.values["epochs"], learning_rate=job.values["learning_rate"], seed=job.seed)
    try:
        train(
            backbone.front_end,
            network,
            excerpts,
            wanted[excerpts.clip],
            window=backbone.window,
            recipe=recipe,
            validation=validation,
            progress=after,
            cancel=job.cancel,
            rest=job.ear.pause,
        )
    except _Enough:
        network.eval()
    network.requires_grad_(False)
    if not kept:
        return None
    with torch.no_grad():
        for name, value in kept.items():
            trained[name].copy_(value)
    tuned = {name.removeprefix("backbone."): value for name, value in kept.items() if name.startswith("backbone.")}
    return network.eval(), tuned, sounds


def _heard_anew(
    job: Job, backbone: TorchClassifier, network: Headed, sounds: Sounds, heard: Features
) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the test clips' windows through the tuned network, and the clip of each."""
    tested = [number for number, item in enumerate(heard.items) if item.split == TEST]
    again = Sounds([heard.items[number] for number in tested], backbone.sample_rate, backbone.window, job.ear)
    place = {id(heard.items[number]): number for number in tested}
    parts, clip = [], []
    for number, item in enumerate(again.items):
        windows = torch.from_numpy(again.windows(number))
        for some in windows.split(backbone.micro_batch):
            job.ear.pause()
            with torch.inference_mode():
                parts.append(network(backbone.represent(some)).numpy())
        clip += [place[id(item)]] * len(windows)
    return np.concatenate(parts), np.array(clip, np.int64)
