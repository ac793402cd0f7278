"""Does a sound lie where clean sounds lie?"""

from __future__ import annotations

from mirguard.detectors.detector import Detector

DETECTORS = (
    Detector(
        "kde",
        "Kernel density",
        "Does the last hidden layer lie where clean sounds of the same class lie?",
        "Feinman et al. 2017",
        "mirguard.detectors.kde:Kde",
        of_tags="Tags are not exclusive classes: one density of all clean windows serves.",
    ),
)
