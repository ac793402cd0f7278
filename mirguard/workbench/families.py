"""The families in which the designer's menu lists the attacks."""

from __future__ import annotations

from collections.abc import Iterable

from mirguard.attacks.attack import Attack
from mirguard.attacks.knowledge import LIMITED, NONE

BASELINE, BLACK_BOX, OTHERS = "Baseline", "Black box", "From plug-ins"
# What needs the model's gradient goes by the module that it lies in.
MODULES = {
    "gradient": "Gradient",
    "lbfgs": "Minimal norm",
    "deepfool": "Minimal norm",
    "cw": "Minimal norm",
    "minimal": "Minimal norm",
    "jsma": "Sparse",
    "cw_l0": "Sparse",
    "multiscale": "Audio",
    "masked": "Audio",
    "spectral": "Audio",
    "laid": "Universal",
    "universal": "Universal",
}
ORDER = (*dict.fromkeys(MODULES.values()), BLACK_BOX, BASELINE, OTHERS)


def family(attack: Attack) -> str:
    package, _, module = attack.function.partition(":")[0].rpartition(".")
    if package != "mirguard.attacks":
        return OTHERS
    return {NONE: BASELINE, LIMITED: BLACK_BOX}.get(attack.knowledge) or MODULES.get(module, OTHERS)


def in_families(attacks: Iterable[Attack]) -> list[tuple[str, list[Attack]]]:
    """The families that have members, each with those in the order given."""
    members: dict[str, list[Attack]] = {name: [] for name in ORDER}
    for attack in attacks:
        members[family(attack)].append(attack)
    return [(name, found) for name, found in members.items() if found]
