"""The bundled toy model: a small network that tells ten synthetic instruments apart."""

from __future__ import annotations

from pathlib import Path

from mirguard.models.bundled import NAME
from mirguard.models.contract import Classifier
from mirguard.models.load_file import load_model_file
from mirguard.resources import resource


def load_toy(path: Path | None = None) -> Classifier:
    """The toy classifier: 2-s windows at 16 kHz, single-label, layers "block-3", "block-4" and "hidden".

    `path` is the folder of a model other than the one shipped. FileError if it cannot be read.
    """
    return load_model_file(path or resource("models", NAME))
