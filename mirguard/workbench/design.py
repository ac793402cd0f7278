"""An attack as set in the designer, and what it means on a clip of a certain level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mirguard.attacks.attack import Attack
from mirguard.attacks.budget import epsilon_to_snr, snr_to_epsilon
from mirguard.attacks.catalogue import find_attack
from mirguard.attacks.knowledge import ZERO
from mirguard.attacks.restriction import FREE, Restriction
from mirguard.channel.chain import Chain


@dataclass(frozen=True)
class Design:
    """An attack as set in the designer. The budget is held as SNR or as amplitude: the one the person set last stays
    when another clip is chosen, the other follows. Attacks that look for the smallest perturbation are held to it only if
    `limited`. `values` are the parameters a person has set, by name; all others keep their declared defaults.

    `surrogates` are the models that the attack sees instead of the one it is to fool, `evade` the detectors that it is to deceive
    as well. `chain` is what the sound is to go
    through on its way, and `robust` whether the attack reckons with it, by the mean over `draws` draws at each look."""

    attack: str = "pgd"
    held: str = "snr"
    level: float = 40.0
    values: Mapping[str, Any] = field(default_factory=dict)
    target: str | None = None
    seed: int = 0
    subtype: str = "PCM_16"
    limited: bool = False
    surrogates: tuple[str, ...] = ()
    evade: tuple[str, ...] = ()
    restriction: Restriction = FREE
    chain: Chain = ()
    draws: int = 8
    robust: bool = False

    @property
    def declaration(self) -> Attack:
        return find_attack(self.attack)

    @property
    def step_word(self) -> str:
        """What the attack's way to its result is counted in."""
        return "Iteration" if self.declaration.gradients else "Query"

    @property
    def evading(self) -> tuple[str, ...]:
        """The detectors that the attack reckons with: none where it cannot, or sees only stand-ins of the model."""
        return self.evade if self.declaration.evades and not self.surrogates else ()

    @property
    def knowledge(self) -> str:
        """What the attacker is taken to know of the model."""
        return ZERO if self.surrogates else self.declaration.knowledge

    @property
    def unlimited(self) -> bool:
        """Whether the attack is free to use any budget, because it looks for the smallest one that does."""
        return self.seeks_smallest and not self.limited

    @property
    def seeks_smallest(self) -> bool:
        """Whether the attack has no budget unless somebody sets one."""
        return any(p.name == "epsilon" and not callable(p.default) for p in self.declaration.parameters)

    @property
    def needs_target(self) -> bool:
        """Whether a label has to be named before the attack can run."""
        return not self.declaration.untargeted and self.target is None and not self.chooses_target

    @property
    def aim(self) -> str | None:
        """The label to bring out; None where the attack knows no target or finds its own."""
        return self.target if self.declaration.targeted and not self.chooses_target else None

    @property
    def chooses_target(self) -> bool:
        """Whether the attack finds the label to bring out itself."""
        return self.own_values().get("goal", "as-set") != "as-set"

    @property
    def most_queries(self) -> int | None:
        """How often the model is asked at the most, where the attack keeps to a number."""
        declared = next((p for p in self.declaration.parameters if p.name == "queries"), None)
        return None if declared is None else int(self.values.get("queries", declared.default))

    @property
    def norm(self) -> str | None:
        """How the attack measures the size of the perturbation."""
        declared = next((p.default for p in self.declaration.parameters if p.name == "norm"), self.declaration.norm)
        return self.own_values().get("norm", declared)

    @property
    def has_snr(self) -> bool:
        """Whether an SNR bounds the size as the attack measures it: the mean of |δ| (L1) says nothing of the energy."""
        return self.norm != "l1"

    def options(self, level: float) -> dict[str, Any]:
        """What an experiment on a clip of that RMS is planned with, attack and surrogates aside."""
        options = {"target": self.aim, "seed": self.seed, "subtype": self.subtype, "restriction": self.restriction}
        options["evade"] = self.evading
        if not self.unlimited and self.has_snr:
            options[self.held] = self.level
        elif not self.unlimited:
            options["epsilon"] = self.epsilon(level)
        if self.chain and self.robust:
            options |= {"channel": self.chain, "draws": self.draws}
        return options | self.own_values()

    def same_attack(self, other: Design) -> bool:
        """Whether the other one makes the same perturbation: what an attack does not reckon with does not count."""
        return self._counting == other._counting

    @property
    def _counting(self) -> Design:
        chain = self.chain if self.robust else ()
        return replace(
            self, chain=chain, draws=self.draws if chain else 0, robust=False, target=self.aim, evade=self.evading
        )

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
            held = parameter.name == "epsilon" and not self.unlimited
            given = self.epsilon(level) if held else self.values.get(parameter.name)
            values[parameter.name] = parameter.default_for(values) if given is None else given
        del values["rms"]
        return values
