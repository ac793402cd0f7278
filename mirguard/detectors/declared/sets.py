"""Do many windows together come from where clean ones come from?"""

from __future__ import annotations

from mirguard.detectors.detector import Detector

DETECTORS: tuple[Detector, ...] = (
    Detector(
        "mmd",
        "Maximum mean discrepancy",
        "Do the windows of a long track, or of several clips, together come from where clean windows come from?",
        "Grosse et al. 2017; Gretton et al. 2012",
        "mirguard.detectors.mmd:Mmd",
        of_tags="The test knows of no classes.",
        set_level=True,
    ),
)
