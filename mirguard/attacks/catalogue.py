"""Every attack with its declaration: what it is called, what it assumes, what may be set.

Other packages add theirs by an entry point in the group `mirguard.attacks` that names an `Attack`.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from mirguard.attacks.attack import Attack
from mirguard.attacks.declared.audio import AUDIO
from mirguard.attacks.declared.blackbox import BLACKBOX
from mirguard.attacks.declared.gradient import GRADIENT
from mirguard.attacks.declared.minimal import CW_L2, CW_LINF, DEEPFOOL, LBFGS
from mirguard.attacks.declared.smallest import SMALLEST
from mirguard.attacks.declared.sparse import CW_L0, JSMA
from mirguard.attacks.declared.universal import UNIVERSAL
from mirguard.errors import UsageError

ATTACKS: tuple[Attack, ...] = (
    *GRADIENT,
    LBFGS,
    JSMA,
    DEEPFOOL,
    CW_L2,
    CW_L0,
    CW_LINF,
    *SMALLEST,
    *AUDIO,
    *UNIVERSAL,
    *BLACKBOX,
)


@cache
def list_attacks() -> tuple[Attack, ...]:
    """The built-in attacks, then those of installed plug-ins."""
    found = {attack.name: attack for attack in ATTACKS}
    for entry in entry_points(group="mirguard.attacks"):
        attack = entry.load()
        found.setdefault(attack.name, attack)
    return tuple(found.values())


def find_attack(name: str) -> Attack:
    """The attack of that name; UsageError lists the names there are."""
    for attack in list_attacks():
        if attack.name == name:
            return attack
    raise UsageError(f"There is no attack {name!r}; there are {', '.join(attack.name for attack in list_attacks())}.")
