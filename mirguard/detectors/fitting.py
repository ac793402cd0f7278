"""From clean clips (and noisy and attacked ones, where a detector asks for them) to a fitted detector."""

from __future__ import annotations

from typing import Any

from mirguard.detectors.catalogue import find_detector
from mirguard.detectors.fitted import About, Fitted
from mirguard.detectors.sample import Sample
from mirguard.errors import UsageError
from mirguard.models.decision import TAGGING
from mirguard.parameters import resolve

PUT_ASIDE = 0.4  # of the clean clips: thresholds are counted in clips that nothing was fitted on
LEAST = 2  # clips


def divide(clean: Sample, name: str) -> tuple[Sample, Sample | None]:
    """The clips to fit a detector on, and those put aside to be scored by it (None where it leaves out one by one)."""
    if clean.size < LEAST:
        raise UsageError(
            f"A reference of {clean.size} clip is too small for a detector; use a folder with more clean clips."
        )
    if find_detector(name).type().leaves_one_out:
        return clean, None
    return clean.divided(PUT_ASIDE)


def fit(
    name: str, clean: Sample, noisy: Sample | None = None, adversarial: Sample | None = None, **values: Any
) -> Fitted:
    """The detector of that name fitted on the model's clean clips.

    Some need `noisy` and `adversarial` as well: clips of the part to fit on (see `divide`), with noise, and attacked; those of
    other clips are refused, since thresholds would be counted in what was fitted on. UsageError with one sentence where the
    model or the clips do not allow for it."""
    detector, model = find_detector(name), clean.model
    if model.task == TAGGING and detector.refuses_tags:
        raise UsageError(f"{model.name} is a tagger: {detector.refuses_tags}")
    part, aside = divide(clean, name)
    for what, sample in (("noisy", noisy), ("adversarial", adversarial)):
        if what in detector.needed(model) and sample is None:
            raise UsageError(f"{name} is fitted on {what} clips, too, and there are none.")
        if what in detector.needed(model) and not set(sample.hashes) <= set(part.hashes):
            raise UsageError(
                f"The {what} clips must be made of those that {name} is fitted on, not of those put aside."
            )
    chosen = resolve(detector.parameters, values)
    about = About(
        model.name, model.hash, model.task, model.labels, clean.source, clean.size, clean.hashes, clean.skipped, chosen
    )
    made = detector.type().fit(part, noisy, adversarial, chosen)
    made.about = about
    if aside is not None:
        made.calibrate(aside)
    return made
