"""An attack as set in the designer, and what it means on a clip of a certain level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mirguard.attacks.attack import Attack
from mirguard.attacks.budget import epsilon_to_snr, snr_to_epsilon
from mirguard.attacks.catalogue import find_attack


@dataclass(frozen=True)
class Design:
    """An attack as set in the designer. The budget is held as SNR or as amplitude: the one the person set last stays
    when another clip is chosen, the other follows. `values` are the parameters a person has set, by name; all others keep
    their declared defaults."""

    attack: str = "pgd"
    held: str = "snr"
    level: float = 40.0
    values: Mapping[str, Any] = field(default_factory=dict)
    target: str | None = None
    seed: int = 0
    subtype: str = "PCM_16"

    @property
    def declaration(self) -> Attack:
        return find_attack(self.attack)

    def epsilon(self, level: float) -> float | None:
        """The amplitude on a clip of that RMS; None where only an SNR is set and the clip is silent."""
        if self.held == "epsilon":
            return self.level
        return snr_to_epsilon(self.level, level) if level > 0 else None

    def snr(self, level: float) -> float | None:
        """The SNR in dB on a clip of that RMS; None for a silent clip."""
        if self.held == "snr":
            return self.level
        return epsilon_to_snr(self.level, level) if level > 0 and self.level > 0 else None

    def own_values(self) -> dict[str, Any]:
        """What was set and is known to the chosen attack, ε aside."""
        known = {parameter.name for parameter in self.declaration.parameters}
        return {name: value for name, value in self.values.items() if name in known and name != "epsilon"}

    def resolved(self, level: float) -> dict[str, Any]:
        """Every declared value on a clip of that RMS, set or default, unchecked (checking is the experiment's)."""
        values: dict[str, Any] = {"rms": level}
        for parameter in self.declaration.parameters:
            given = self.epsilon(level) if parameter.name == "epsilon" else self.values.get(parameter.name)
            values[parameter.name] = parameter.default_for(values) if given is None else given
        del values["rms"]
        return values
