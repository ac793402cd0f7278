"""What learners without gradients hear of a window: the shape of its log-mel spectrum, how much that varies, and how fast.

The bands are first decorrelated by a cosine transform, as in mel-frequency cepstral coefficients (Davis and Mermelstein,
IEEE Trans. ASSP 28, 1980): learners that compare distances, or ask for one feature at a time, get little from bands that all
rise and fall together.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mirguard.errors import UsageError
from mirguard.models.front_end import LogMel

KIND = "log-mel-statistics"
LAYER = "statistics"
RATE, SECONDS = 16_000, 2.0
SETTINGS = {"n_fft": 1024, "hop": 320, "n_mels": 40, "fmin": 30.0, "coefficients": 24}
_LARGEST = {"n_fft": 1 << 16, "hop": 1 << 16, "n_mels": 1024, "coefficients": 1024}


class Statistics:
    """Waveforms `(batch, window)` -> `(batch, 4 · coefficients - 1)`: of the first cosine coefficients of the log-mel bands the
    mean over time (without coefficient 0, the level), the standard deviation, and of the difference of neighbouring frames the
    mean absolute value and the standard deviation.

    `settings` are `n_fft`, `hop`, `n_mels` and `fmin` of `front_end.LogMel`, and `coefficients`. Serves where features of a model
    are read.
    """

    name = KIND
    layers = (LAYER,)
    micro_batch = 32
    device = torch.device("cpu")

    def __init__(
        self, sample_rate: int = RATE, window: int | None = None, settings: Mapping[str, Any] | None = None
    ) -> None:
        settings = {**SETTINGS, **(settings or {})}
        strange = sorted(set(settings) - set(SETTINGS))
        if strange:
            raise UsageError(f"There is no setting {strange[0]!r} of {KIND}; there are {', '.join(SETTINGS)}.")
        for key, most in _LARGEST.items():
            value = settings[key]
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
                raise UsageError(f"{key} of {KIND} must be a whole number from 1 to {most:,}.")
        if not isinstance(settings["fmin"], int | float) or isinstance(settings["fmin"], bool):
            raise UsageError(f"fmin of {KIND} must be a number of Hz.")
        self.settings, self.sample_rate = settings, sample_rate
        self.window = window or round(SECONDS * sample_rate)
        coefficients, bands = settings["coefficients"], settings["n_mels"]
        if coefficients > bands:
            raise UsageError(f"{KIND} cannot make {coefficients} coefficients of {bands} mel bands.")
        spectrum = {key: settings[key] for key in ("n_fft", "hop", "n_mels", "fmin")}
        self._front_end = LogMel(sample_rate, **spectrum, compression="log", pad="none").eval()
        angle = torch.outer(torch.arange(bands) + 0.5, torch.arange(coefficients)) * (math.pi / bands)
        self._cosines = torch.cos(angle) * math.sqrt(2 / bands)
        if self.window < settings["n_fft"] + settings["hop"]:
            raise UsageError(
                f"{KIND} needs windows of at least {settings['n_fft'] + settings['hop']} samples; got {self.window}."
            )
        self.size = 4 * coefficients - 1
        about = {"kind": KIND, "version": 1, "sample_rate": sample_rate, "window": self.window, **settings}
        self.hash = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()

    def __call__(self, waveform: torch.Tensor) -> torch.Tensor:
        shape = self._front_end(waveform) @ self._cosines
        change = shape[:, 1:] - shape[:, :-1]
        parts = shape.mean(1)[:, 1:], shape.std(1, correction=0), change.abs().mean(1), change.std(1, correction=0)
        return torch.cat(parts, 1)

    def features(self, waveform: torch.Tensor, layers: Sequence[str]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        found = self(waveform)
        return dict.fromkeys(layers, found), found
