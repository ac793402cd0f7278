"""Let an attack loose on a problem, inside what may be spent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from mirguard.attacks.attack import Attack
from mirguard.attacks.ledger import Finished, Ledger, Step
from mirguard.attacks.oracle import Oracle
from mirguard.attacks.problem import Problem
from mirguard.attacks.view import View
from mirguard.channel.chain import Link, draws
from mirguard.errors import Cancelled
from mirguard.models.contract import Classifier
from mirguard.models.evadable import Evadable, Probe

Rest = Callable[[], None]


def view_of(
    models: Sequence[Classifier],
    channel: Sequence[Link],
    count: int,
    sample_rate: int,
    seed: int,
    *,
    watch: Sequence[Probe] = (),
    evade: Sequence[Evadable] = (),
    like: Classifier | None = None,
) -> View:
    """The models as an attack hears them: through `count` draws of the channel at each look, where there is one."""
    heard_through = draws(channel, sample_rate, count, seed) if channel else None
    return View(*models, watch=watch, evade=evade, draws=heard_through, like=like)


def attack_problem(
    problem: Problem,
    view: View,
    attack: Attack,
    values: dict[str, Any],
    progress: Callable[[Step], None] | None,
    cancel: threading.Event | None,
    rest: Rest | None,
    max_gradients: int | None,
) -> tuple[Ledger, bool]:
    """The ledger after the attack, and whether it was cut short."""
    settings = {name: values[name] for name in ("confidence", "stop_early") if name in values}
    ledger = Ledger(
        problem,
        max_gradients=max_gradients,
        max_queries=values.get("queries"),
        progress=progress,
        cancel=cancel,
        rest=rest,
        **settings,
    )
    try:
        attack.call(Oracle(problem, view, ledger), values)
    except Finished:
        return ledger, False
    except Cancelled:
        return ledger, True
    return ledger, False
