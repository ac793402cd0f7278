"""What learners without gradients hear of a window: how loud each mel band is, how much it varies, and how fast."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mirguard.errors import UsageError
from mirguard.models.front_end import LogMel

KIND = "log-mel-statistics"
LAYER = "statistics"
RATE, SECONDS = 16_000, 2.0
SETTINGS = {"n_fft": 1024, "hop": 320, "n_mels": 40, "fmin": 30.0}
_LARGEST = {"n_fft": 1 << 16, "hop": 1 << 16, "n_mels": 1024}


class Statistics:
    """Waveforms `(batch, window)` -> `(batch, 3 · n_mels + 1)`: of the logarithm of every mel band's power the mean over time (less
    that over all bands, which is the last feature: the level), the standard deviation, and the mean absolute difference of
    neighbouring frames.

    `settings` are `n_fft`, `hop`, `n_mels` and `fmin` of `front_end.LogMel`. Serves where features of a model are read.
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
        self._front_end = LogMel(sample_rate, **settings, compression="log", pad="none").eval()
        if self.window < settings["n_fft"] + settings["hop"]:
            raise UsageError(
                f"{KIND} needs windows of at least {settings['n_fft'] + settings['hop']} samples; got {self.window}."
            )
        self.size = 3 * settings["n_mels"] + 1
        about = {"kind": KIND, "version": 1, "sample_rate": sample_rate, "window": self.window, **settings}
        self.hash = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()

    def __call__(self, waveform: torch.Tensor) -> torch.Tensor:
        bands = self._front_end(waveform)
        mean = bands.mean(1)
        level = mean.mean(1, keepdim=True)
        change = (bands[:, 1:] - bands[:, :-1]).abs().mean(1)
        return torch.cat([mean - level, bands.std(1, correction=0), change, level], 1)

    def features(self, waveform: torch.Tensor, layers: Sequence[str]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        found = self(waveform)
        return dict.fromkeys(layers, found), found
