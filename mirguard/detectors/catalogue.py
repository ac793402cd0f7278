"""Every detector with its declaration. Plug-ins add theirs by an entry point in `mirguard.detectors` that names a `Detector`."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from mirguard.errors import UsageError
from mirguard.parameters import Parameter


@dataclass(frozen=True)
class Detector:
    """One kind of detector. `factory` is "module:name", called with a Reference, so that listing loads nothing heavy."""

    name: str
    title: str
    help: str
    reference: str
    factory: str
    parameters: tuple[Parameter, ...] = ()
    set_level: bool = False

    def fit(self, reference: Any) -> Any:
        module, name = self.factory.split(":")
        return getattr(importlib.import_module(module), name)(reference)


FPR = Parameter(
    "fpr",
    "Share of clean clips that may be flagged; the threshold is set by it.",
    default=0.05,
    minimum=0.0005,
    maximum=0.5,
    scale="log",
    label="False-positive rate",
)

DETECTORS = (
    Detector(
        "kde",
        "Kernel density",
        "Does the last hidden layer lie where clean sounds of the same class lie?",
        "Feinman et al. 2017",
        "mirguard.detectors.kde:Kde",
        (FPR,),
    ),
)


@cache
def list_detectors() -> tuple[Detector, ...]:
    """The built-in detectors, then those of installed plug-ins."""
    found = {detector.name: detector for detector in DETECTORS}
    for entry in entry_points(group="mirguard.detectors"):
        detector = entry.load()
        found.setdefault(detector.name, detector)
    return tuple(found.values())


def find_detector(name: str) -> Detector:
    """The detector of that name; UsageError lists the names there are."""
    for detector in list_detectors():
        if detector.name == name:
            return detector
    raise UsageError(f"There is no detector {name!r}; there are {', '.join(d.name for d in list_detectors())}.")
