"""Detectors that watch a running attack: now and then, so that watching takes a small part of the attack's time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from mirguard.detectors.fitted import Fitted
    from mirguard.detectors.reading import Reading
    from mirguard.experiment import Progress

SHARE = 0.08  # of the time may be spent on watching


class Watch:
    """What `detectors` say of the looks of an attack, as far as there is time for it: `probes` are what the attack is watched by,
    `readings` the last ones."""

    def __init__(self, detectors: Sequence[Fitted], fpr: float) -> None:
        self._detectors, self._fpr = tuple(detectors), fpr
        self._wanted, self._spent, self._again = True, 0.0, 0.0
        self.probes = tuple(_Glance(detector, self) for detector in detectors)
        self.readings: tuple[Reading, ...] = ()

    def looked(self, progress: Progress) -> None:
        """A look is over. If it was watched, read it, and watch the next one when this one's cost is made good."""
        if self._wanted and progress.seen:
            began = time.perf_counter()
            self.readings = tuple(
                detector.read(seen, progress.decision, self._fpr)
                for detector, seen in zip(self._detectors, progress.seen, strict=True)
            )
            now = time.perf_counter()
            self._again = now + (self._spent + now - began) / SHARE
            self._spent = 0.0
        self._wanted = time.perf_counter() >= self._again

    def glance(self, detector: Fitted, heard: Mapping[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        """What a detector makes of windows, or nothing `(m, 0)` in a look that is not watched."""
        if not self._wanted:
            return logits.new_empty(len(logits), 0)
        began = time.perf_counter()
        digest = detector.digest(heard, logits)
        self._spent += time.perf_counter() - began
        return digest


class _Glance:
    """A detector as a probe of an attack."""

    def __init__(self, detector: Fitted, watch: Watch) -> None:
        self._detector, self._watch = detector, watch

    @property
    def layers(self) -> tuple[str, ...]:
        return self._detector.layers

    def digest(self, heard: Mapping[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        return self._watch.glance(self._detector, heard, logits)
