"""Detectors that have learned from adversarial examples."""

from __future__ import annotations

from mirguard.detectors.detector import Detector

DETECTORS: tuple[Detector, ...] = ()
