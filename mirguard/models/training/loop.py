"""Training a network on labelled sounds, seeded, with the augmentation that keeps it from learning levels and positions."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mirguard.errors import Cancelled, UsageError
from mirguard.models.decision import SINGLE_LABEL, TAGGING
from mirguard.models.training.state import Keeper, State


@dataclass(frozen=True)
class Recipe:
    """How to train. Rates are per step; decibels are drawn uniformly for each sound in each epoch."""

    epochs: int = 20
    batch: int = 32
    learning_rate: float = 4e-3  # the highest; it rises over the first twentieth and falls along a cosine
    weight_decay: float = 1e-2
    label_smoothing: float = 0.05
    gain_db: tuple[float, float] = (-10.0, 6.0)
    noise_db: tuple[float, float] = (-80.0, -35.0)  # white noise, relative to the sound's RMS
    seed: int = 0


@dataclass(frozen=True)
class Epoch:
    """What is known after an epoch: its number (from 1) of how many, mean loss and accuracy on the training sounds as they were
    heard (augmented), accuracy on windows of the validation sounds (None without any), seconds since the start."""

    number: int
    of: int
    loss: float
    accuracy: float
    validation: float | None
    seconds: float


class Excerpts(Protocol):
    """Sounds of different lengths that are read as they are needed."""

    lengths: np.ndarray  # (n,) samples

    def __len__(self) -> int: ...

    def cut(self, index: int, start: int, count: int) -> np.ndarray:
        """`count` samples of one sound, float32."""
        ...


# What a step makes small: sounds `(batch, window)` as heard, their targets, where to draw chance from -> the mean loss, with a
# graph to the network's parameters, and how many of the sounds were right.
Objective = Callable[[torch.Tensor, torch.Tensor, torch.Generator], tuple[torch.Tensor, float]]


def train(
    front_end: nn.Module,
    network: nn.Module,
    sounds: np.ndarray | Excerpts,
    labels: np.ndarray,
    *,
    window: int,
    recipe: Recipe | None = None,
    task: str = SINGLE_LABEL,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    progress: Callable[[Epoch], None] | None = None,
    cancel: threading.Event | None = None,
    rest: Callable[[], None] | None = None,
    objective: Objective | None = None,
    keeper: Keeper | None = None,
) -> list[Epoch]:
    """Train `network` in place on `sounds (n, samples)`, float32 in ±1 at the front end's rate, at least `window` long.

    In each epoch one window is cut at a random place from every sound. `labels` are numbers `(n,)`, or for a tagger 0s and 1s
    `(n, K)`. AdamW (Loshchilov and Hutter, ICLR 2019) with a cosine schedule; parameters that want no gradient stay as they are.
    Leaves the network in evaluation mode. `rest` is called between batches. `objective` takes the place of the cross-entropy
    with the labels (see `Objective`). With a `keeper` the state is kept after each epoch, and a training whose state it has goes
    on from there: to the same weights as if it had never stopped. Raises UsageError for arrays that do not fit together,
    Cancelled when `cancel` is set; what `progress` raises ends the training, too.
    """
    recipe = recipe or Recipe()
    _check(sounds, labels, window, task)
    rng = np.random.default_rng(recipe.seed)
    noise = torch.Generator().manual_seed(recipe.seed)
    targets = torch.from_numpy(labels.astype(np.int64 if task == SINGLE_LABEL else np.float32))
    device = next(network.parameters()).device
    front_end = front_end.to(device)
    objective = objective or labels_objective(front_end, network, task, recipe.label_smoothing)
    decayed = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=recipe.learning_rate,
    )
    batches = max(1, len(sounds) // recipe.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, batches * recipe.epochs))
    began, history = time.perf_counter(), []
    kept = keeper.load() if keeper else None
    if kept is not None:
        kept.restore(network, optimiser, schedule, rng, noise)
        history = [Epoch(**epoch) for epoch in kept.history]
    for number in range(len(history) + 1, recipe.epochs + 1):
        network.train()
        order = rng.permutation(len(sounds))
        loss_sum, right, seen = 0.0, 0.0, 0
        for chosen in np.array_split(order, batches):
            if rest:
                rest()
            if cancel is not None and cancel.is_set():
                network.eval()
                raise Cancelled("Training was cancelled.")
            heard = _augmented(sounds, chosen, window, recipe, rng, noise).to(device)
            loss, now_right = objective(heard, targets[chosen].to(device), noise)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            loss_sum += float(loss.detach()) * len(chosen)
            right += now_right
            seen += len(chosen)
        network.eval()
        held_out = (
            None if validation is None else window_accuracy(front_end, network, *validation, window=window, task=task)
        )
        history.append(
            Epoch(number, recipe.epochs, loss_sum / seen, right / seen, held_out, time.perf_counter() - began)
        )
        if keeper:
            keeper.save(State.of(network, optimiser, schedule, rng, noise, [asdict(epoch) for epoch in history]))
        if progress:
            progress(history[-1])
    network.eval()
    return history


def labels_objective(front_end: nn.Module, network: nn.Module, task: str, smoothing: float) -> Objective:
    """The cross-entropy with the labels, smoothed."""

    def objective(heard: torch.Tensor, wanted: torch.Tensor, _draw: torch.Generator) -> tuple[torch.Tensor, float]:
        with torch.no_grad():
            representation = front_end(heard)
        logits = network(representation)
        return labels_loss(logits, wanted, task, smoothing), count_right(logits.detach(), wanted, task)

    return objective


def window_logits(
    front_end: nn.Module, network: nn.Module, sounds: np.ndarray, *, window: int, batch: int = 32
) -> torch.Tensor:
    """Logits `(n, windows, K)` of the whole windows of `sounds (n, samples)`."""
    count = sounds.shape[1] // window
    device = next(network.parameters()).device
    parts = []
    with torch.inference_mode():
        for start in range(0, len(sounds), batch):
            some = np.ascontiguousarray(sounds[start : start + batch, : count * window], np.float32)
            heard = torch.from_numpy(some.reshape(-1, window)).to(device)
            parts.append(network(front_end(heard)).cpu())
    return torch.cat(parts).unflatten(0, (len(sounds), count))


def window_accuracy(
    front_end: nn.Module,
    network: nn.Module,
    sounds: np.ndarray,
    labels: np.ndarray,
    *,
    window: int,
    task: str = SINGLE_LABEL,
) -> float:
    """The part of the windows that get their sound's label (for a tagger: whose top tag is one of the sound's)."""
    logits = window_logits(front_end, network, sounds, window=window)
    wanted = torch.from_numpy(np.repeat(labels, logits.shape[1], axis=0))
    return count_right(logits.flatten(0, 1), wanted, task) / len(wanted)


def _check(sounds: np.ndarray | Excerpts, labels: np.ndarray, window: int, task: str) -> None:
    if isinstance(sounds, np.ndarray):
        fits = sounds.ndim == 2 and len(sounds) >= 2 and sounds.shape[1] >= window
    else:
        fits = len(sounds) >= 2 and int(sounds.lengths.min()) >= window
    if not fits:
        raise UsageError(f"Training needs at least two sounds of at least {window} samples each.")
    if task not in (SINGLE_LABEL, TAGGING):
        raise UsageError(f"The task is {SINGLE_LABEL!r} or {TAGGING!r}, not {task!r}.")
    if len(labels) != len(sounds) or labels.ndim != (1 if task == SINGLE_LABEL else 2):
        raise UsageError("Training needs one label (for a tagger, one row of tags) for each sound.")


def _rate(step: int, steps: int) -> float:
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _augmented(
    sounds: np.ndarray | Excerpts,
    chosen: np.ndarray,
    window: int,
    recipe: Recipe,
    rng: np.random.Generator,
    noise: torch.Generator,
) -> torch.Tensor:
    """Random windows `(batch, window)` of the chosen sounds at random levels with random noise."""
    if isinstance(sounds, np.ndarray):
        starts = rng.integers(0, sounds.shape[1] - window + 1, len(chosen))
        cut = np.stack([sounds[i, s : s + window] for i, s in zip(chosen, starts, strict=True)])
    else:
        starts = rng.integers(0, sounds.lengths[chosen] - window + 1)
        cut = np.stack([sounds.cut(i, s, window) for i, s in zip(chosen.tolist(), starts.tolist(), strict=True)])
    heard = torch.from_numpy(np.ascontiguousarray(cut, np.float32))
    gain = _amplitudes(rng, recipe.gain_db, len(chosen))
    floor = _amplitudes(rng, recipe.noise_db, len(chosen)) * heard.square().mean(1, keepdim=True).sqrt()
    heard = (heard + floor * torch.randn(heard.shape, generator=noise)) * gain
    return heard.clamp(-1, 1)


def _amplitudes(rng: np.random.Generator, decibels: tuple[float, float], count: int) -> torch.Tensor:
    return torch.from_numpy(10 ** (rng.uniform(*decibels, count) / 20)).float()[:, None]


def labels_loss(logits: torch.Tensor, wanted: torch.Tensor, task: str, smoothing: float) -> torch.Tensor:
    """Mean cross-entropy of logits `(batch, K)` with class numbers `(batch,)`, for a tagger with 0s and 1s `(batch, K)`."""
    if task == SINGLE_LABEL:
        return F.cross_entropy(logits, wanted, label_smoothing=smoothing)
    return F.binary_cross_entropy_with_logits(logits, wanted * (1 - smoothing) + smoothing / 2)


def count_right(logits: torch.Tensor, wanted: torch.Tensor, task: str) -> float:
    """How many rows have their label (for a tagger: one of their tags) on top."""
    top = logits.argmax(-1)
    if task == SINGLE_LABEL:
        return float((top == wanted).sum())
    return float(wanted.gather(1, top[:, None]).sum())
