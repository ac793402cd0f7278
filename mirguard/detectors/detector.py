"""The declaration of a detector."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mirguard.parameters import Parameter

if TYPE_CHECKING:
    from mirguard.detectors.fitted import Fitted
    from mirguard.models.contract import Classifier

NOISY, ADVERSARIAL = "noisy", "adversarial"

FPR = Parameter(
    "fpr",
    "Share of clean clips that may be flagged; the threshold is set by it.",
    default=0.05,
    minimum=0.0005,
    maximum=0.5,
    scale="log",
    label="False positives",
)


@dataclass(frozen=True)
class Detector:
    """One kind of detector. `place` is "module:class" of its `Fitted`, so that listing loads nothing heavy.

    `needs` says what it is fitted on beside clean clips: NOISY, ADVERSARIAL. `of_tags` says what plays the class with a tagger, and
    `refuses_tags` why it makes no sense there. `set_level`: it tests sets of windows, not single ones. A model with a layer called
    `own_layer` was made with the detector in it: then nothing but clean clips is needed."""

    name: str
    title: str
    help: str
    reference: str
    place: str
    parameters: tuple[Parameter, ...] = ()
    needs: tuple[str, ...] = ()
    of_tags: str = ""
    refuses_tags: str = ""
    set_level: bool = False
    own_layer: str = ""

    def needed(self, model: Classifier) -> tuple[str, ...]:
        """What it is fitted on with this model beside clean clips."""
        return () if self.own_layer and self.own_layer in model.layers else self.needs

    def type(self) -> type[Fitted]:
        """The class that fits it; loads torch."""
        module, name = self.place.split(":")
        return getattr(importlib.import_module(module), name)
