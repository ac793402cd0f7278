"""The differentiable log-mel front end that most music classifiers hear through.

Waveform -> short-time Fourier transform -> power -> mel bands -> logarithm, all in torch, so that a gradient reaches
the samples. Power rather than magnitude, since the gradient of |X| is undefined at silence; and no `top_db` clamp or
per-clip normalisation, since both hide gradients (Athalye et al., "Obfuscated gradients give a false sense of
security", ICML 2018).
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mirguard.errors import UsageError

COMPRESSIONS = ("musicnn", "log")
PADDINGS = ("reflect", "constant", "none")

# Slaney's mel scale (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above.
_HZ_PER_MEL = 200.0 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _HZ_PER_MEL
_LOG_STEP = math.log(6.4) / 27.0


def hz_to_mel(hz: np.ndarray | float) -> np.ndarray:
    """Hz -> mel on Slaney's scale."""
    hz = np.asarray(hz, float)
    above = _BREAK_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz < _BREAK_HZ, hz / _HZ_PER_MEL, above)


def mel_to_hz(mel: np.ndarray | float) -> np.ndarray:
    """Mel on Slaney's scale -> Hz."""
    mel = np.asarray(mel, float)
    above = _BREAK_HZ * np.exp(_LOG_STEP * np.maximum(mel - _BREAK_MEL, 0))
    return np.where(mel < _BREAK_MEL, mel * _HZ_PER_MEL, above)


def mel_filters(sample_rate: int, n_fft: int, n_mels: int, fmin: float = 0.0, fmax: float | None = None) -> np.ndarray:
    """Triangles `(n_mels, n_fft // 2 + 1)`, each of unit area in Hz, as `librosa.filters.mel` makes by default."""
    edges = mel_to_hz(np.linspace(hz_to_mel(fmin), hz_to_mel(fmax or sample_rate / 2), n_mels + 2))
    bins = np.arange(n_fft // 2 + 1) * (sample_rate / n_fft)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return np.maximum(0, np.minimum(rising, falling)) * (2 / (high - low))


class LogMel(nn.Module):
    """`(batch, samples)` in ±1 -> `(batch, frames, n_mels)`.

    `pad` is how half a window is added at both ends ("reflect" or "constant") so that frame k is centred on sample
    k·hop, or "none". `compression` is "musicnn", log10(10000·mel + 1), or "log", ln(mel + floor). `frames` keeps only
    so many leading frames. Window: periodic Hann of `n_fft` samples.
    """

    def __init__(
        self,
        sample_rate: int,
        n_fft: int = 512,
        hop: int = 256,
        n_mels: int = 96,
        fmin: float = 0.0,
        fmax: float | None = None,
        compression: str = "musicnn",
        pad: str = "reflect",
        floor: float = 1e-6,
        frames: int | None = None,
    ) -> None:
        super().__init__()
        if compression not in COMPRESSIONS:
            raise UsageError(f"The front end's compression is one of {', '.join(COMPRESSIONS)}; got {compression!r}.")
        if pad not in PADDINGS:
            raise UsageError(f"The front end's padding is one of {', '.join(PADDINGS)}; got {pad!r}.")
        if not 0 < hop <= n_fft or n_mels < 1 or floor <= 0:
            raise UsageError("The front end needs 0 < hop <= n_fft, at least one mel band and a floor above 0.")
        if not 0 <= fmin < (fmax or sample_rate / 2) <= sample_rate / 2:
            raise UsageError(f"The front end's bands must lie within 0 and {sample_rate / 2:g} Hz.")
        self.sample_rate, self.n_fft, self.hop, self.n_mels = sample_rate, n_fft, hop, n_mels
        self.fmin, self.fmax, self.compression, self.pad = fmin, fmax or sample_rate / 2, compression, pad
        self.floor, self.kept = floor, frames
        filters = mel_filters(sample_rate, n_fft, n_mels, fmin, fmax)
        # Computed from the settings and so no part of the state: another processor may round them otherwise.
        self.register_buffer("window", torch.hann_window(n_fft, dtype=torch.float64).float(), persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters.T.copy()).float(), persistent=False)

    def extra_repr(self) -> str:
        """The settings, which identify a front end."""
        names = ("sample_rate", "n_fft", "hop", "n_mels", "fmin", "fmax", "compression", "pad", "floor", "kept")
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)

    def frames(self, samples: int) -> int:
        """The number of frames that `samples` give."""
        count = samples // self.hop + 1 if self.pad != "none" else (samples - self.n_fft) // self.hop + 1
        return min(count, self.kept or count)

    def power(self, waveform: torch.Tensor) -> torch.Tensor:
        """Mel power `(batch, frames, n_mels)`, before the logarithm."""
        if self.pad != "none":
            half = self.n_fft // 2
            waveform = F.pad(waveform[:, None], (half, half), mode=self.pad)[:, 0]
        if self.kept:
            waveform = waveform[:, : (self.kept - 1) * self.hop + self.n_fft]
        # torch.stft beats a product with a fixed basis by 2 to 4 times forward and backward on CPU.
        spectrum = torch.stft(waveform, self.n_fft, self.hop, window=self.window, center=False, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        return power.transpose(1, 2) @ self.filters

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        mel = self.power(waveform)
        if self.compression == "musicnn":
            return torch.log10(10_000 * mel + 1)
        return torch.log(mel + self.floor)
