"""What is left of a sound in the directions in which clean sounds hardly vary, and in those in which they vary most?"""

from __future__ import annotations

from mirguard.detectors.detector import ADVERSARIAL, NOISY, Detector
from mirguard.parameters import Parameter

DETECTORS: tuple[Detector, ...] = (
    Detector(
        "pca-tail",
        "PCA tail",
        "Is there more in the directions in which clean spectra hardly vary than clean sounds have there?",
        "Hendrycks & Gimpel 2017",
        "mirguard.detectors.pca_tail:PcaTail",
        (
            Parameter(
                "share",
                "Share of the directions, those of least variance, that count as the tail.",
                default=0.5,
                minimum=0.01,
                maximum=1.0,
                label="Trailing share",
            ),
        ),
        of_tags="Classes play no part.",
    ),
    Detector(
        "pca-reduction",
        "PCA reduction",
        "Do the leading principal components of the spectrum look attacked to a classifier?",
        "Bhagoji et al. 2017",
        "mirguard.detectors.pca_reduction:PcaReduction",
        (
            Parameter(
                "components",
                "How many leading principal components the classifier is given, at the most.",
                kind=int,
                default=256,
                minimum=2,
                maximum=2000,
                scale="log",
            ),
        ),
        needs=(NOISY, ADVERSARIAL),
        of_tags="Classes play no part.",
    ),
)
