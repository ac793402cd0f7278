"""From a wish to a complete, checked experiment."""

from __future__ import annotations

from typing import Any

from mirguard.attacks.budget import SNR, before_rounding, epsilon_to_snr, snr_to_epsilon
from mirguard.attacks.catalogue import Attack, find_attack
from mirguard.clip import SUBTYPES, Clip, rms
from mirguard.errors import UsageError
from mirguard.experiment.outcome import Experiment
from mirguard.models.contract import Classifier
from mirguard.parameters import resolve


def plan(
    clip: Clip,
    model: Classifier,
    attack: str,
    *,
    target: str | None = None,
    epsilon: float | None = None,
    snr: float | None = None,
    seed: int = 0,
    subtype: str = "PCM_16",
    **parameters: Any,
) -> Experiment:
    """An experiment with every value checked and every default filled in; UsageError says in one sentence what is wrong."""
    found = find_attack(attack)
    if found.needs_gradient and not model.differentiable:
        raise UsageError(
            f"{model.name} gives no gradient; {attack} needs one. Choose an attack that needs none, such as noise."
        )
    if subtype not in SUBTYPES:
        raise UsageError(f"Exports are {', '.join(SUBTYPES)}; got {subtype!r}.")
    values = resolve_values(found, rms(clip.samples), epsilon, snr, parameters)
    before_rounding(values["epsilon"], values["norm"], subtype, clip.frames)
    if target is not None:
        target = model.labels[model.index(target)]
    return Experiment(
        clip.name, clip.hash, model.name, model.hash, attack, tuple(values.items()), target, int(seed), subtype
    )


def resolve_values(
    attack: Attack, level: float, epsilon: float | None, snr: float | None, given: dict[str, Any]
) -> dict[str, Any]:
    if epsilon is not None and snr is not None:
        raise UsageError(
            "Give the budget once: either as an amplitude (--epsilon) or as a signal-to-noise ratio (--snr)."
        )
    if snr is not None:
        snr = SNR.check(snr)
        epsilon = snr_to_epsilon(snr, level)
        if not 1e-6 <= epsilon <= 1.0:
            raise UsageError(
                f"An SNR of {snr:g} dB would need a perturbation of {epsilon:.2g} of full scale; it can be 1e-06 to 1, "
                f"for this clip {epsilon_to_snr(1.0, level):.0f} to {epsilon_to_snr(1e-6, level):.0f} dB."
            )
    return resolve(attack.parameters, {**given, "epsilon": epsilon}, rms=level)
