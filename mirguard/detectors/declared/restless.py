"""Does the decision stay when the model or the sound is shaken?"""

from __future__ import annotations

from mirguard.detectors.detector import Detector

DETECTORS: tuple[Detector, ...] = ()
