"""What networks hear through, made from the table of settings that a `model.toml` holds as its `representation`.

    representation = "waveform"                     the samples themselves
    kind = "log-mel",   n_fft, hop, n_mels, ...     `front_end.LogMel`
    kind = "magnitude", n_fft, hop, compression ... `Magnitude`

Such a table may come from a stranger: every value is checked before anything is computed from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from mirguard.errors import UsageError
from mirguard.models.front_end import PADDINGS, LogMel
from mirguard.models.model_file import WAVEFORM

LARGEST_FFT = 1 << 16
MOST_BANDS = 4096
MOST_CELLS = 50_000_000  # numbers in the representation of one window: 200 MB
COMPRESSIONS = ("log", "root")


class Magnitude(nn.Module):
    """Magnitudes of the short-time spectrum, compressed: `(batch, samples)` in ±1 -> `(batch, frames, n_fft // 2 + 1)`.

    The window is a periodic Hann of `n_fft` samples, scaled so that a sine of full scale has magnitude 1. `compression` is

        "log"    log10(1 + gain · |X|²)
        "root"   sqrt(|X|² + 1/gain), the magnitude of Kereliuk, Sturm and Larsen (IEEE Trans. Multimedia, 2015) rounded off at 0

    Both are smooth in the samples everywhere, which |X| and log |X| are not: their gradients at silence are undefined and
    infinite. `gain` (1e7: −70 dB below full scale) is where quiet ends: what is far below counts linearly in its power.
    `pad` as for `LogMel`; with "none", what is left over after the last whole frame is not heard.
    """

    def __init__(
        self,
        sample_rate: int,
        n_fft: int = 1024,
        hop: int = 512,
        compression: str = "log",
        gain: float = 1e7,
        pad: str = "reflect",
    ) -> None:
        super().__init__()
        if compression not in COMPRESSIONS:
            raise UsageError(f"The front end's compression is one of {', '.join(COMPRESSIONS)}; got {compression!r}.")
        if pad not in PADDINGS:
            raise UsageError(f"The front end's padding is one of {', '.join(PADDINGS)}; got {pad!r}.")
        if not 0 < hop <= n_fft or gain <= 0:
            raise UsageError("The front end needs 0 < hop <= n_fft and a gain above 0.")
        self.sample_rate, self.n_fft, self.hop = sample_rate, n_fft, hop
        self.compression, self.gain, self.pad = compression, gain, pad
        window = torch.hann_window(n_fft, dtype=torch.float64)
        self.register_buffer("window", (window / (window.sum() / 2)).float(), persistent=False)

    def extra_repr(self) -> str:
        """The settings, which identify a front end."""
        names = ("sample_rate", "n_fft", "hop", "compression", "gain", "pad")
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)

    def frames(self, samples: int) -> int:
        """The number of frames that `samples` give."""
        return samples // self.hop + 1 if self.pad != "none" else (samples - self.n_fft) // self.hop + 1

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        if self.pad != "none":
            half = self.n_fft // 2
            waveform = F.pad(waveform[:, None], (half, half), mode=self.pad)[:, 0]
        spectrum = torch.stft(waveform, self.n_fft, self.hop, window=self.window, center=False, return_complex=True)
        power = (spectrum.real.square() + spectrum.imag.square()).transpose(1, 2)
        if self.compression == "log":
            return torch.log10(1 + self.gain * power)
        return torch.sqrt(power + 1 / self.gain)


def make_front_end(representation: str | Mapping[str, Any], sample_rate: int, window: int | None = None) -> nn.Module:
    """The module `(batch, samples)` -> representation that a `representation` declares (see this module's docstring).

    With `window` in samples, also checks that a window is long enough for it and that what comes out is not enormous.
    UsageError with one sentence if anything does not fit.
    """
    if isinstance(representation, str):
        if representation != WAVEFORM:
            raise UsageError(f"The representation is {WAVEFORM!r} or a table of settings, not {representation!r}.")
        return nn.Identity()
    settings = dict(representation)
    kind = settings.pop("kind", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise UsageError(f"The representation's kind is one of {', '.join(_KINDS)}; got {kind!r}.")
    make, checks = _KINDS[kind]
    unknown = sorted(set(settings) - set(checks))
    if unknown:
        raise UsageError(
            f"The {kind} representation has no setting {str(unknown[0])!r}; it has {', '.join(sorted(checks))}."
        )
    for key, value in settings.items():
        checks[key](key, value)
    if settings.get("n_fft", 0) * settings.get("n_mels", 0) > 2 * MOST_CELLS:
        raise UsageError("The representation's n_mels is too large for its n_fft.")
    if window is not None:
        _fits(kind, settings, window)
    return make(sample_rate, **settings)


def _whole(least: int, most: int) -> Callable[[str, Any], None]:
    def check(key: str, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise UsageError(f"The representation's {key} must be a whole number from {least} to {most:,}.")

    return check


def _number(least: float, most: float) -> Callable[[str, Any], None]:
    def check(key: str, value: Any) -> None:
        fine = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not fine or not least <= value <= most:
            raise UsageError(f"The representation's {key} must be a number from {least:g} to {most:g}.")

    return check


def _text(key: str, value: Any) -> None:
    if not isinstance(value, str):  # which texts are right is for the front end to say
        raise UsageError(f"The representation's {key} must be a text in quotes.")


_FRAMES = {"n_fft": _whole(16, LARGEST_FFT), "hop": _whole(1, LARGEST_FFT), "compression": _text, "pad": _text}
_BANDS = {"n_mels": _whole(1, MOST_BANDS), "fmin": _number(0, 1e5), "fmax": _number(1, 1e5)}
_FLOORS = {"floor": _number(1e-12, 1.0), "frames": _whole(1, 1_000_000)}
_KINDS: dict[str, tuple[Callable[..., nn.Module], dict[str, Callable[[str, Any], None]]]] = {
    "log-mel": (LogMel, _FRAMES | _BANDS | _FLOORS),
    "magnitude": (Magnitude, _FRAMES | {"gain": _number(1e-3, 1e15)}),
}


def _fits(kind: str, settings: Mapping[str, Any], window: int) -> None:
    given = {key: parameter.default for key, parameter in signature(_KINDS[kind][0]).parameters.items()} | settings
    n_fft, hop = given["n_fft"], given["hop"]
    shortest = {"reflect": n_fft // 2 + 1, "none": n_fft}.get(given["pad"], 1)
    if window < shortest:
        raise UsageError(
            f"A window of {window} samples is too short for the {kind} representation: with n_fft {n_fft} it needs {shortest}."
        )
    if (window // hop + 1) * (n_fft // 2 + 1) > MOST_CELLS:
        raise UsageError(
            f"The {kind} representation of a window of {window:,} samples would be enormous; make hop larger than {hop}."
        )
