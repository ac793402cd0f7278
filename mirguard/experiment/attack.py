"""Let an attack loose on a problem, inside what may be spent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from mirguard.attacks.catalogue import Attack
from mirguard.attacks.ledger import Ledger, Step
from mirguard.attacks.oracle import Oracle
from mirguard.attacks.problem import Problem
from mirguard.attacks.view import View
from mirguard.errors import Cancelled

Rest = Callable[[], None]


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
    ledger = Ledger(problem, max_gradients=max_gradients, progress=progress, cancel=cancel, rest=rest, **settings)
    try:
        attack.call(Oracle(problem, view, ledger), values)
    except Cancelled:
        return ledger, True
    return ledger, False
