"""A tiny network that tells tones apart, what hardens it, and its sounds."""

from __future__ import annotations

from functools import cache as once
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_sounds import RATE, Dataset, make_tones, tone_of
from torch import nn

from mirguard.defences.catalogue import find_defence
from mirguard.defences.job import Job
from mirguard.models.architectures import find_architecture
from mirguard.models.front_ends import make_front_end
from mirguard.models.load_file import load_model_file
from mirguard.models.networks.saved import OwnNetwork, save_network
from mirguard.models.training.cache import Cache
from mirguard.models.training.loop import Recipe, train
from mirguard.parameters import resolve

WINDOW = 4000
LABELS = ("low", "middle", "high")
HEARD = {"kind": "log-mel", "n_fft": 256, "hop": 128, "n_mels": 16, "fmin": 30.0}
RECIPE = Recipe(epochs=25, batch=8, learning_rate=1e-2, noise_db=(-60.0, -30.0))
QUICK = {"epochs": 2, "batch": 8, "learning_rate": 2e-3}


def tones(count: int, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """So many tones of each class as `(n, samples)`, and their class numbers."""
    sounds = [tone_of(label, first + number, 0.5) for number in range(count) for label in LABELS]
    return np.stack(sounds), np.tile(np.arange(len(LABELS)), count)


def kept(folder: Path, name: str, network: nn.Module, task: str = "single-label", **more) -> OwnNetwork:
    about = {"representation": HEARD, "architecture": "log-mel-cnn"} | more
    file = save_network(
        folder / name, name, network=network, sample_rate=RATE, window=WINDOW, labels=LABELS, task=task, **about
    )
    return load_model_file(file)


@pytest.fixture(scope="module")
def parent(tmp_path_factory) -> OwnNetwork:
    """A tiny network that tells the tones apart."""
    return kept(tmp_path_factory.mktemp("models"), "tiny", _trained())


@once
def _trained() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = find_architecture("log-mel-cnn").build(3, {"channels": [6, 8], "hidden": 8})
        sounds, labels = tones(16)
        train(make_front_end(HEARD, RATE), network, sounds, labels, window=WINDOW, recipe=RECIPE)
    return network


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Dataset:
    return make_tones(tmp_path_factory.mktemp("tones"), labels=LABELS, train=6, validation=1, test=2)


@pytest.fixture
def cache(tmp_path) -> Cache:
    return Cache(tmp_path / "cache")


def job_of(parent: OwnNetwork, defence: str, count: int = 8, **parameters) -> Job:
    sounds, labels = tones(count)
    return Job(parent, sounds, labels, None, resolve(find_defence(defence).parameters, QUICK | parameters), 0)


def arrays(network) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in network.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
