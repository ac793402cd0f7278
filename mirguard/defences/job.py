"""What every defence is given, and what it gives back."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from mirguard.models.architectures import Architecture, find_architecture
from mirguard.models.backbone import BackboneClassifier
from mirguard.models.networks.hardened import build
from mirguard.models.networks.projection import keep_projection
from mirguard.models.networks.saved import OwnNetwork
from mirguard.models.training.loop import Epoch, Excerpts, Objective, Recipe, train
from mirguard.models.training.state import Keeper

PARENT, NOTHING = "parent", "nothing"


@dataclass(frozen=True, eq=False)
class Job:
    """What a defence is given: the `parent`, the sounds to learn from (arrays or excerpts, as for `training.loop.train`, `targets`
    likewise), held-out windows to draw the curve with, its parameters and a seed.

    `keeper(stage)` keeps the state of a training of that name, `rest` and `cancel` are heard between batches."""

    parent: OwnNetwork | BackboneClassifier
    sounds: np.ndarray | Excerpts
    targets: np.ndarray
    validation: tuple[np.ndarray, np.ndarray] | None
    values: Mapping[str, Any]
    seed: int
    keeper: Callable[[str], Keeper | None] = lambda _stage: None
    progress: Callable[[Epoch], None] | None = None
    cancel: threading.Event | None = None
    rest: Callable[[], None] | None = None

    @property
    def architecture(self) -> Architecture:
        return find_architecture(self.parent.architecture)

    @property
    def front_end(self) -> nn.Module:
        return self.parent.front_end

    @property
    def task(self) -> str:
        return self.parent.task

    def network(self) -> nn.Module:
        """What is to be trained: the parent's network, in a copy, or (`start` "nothing") another of the kind, untrained."""
        if self.values.get("start", PARENT) == NOTHING:
            network = build(self.architecture, len(self.parent.labels), self.parent.network.settings)
            keep_projection(network, self.parent.network)
            return network
        return thawed(copy.deepcopy(self.parent.network))

    def recipe(self) -> Recipe:
        """The architecture's, with the epochs, batch and learning rate that were asked for."""
        own = {key: value for key, value in self.architecture.recipe.items() if key not in ("epochs", "seed")}
        chosen = {key: self.values[key] for key in ("epochs", "batch", "learning_rate") if key in self.values}
        chosen["batch"] = max(2, min(chosen.get("batch", Recipe.batch), len(self.sounds) // 2))
        return Recipe(**own | chosen | {"seed": self.seed})

    def train(self, network: nn.Module, objective: Objective, stage: str = "network") -> list[Epoch]:
        """Train `network` in place on the job's sounds, from where the keeper has it."""
        return train(
            self.front_end,
            network,
            self.sounds,
            self.targets,
            window=self.parent.window,
            recipe=self.recipe(),
            task=self.task,
            validation=self.validation,
            progress=self.progress,
            cancel=self.cancel,
            rest=self.rest,
            objective=objective,
            keeper=self.keeper(stage),
        )


@dataclass(frozen=True, eq=False)
class Hardened:
    """What a defence gives: the network, sentences for the model's note, and what else the card should say."""

    network: nn.Module
    remarks: tuple[str, ...] = ()
    found: Mapping[str, Any] = field(default_factory=dict)


def thawed(network: nn.Module) -> nn.Module:
    """Itself, with every parameter wanting a gradient (a classifier's are frozen)."""
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    return network
