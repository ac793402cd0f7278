"""A chain of effects as a person sets it, and its draws.

gain:low=-3,high=3 room:absorption=0.3      as two words on a command line
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mirguard.channel.effect import find_effect
from mirguard.errors import UsageError
from mirguard.parameters import resolve

if TYPE_CHECKING:
    import torch

    from mirguard.channel.transform import Transform


@dataclass(frozen=True)
class Link:
    """One effect with all its values."""

    effect: str
    values: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        return self.effect + (":" + ",".join(f"{name}={value}" for name, value in self.values) if self.values else "")

    def to_json(self) -> dict[str, Any]:
        return {"effect": self.effect, **dict(self.values)}


Chain = tuple[Link, ...]


def link(effect: str, **values: Any) -> Link:
    """An effect with its values checked and defaults filled in; UsageError says what is wrong."""
    return Link(effect, tuple(resolve(find_effect(effect).parameters, values).items()))


def parse(text: str) -> Link:
    """A link from "name" or "name:parameter=value,parameter=value"."""
    name, _, rest = text.partition(":")
    values = {}
    for part in filter(None, rest.split(",")):
        key, sign, value = part.partition("=")
        if not sign:
            raise UsageError(f"Parameters of an effect are written name=value; got {part!r} in {text!r}.")
        values[key.strip()] = value.strip()
    return link(name.strip(), **values)


def draw(chain: Sequence[Link], sample_rate: int, generator: torch.Generator) -> Transform:
    """One draw of the whole chain."""
    from mirguard.channel.transform import InTurn

    return InTurn([find_effect(one.effect).draw(sample_rate, generator, dict(one.values)) for one in chain])


def draws(chain: Sequence[Link], sample_rate: int, count: int, seed: int) -> Callable[[int], list[Transform | None]]:
    """For an attack's look of a number: the sound as it is, and `count` fresh draws of the chain. They depend on seed and
    number only, so that neither batch mates nor the rest of an attack change them."""
    import torch

    def of(look: int) -> list[Transform | None]:
        digest = hashlib.sha256(f"{seed} {look}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))
        return [None, *(draw(chain, sample_rate, generator) for _ in range(count))]

    return of
