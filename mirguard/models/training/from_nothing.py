"""A network of our own trained from nothing on the labelled sounds."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from mirguard.models.architectures import find_architecture
from mirguard.models.front_ends import make_front_end
from mirguard.models.networks.saved import MICRO_BATCH, save_network
from mirguard.models.training.hearing import Excerpts, Sounds
from mirguard.models.training.job import TEST, TRAIN, VALIDATION, Job, Made, check_heard
from mirguard.models.training.loop import Recipe, train
from mirguard.models.training.methods import Method
from mirguard.models.training.progress import LEARNING


def from_nothing(method: Method, job: Job) -> Made:
    """Hear everything at the architecture's rate, train on the training clips (the validation clips draw the curve and decide
    nothing), and hear the test clips."""
    architecture = find_architecture(method.name)
    rate, window = architecture.sample_rate, architecture.window()
    representation = architecture.representation(rate)
    sounds = Sounds(job.items, rate, window, job.ear)
    excerpts, wanted, validation = to_learn_from(job, sounds)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        network = architecture.build(len(job.labels))
        front_end = make_front_end(representation, rate, window)
        batch = max(2, min(job.values["batch"], len(excerpts) // 2))
        known = {key: value for key, value in architecture.recipe.items() if key not in ("epochs", "batch", "seed")}
        recipe = Recipe(
            **known
            | {"epochs": job.values["epochs"], "learning_rate": job.values["learning_rate"]}
            | {"batch": batch, "seed": job.seed}
        )
        job.tell(LEARNING, 0.0, f"Training {architecture.title} on {len(excerpts)} excerpts")
        train(
            front_end,
            network,
            excerpts,
            wanted,
            window=window,
            recipe=recipe,
            validation=validation,
            progress=job.tell.epoch,
            cancel=job.cancel,
            rest=job.ear.pause,
        )
    logits, clip = logits_of_test(job, sounds, front_end, network)

    def save(folder, name, title, note, card):
        return save_network(
            folder,
            name,
            architecture=architecture.name,
            network=network,
            representation=representation,
            sample_rate=rate,
            window=window,
            labels=job.labels,
            title=title,
            note=note,
            card=card,
        )

    return Made(
        items=sounds.items,
        skipped=sounds.skipped,
        logits=logits,
        clip=clip,
        save=save,
        chosen={"batch": batch},
        learned=(TRAIN,),
    )


def to_learn_from(job: Job, sounds: Sounds) -> tuple[Excerpts, np.ndarray, tuple[np.ndarray, np.ndarray] | None]:
    """What is cut from in training and the class number of each; windows of the validation clips and their class numbers, where
    there are any. UsageError where too little could be heard."""
    check_heard(job, sounds.items, sounds.skipped)
    wanted = job.numbers(sounds.items)
    of_train, of_validation = (
        [n for n, item in enumerate(sounds.items) if item.split == split] for split in (TRAIN, VALIDATION)
    )
    excerpts = sounds.excerpts(of_train)
    validation = None
    if of_validation:
        parts = [sounds.windows(number) for number in of_validation]
        validation = np.concatenate(parts), np.repeat(wanted[of_validation], [len(part) for part in parts])
    return excerpts, wanted[excerpts.clip], validation


def logits_of_test(job: Job, sounds: Sounds, front_end: nn.Module, network: nn.Module) -> tuple[np.ndarray, np.ndarray]:
    """Logits `(n, K)` of the windows of the test clips, and the clip of each."""
    logits, clip = [], []
    for number, item in enumerate(sounds.items):
        if item.split != TEST:
            continue
        windows = torch.from_numpy(sounds.windows(number))
        for some in windows.split(MICRO_BATCH):
            job.ear.pause()
            with torch.inference_mode():
                logits.append(network(front_end(some)).numpy())
        clip += [number] * len(windows)
    return np.concatenate(logits), np.array(clip, np.int64)
