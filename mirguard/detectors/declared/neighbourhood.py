"""How do a sound and its neighbours among clean sounds lie in the layers of the model?"""

from __future__ import annotations

from mirguard.detectors.detector import ADVERSARIAL, NOISY, Detector
from mirguard.parameters import Parameter

DETECTORS: tuple[Detector, ...] = (
    Detector(
        "lid",
        "Local intrinsic dimensionality",
        "Is a sound surrounded in every layer as clean sounds are by their neighbours?",
        "Ma et al. 2018",
        "mirguard.detectors.lid:Lid",
        (
            Parameter(
                "neighbours",
                "How many nearest clean windows of a minibatch are looked at; fewer where minibatches are smaller than asked for.",
                kind=int,
                default=20,
                minimum=2,
                maximum=200,
                scale="log",
            ),
            Parameter(
                "batch",
                "Clean windows in a minibatch.",
                kind=int,
                default=100,
                minimum=4,
                maximum=400,
                scale="log",
                label="Minibatch",
            ),
        ),
        needs=(NOISY, ADVERSARIAL),
        of_tags="Neighbours are looked for among all clean windows, whatever the tags.",
    ),
    Detector(
        "mahalanobis",
        "Mahalanobis distance",
        "How far does a sound lie in every layer from the centre of its class, measured by how clean sounds spread?",
        "Lee et al. 2018",
        "mirguard.detectors.mahalanobis:Mahalanobis",
        needs=(NOISY, ADVERSARIAL),
        of_tags="Tags are not exclusive classes: one Gaussian of all clean windows serves.",
    ),
)
