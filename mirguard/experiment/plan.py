"""From a wish to a complete, checked experiment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mirguard.attacks.attack import EPSILON, Attack
from mirguard.attacks.budget import L1, L2, SNR, before_rounding, epsilon_to_snr, snr_to_epsilon
from mirguard.attacks.catalogue import find_attack
from mirguard.attacks.restriction import FREE, Restriction
from mirguard.channel.chain import Link
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
    truth: str | None = None,
    epsilon: float | None = None,
    snr: float | None = None,
    seed: int = 0,
    subtype: str = "PCM_16",
    surrogates: Sequence[Classifier] = (),
    channel: Sequence[Link] = (),
    draws: int = 8,
    restriction: Restriction = FREE,
    evade: Sequence[str] = (),
    **parameters: Any,
) -> Experiment:
    """An experiment with every value checked and every default filled in; UsageError says in one sentence what is wrong.

    With `surrogates` the attack sees them in equal parts instead of the model, which only judges the result. With a `channel`
    each look of the attack is the mean over the sound itself and `draws` draws of the chain. Names of detectors in `evade` are to
    be deceived as well."""
    found = find_attack(attack)
    check_knowledge(found, surrogates or (model,), len(surrogates) > 0)
    if subtype not in SUBTYPES:
        raise UsageError(f"Exports are {', '.join(SUBTYPES)}; got {subtype!r}.")
    if not 1 <= draws <= 1000:
        raise UsageError(f"A look is the mean over 1 to 1000 draws of the channel; got {draws}.")
    values = resolve_values(found, rms(clip.samples), epsilon, snr, parameters)
    before_rounding(values["epsilon"], values["norm"], subtype, clip.frames)
    goal = values.get("goal", "as-set")
    if target is not None:
        if not found.targeted:
            raise UsageError(f"{attack} knows no target: it makes any other label come out.")
        if goal != "as-set":
            raise UsageError(f"Give the label to bring out once: either as a target or as the goal {goal!r}.")
        target = model.labels[model.index(target)]
    elif not found.untargeted and goal == "as-set":
        raise UsageError(f"{attack} needs a target: the label that is to come out (--target).")
    if truth is not None:
        truth = model.labels[model.index(truth)]
    elif goal == "perfect":
        raise UsageError("To bring out the true label, say which it is (--truth).")
    return Experiment(
        clip.name,
        clip.hash,
        model.name,
        model.hash,
        attack,
        tuple(values.items()),
        target,
        int(seed),
        subtype,
        truth,
        tuple((surrogate.name, surrogate.hash) for surrogate in surrogates),
        tuple(channel),
        draws if channel else 0,
        restriction.check(clip.duration, clip.sample_rate),
        _evadable(found, evade, surrogates),
    )


def _evadable(attack: Attack, evade: Sequence[str], surrogates: Sequence[Classifier]) -> tuple[str, ...]:
    if evade and surrogates:
        raise UsageError(
            "A detector reads the model that is attacked; an attacker who sees only surrogates of it cannot evade one."
        )
    if evade and not attack.evades:
        raise UsageError(f"{attack.name} does not look at what comes of it, so it cannot evade a detector.")
    return tuple(dict.fromkeys(evade))


def check_knowledge(attack: Attack, seen: Sequence[Classifier], surrogates: bool) -> None:
    """UsageError where the attack needs a gradient that a model it sees does not give."""
    for model in seen:
        if attack.gradients and not model.differentiable:
            hint = "" if surrogates else ", or let a surrogate with gradients stand in for it (--surrogate)"
            raise UsageError(
                f"{model.name} gives no gradient; {attack.name} needs one. Choose an attack that needs none, such as "
                f"noise{hint}."
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
        low, high = EPSILON.minimum, EPSILON.maximum
        if not low <= epsilon <= high:
            raise UsageError(
                f"An SNR of {snr:g} dB would need a perturbation of {epsilon:.2g} of full scale; it can be {low:g} to {high:g}, "
                f"for this clip {epsilon_to_snr(high, level):.0f} to {epsilon_to_snr(low, level):.0f} dB."
            )
    values = resolve(attack.parameters, {**given, "epsilon": epsilon}, rms=level)
    values.setdefault("norm", attack.norm or L2)
    if snr is not None and values["norm"] == L1:
        raise UsageError(
            "A signal-to-noise ratio says nothing of the mean of |δ|, which may all lie in a few loud samples; set the size of an "
            "L1 perturbation as an amplitude (--epsilon)."
        )
    return values
