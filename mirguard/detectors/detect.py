"""Would a detector have caught this clip? Fit on a clean reference, score, compare with a threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mirguard.clip import Clip
from mirguard.detectors.catalogue import find_detector
from mirguard.detectors.reading import Reading
from mirguard.detectors.reference import Reference, build_reference, hear, reference_for
from mirguard.errors import UsageError
from mirguard.models.contract import Classifier


def fit(name: str, model: Classifier, reference: Reference) -> Any:
    """A detector fitted on a reference made with this very model; UsageError where it was made with another."""
    detector = find_detector(name)
    if reference.model_hash != model.hash:
        raise UsageError(
            f"This reference was made with {reference.model}, not with this {model.name}; build one for it."
        )
    return detector.fit(reference)


def require_reference(model: Classifier, reference: Reference | str | Path | None = None) -> Reference:
    """The reference given, or built from the folder given, or the one kept for this model; UsageError where there is none."""
    if isinstance(reference, str | Path):
        return build_reference(model, reference)
    reference = reference or reference_for(model)
    if reference is None:
        raise UsageError(
            f"There is no clean reference for {model.name} yet; name a folder of clean music (--reference DIR) to make one."
        )
    return reference


def detect(
    model: Classifier,
    clip: Clip,
    detectors: Sequence[str] = ("kde",),
    reference: Reference | str | Path | None = None,
    fpr: float = 0.05,
    rest: Callable[[], None] | None = None,
) -> list[Reading]:
    """One reading per detector for the clip."""
    names = [find_detector(name).name for name in detectors]
    reference = require_reference(model, reference)
    fitted = [fit(name, model, reference) for name in names]
    features, decision = hear(model, clip, rest)
    return [detector.read(features, decision, fpr) for detector in fitted]
