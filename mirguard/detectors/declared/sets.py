"""Do many windows together come from where clean ones come from?"""

from __future__ import annotations

from mirguard.detectors.detector import Detector

DETECTORS: tuple[Detector, ...] = ()
