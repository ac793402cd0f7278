"""How do a sound and its neighbours among clean sounds lie in the layers of the model?"""

from __future__ import annotations

from mirguard.detectors.detector import Detector

DETECTORS: tuple[Detector, ...] = ()
