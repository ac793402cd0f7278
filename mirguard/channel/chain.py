"""A chain of effects as a person sets it, and its draws.

gain:low=-3,high=3 room:absorption=0.3      as two words on a command line
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mirguard.channel.effect import find_effect, list_effects
from mirguard.errors import UsageError
from mirguard.parameters import Parameter, resolve

if TYPE_CHECKING:
    import numpy as np
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


PIECE = 1 << 20  # samples heard at a time

Chain = tuple[Link, ...]


def link(effect: str, **values: Any) -> Link:
    """An effect with its values checked and defaults filled in; UsageError says what is wrong."""
    found = find_effect(effect)
    complete = resolve(found.parameters, values)
    found.check(complete)
    return Link(effect, tuple(complete.items()))


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

    def of(look: int) -> list[Transform | None]:
        generator = _generator(f"{seed} {look}")
        return [None, *(draw(chain, sample_rate, generator) for _ in range(count))]

    return of


def _generator(words: str) -> torch.Generator:
    import torch

    digest = hashlib.sha256(words.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


def apply(chain: Sequence[Link], samples: np.ndarray, sample_rate: int, seed: int | str) -> np.ndarray:
    """`samples (channels, n)` through one draw of the chain, the same for all channels: `(channels, n)` in float32. As in a
    recording before it is stored, nothing is cut off at full scale.

    No attack hears this draw, whatever its seed: those of `draws` are seeded apart. It is done piece by piece, so that an
    hour needs no more memory than its result."""
    import numpy as np
    import torch

    transform = draw(chain, sample_rate, _generator(f"apply {seed}"))
    (left, right), n = transform.reach, samples.shape[-1]
    out = np.empty(samples.shape, np.float32)
    with torch.inference_mode():
        for a in range(0, n, PIECE):
            b = min(a + PIECE, n)
            begin, end = max(a - left, 0), min(b + right, n)
            heard = transform(torch.from_numpy(samples[..., begin:end].astype(np.float32)), begin)
            out[..., a:b] = heard[..., a - begin : b - begin].numpy()
    return out


def describe() -> str:
    """All effects and their parameters with the defaults, in words for a command line's help."""
    return "; ".join(
        f"{effect.name} ({', '.join(_described(parameter) for parameter in effect.parameters)})"
        for effect in list_effects()
    )


def _described(parameter: Parameter) -> str:
    unit = f" {parameter.unit}" if parameter.unit else ""
    return parameter.name if parameter.default is None else f"{parameter.name}={parameter.default:g}{unit}"
