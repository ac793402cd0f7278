"""The bundled toy model: a small network that tells ten synthetic instruments apart."""

from __future__ import annotations

from pathlib import Path

from mirguard.models.bundled import NAME, NOTE, TITLE, WEIGHTS
from mirguard.models.contract import TorchClassifier
from mirguard.models.networks.log_mel_cnn import load_log_mel_cnn
from mirguard.resources import resource

__all__ = ["NAME", "NOTE", "TITLE", "WEIGHTS", "load_toy"]


def load_toy(path: Path | None = None) -> TorchClassifier:
    """The toy classifier: 2-s windows at 16 kHz, single-label, layers "block-3", "block-4" and "hidden".

    `path` is a weights file other than the one shipped. FileError if it cannot be read.
    """
    return load_log_mel_cnn(path or resource(*WEIGHTS), name=NAME, title=TITLE, note=NOTE)
