"""Detectors that have learned from adversarial examples."""

from __future__ import annotations

from mirguard.detectors.detector import ADVERSARIAL, NOISY, Detector
from mirguard.parameters import Parameter

EPOCHS = Parameter("epochs", "Times through all examples.", kind=int, default=20, minimum=1, maximum=1000, scale="log")
LEARNING_RATE = Parameter("learning_rate", "Adam's.", default=1e-3, minimum=1e-6, maximum=0.1, scale="log")

DETECTORS: tuple[Detector, ...] = (
    Detector(
        "conv-cascade",
        "Convolution cascade",
        "Do statistics of the filters' maps, layer after layer, look like those of attacked sounds?",
        "Li & Li 2017",
        "mirguard.detectors.conv_cascade:ConvCascade",
        (
            Parameter(
                "passing",
                "Share of attacked windows that a stage must let pass to the next.",
                default=0.99,
                minimum=0.5,
                maximum=0.999,
            ),
        ),
        needs=(NOISY, ADVERSARIAL),
        of_tags="Classes play no part.",
    ),
    Detector(
        "outlier-class",
        "Outlier class",
        "Would a network with one class more than the model call it adversarial?",
        "Grosse et al. 2017",
        "mirguard.detectors.outlier_class:OutlierClass",
        (EPOCHS, LEARNING_RATE),
        needs=(NOISY, ADVERSARIAL),
        refuses_tags="tags do not exclude each other, so there is no outlier class beside them.",
        own_layer="outlier",
    ),
    Detector(
        "subnetwork",
        "Subnetwork",
        "Does a small network on a layer of the model see traces of an attack?",
        "Metzen et al. 2017",
        "mirguard.detectors.subnetwork:Subnetwork",
        (
            Parameter(
                "layer",
                "The layer that it reads; without it the representation or the first layer of convolutions.",
                kind=str,
                optional=True,
            ),
            EPOCHS,
            LEARNING_RATE,
            Parameter(
                "dynamic",
                "Go on learning from attacks that know the subnetwork and evade it.",
                kind=bool,
                default=False,
                advanced=True,
            ),
        ),
        needs=(NOISY, ADVERSARIAL),
        own_layer="subnetwork",
        of_tags="Classes play no part.",
    ),
)
