"""The declaration of an effect of the channel: what sound goes through between the file and the model."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mirguard.errors import UsageError
from mirguard.parameters import Parameter

if TYPE_CHECKING:
    import torch

    from mirguard.channel.transform import Transform


@dataclass(frozen=True)
class Effect:
    """One effect. `function` is "module:name" and draws a `Transform`: `name(sample_rate, generator, **values)`."""

    name: str
    title: str
    help: str
    reference: str
    function: str
    parameters: tuple[Parameter, ...]

    def draw(self, sample_rate: int, generator: torch.Generator, values: Mapping[str, Any]) -> Transform:
        module, name = self.function.split(":")
        return getattr(importlib.import_module(module), name)(sample_rate, generator, **values)


EFFECTS: tuple[Effect, ...] = (
    Effect(
        "gain",
        "Gain",
        "Louder or softer by chance.",
        "Athalye et al. 2018",
        "mirguard.channel.level:gain",
        (
            Parameter("low", "Least gain.", default=-6.0, minimum=-60.0, maximum=20.0, unit="dB"),
            Parameter("high", "Most gain.", default=6.0, minimum=-60.0, maximum=20.0, unit="dB"),
        ),
    ),
)


def list_effects() -> tuple[Effect, ...]:
    return EFFECTS


def find_effect(name: str) -> Effect:
    """The effect of that name; UsageError lists the names there are."""
    for effect in list_effects():
        if effect.name == name:
            return effect
    raise UsageError(f"There is no effect {name!r}; there are {', '.join(effect.name for effect in list_effects())}.")
