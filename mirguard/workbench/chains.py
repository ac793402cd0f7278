"""Changes of a chain of effects, each giving a new chain; what is wrong with one is a UsageError."""

from __future__ import annotations

from typing import Any

from mirguard.channel.chain import Chain, link
from mirguard.channel.effect import find_effect


def added(chain: Chain, effect: str, **values: Any) -> Chain:
    """With one more effect at the end."""
    return (*chain, link(effect, **values))


def removed(chain: Chain, place: int) -> Chain:
    return chain[:place] + chain[place + 1 :]


def moved(chain: Chain, place: int, by: int) -> Chain:
    """With the effect at that place earlier (`by` −1) or later (1); at the ends nothing moves."""
    there = min(max(place + by, 0), len(chain) - 1)
    left = removed(chain, place)
    return (*left[:there], chain[place], *left[there:])


def changed(chain: Chain, place: int, name: str, value: Any) -> Chain:
    """With another value, None for the declared one. Where two values have an order, the one that was not set gives way."""
    one = chain[place]
    declared = find_effect(one.effect)
    values = {**dict(one.values), name: value}
    if value is None:
        del values[name]
        return (*chain[:place], link(one.effect, **values), *chain[place + 1 :])
    pushed = {name}
    for low, high in declared.order:
        if low in pushed and values[high] < values[low]:
            values[high] = values[low]
            pushed.add(high)
    for low, high in reversed(declared.order):
        if high in pushed and values[low] > values[high]:
            values[low] = values[high]
            pushed.add(low)
    return (*chain[:place], link(one.effect, **values), *chain[place + 1 :])
