"""All that a training is made of between two epochs, so that it can stop there and go on later to the very same weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

_NETWORK, _OPTIMISER = "network.", "optimiser."
_NOISE, _GLOBAL = "draws", "draws of torch"


@dataclass(frozen=True)
class State:
    """`tensors` (for safetensors) and `about` (for JSON): the network with its running statistics, the optimiser's moments, the
    schedule, where all generators of chance stand, and the epochs so far."""

    tensors: Mapping[str, torch.Tensor]
    about: Mapping[str, Any]

    @property
    def history(self) -> list[dict[str, Any]]:
        """The epochs so far, as keywords of `loop.Epoch`."""
        return list(self.about["history"])

    @classmethod
    def of(
        cls,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LambdaLR,
        rng: np.random.Generator,
        noise: torch.Generator,
        history: Sequence[Mapping[str, Any]],
    ) -> State:
        """A copy of everything: training may go on."""
        tensors = {f"{_NETWORK}{key}": _copy(value) for key, value in network.state_dict().items()}
        for number, parameter in enumerate(_parameters(optimiser)):
            for key, value in optimiser.state[parameter].items():
                tensors[f"{_OPTIMISER}{number}.{key}"] = _copy(value)
        tensors[_NOISE], tensors[_GLOBAL] = noise.get_state(), torch.get_rng_state()
        about = {
            "history": [dict(epoch) for epoch in history],
            "steps": schedule.last_epoch,
            "rates": [group["lr"] for group in optimiser.param_groups],
            "draws": rng.bit_generator.state,
        }
        return cls(tensors, about)

    def restore(
        self,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LambdaLR,
        rng: np.random.Generator,
        noise: torch.Generator,
    ) -> None:
        """Put everything where it was. KeyError or RuntimeError where it belongs to another network."""
        own = {key.removeprefix(_NETWORK): value for key, value in self.tensors.items() if key.startswith(_NETWORK)}
        network.load_state_dict(own)
        for number, parameter in enumerate(_parameters(optimiser)):
            beginning = f"{_OPTIMISER}{number}."
            for name, value in self.tensors.items():
                if name.startswith(beginning):
                    # A moment lies in memory as its parameter does; the count of steps is a number by itself.
                    like = torch.empty_like(parameter) if value.shape == parameter.shape else torch.empty_like(value)
                    optimiser.state[parameter][name.removeprefix(beginning)] = like.copy_(value).detach()
        noise.set_state(self.tensors[_NOISE])
        torch.set_rng_state(self.tensors[_GLOBAL])
        rng.bit_generator.state = self.about["draws"]
        schedule.last_epoch = self.about["steps"]
        for group, rate in zip(optimiser.param_groups, self.about["rates"], strict=True):
            group["lr"] = rate


class Keeper(Protocol):
    """Where the state of a training is kept."""

    def load(self) -> State | None: ...

    def save(self, state: State) -> None: ...


def _parameters(optimiser: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def _copy(value: torch.Tensor) -> torch.Tensor:
    return value.detach().cpu().clone(memory_format=torch.contiguous_format)
