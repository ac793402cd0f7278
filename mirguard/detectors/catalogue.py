"""Every detector with its declaration. Plug-ins add theirs by an entry point in `mirguard.detectors` that names a `Detector`."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from mirguard.detectors.declared import density, learned, neighbourhood, projection, restless, sets
from mirguard.detectors.detector import Detector
from mirguard.errors import UsageError

DETECTORS = (
    *projection.DETECTORS,
    *density.DETECTORS,
    *neighbourhood.DETECTORS,
    *learned.DETECTORS,
    *restless.DETECTORS,
    *sets.DETECTORS,
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
