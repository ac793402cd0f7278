"""What is left of a sound in the directions in which clean sounds hardly vary?"""

from __future__ import annotations

from mirguard.detectors.detector import Detector

DETECTORS: tuple[Detector, ...] = ()
