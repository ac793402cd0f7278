"""The declaration of an effect of the channel: what sound goes through between the file and the model."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirguard.errors import FileError, UsageError
from mirguard.parameters import Parameter

if TYPE_CHECKING:
    import torch

    from mirguard.channel.transform import Transform


@dataclass(frozen=True)
class Effect:
    """One effect. `function` is "module:name" and draws a `Transform`: `name(sample_rate, generator, **values)`."""

    name: str
    title: str
    help: str
    reference: str
    function: str
    parameters: tuple[Parameter, ...]
    order: tuple[tuple[str, str], ...] = ()  # of these two values the first is at most the second
    files: tuple[str, ...] = ()  # parameters that name a file or a folder

    def check(self, values: Mapping[str, Any]) -> None:
        """UsageError or FileError where the values do not go together or a file is missing."""
        for low, high in self.order:
            if values[low] > values[high]:
                raise UsageError(
                    f"{self.title}: {low} is at most {high}; got {low} {values[low]:g} and {high} {values[high]:g}."
                )
        for name in self.files:
            if not Path(values[name]).expanduser().exists():
                raise FileError(f"{self.title}: there is no file or folder {values[name]}.")

    def draw(self, sample_rate: int, generator: torch.Generator, values: Mapping[str, Any]) -> Transform:
        module, name = self.function.split(":")
        return getattr(importlib.import_module(module), name)(sample_rate, generator, **values)


def _level(name: str, help: str, default: float) -> Parameter:
    return Parameter(name, help, default=default, minimum=-120.0, maximum=0.0, unit="dBFS")


def _hertz(name: str, help: str, default: float, kind: type = float, minimum: float = 0.0) -> Parameter:
    top = 96_000.0
    return Parameter(name, help, kind=kind, default=default, minimum=minimum, maximum=top, scale="linear", unit="Hz")


def _kilobits(name: str, help: str, default: float) -> Parameter:
    return Parameter(name, help, default=default, minimum=16.0, maximum=320.0, unit="kbit/s")


def _source(help: str) -> Parameter:
    return Parameter("source", help, kind=str)


_ABSORPTION = (
    Parameter(
        "absorption_low", "Least share of the sound's energy that a wall swallows.",
        default=0.2, minimum=0.01, maximum=0.99,
    ),
    Parameter("absorption_high", "Most of it.", default=0.6, minimum=0.01, maximum=0.99),
)  # fmt: skip
_RANGE = (("low", "high"),)

EFFECTS: tuple[Effect, ...] = (
    Effect(
        "gain",
        "Gain",
        "Louder or softer by chance.",
        "Athalye et al. 2018",
        "mirguard.channel.level:gain",
        (
            Parameter("low", "Least gain.", default=-6.0, minimum=-60.0, maximum=20.0, unit="dB"),
            Parameter("high", "Most gain.", default=6.0, minimum=-60.0, maximum=20.0, unit="dB"),
        ),
        order=_RANGE,
    ),
    Effect(
        "shift",
        "Time shift",
        "Earlier or later by chance, by parts of samples too.",
        "Athalye et al. 2018; Laakso et al. 1996",
        "mirguard.channel.shift:shift",
        (
            Parameter(
                "most",
                "Largest shift to either side.",
                default=20.0,
                minimum=0.0,
                maximum=1000.0,
                unit="ms",
            ),
        ),
    ),
    Effect(
        "noise",
        "White noise",
        "Gaussian noise, its level by chance. It does not follow the clip's level: for an SNR of 30 dB on a clip of -20 dBFS it "
        "is -50 dBFS.",
        "Kurakin et al. 2017; Subramanian et al. 2019",
        "mirguard.channel.noise:noise",
        (_level("low", "Least level (RMS).", -70.0), _level("high", "Most level.", -40.0)),
        order=_RANGE,
    ),
    Effect(
        "music",
        "Other music",
        "Another recording on top, from a place by chance, again and again; its level by chance.",
        "Athalye et al. 2018; Yakura & Sakuma 2019",
        "mirguard.channel.music:music",
        (
            _source("A sound file, or a folder of which each draw takes one."),
            _level("low", "Least level (RMS of the whole recording).", -60.0),
            _level("high", "Most level.", -35.0),
        ),
        order=_RANGE,
        files=("source",),
    ),
    Effect(
        "resample",
        "Resampling",
        "Down to one of the usual sample rates and up again: what lies above half of it is gone.",
        "Subramanian et al. 2019",
        "mirguard.channel.rates:resample",
        (
            _hertz("low", "Lowest rate.", 11_025, int, 2_000),
            _hertz("high", "Highest rate; none is above the clip's own.", 32_000, int, 2_000),
        ),
        order=_RANGE,
    ),
    Effect(
        "band-pass",
        "Band-pass",
        "Nothing below one frequency and above another, both by chance.",
        "Yakura & Sakuma 2019",
        "mirguard.channel.band:band_pass",
        (
            _hertz("low_least", "Least lower edge.", 20.0),
            _hertz("low_most", "Most lower edge.", 300.0),
            _hertz("high_least", "Least upper edge.", 3_500.0),
            _hertz("high_most", "Most upper edge.", 16_000.0),
        ),
        order=(("low_least", "low_most"), ("low_most", "high_least"), ("high_least", "high_most")),
    ),
    Effect(
        "mp3",
        "MP3",
        "Encoded as MP3 and decoded, at one of the usual bitrates; its gradient is taken for that of no change.",
        "Subramanian et al. 2019; straight through: Bengio et al. 2013",
        "mirguard.channel.mp3:mp3",
        (
            _kilobits("low", "Lowest bitrate, of a stereo file.", 64.0),
            _kilobits("high", "Highest bitrate.", 192.0),
        ),
        order=_RANGE,
    ),
    Effect(
        "room",
        "Room",
        "Walls that reflect: a box of 3 to 5 × 4 to 6 × 2 to 4 m, source and microphone anywhere in it.",
        "Allen & Berkley 1979",
        "mirguard.channel.room:room",
        (
            *_ABSORPTION,
            Parameter("order", "Reflections that are followed.", kind=int, default=20, minimum=0, maximum=60),
        ),
        order=(("absorption_low", "absorption_high"),),
    ),
    Effect(
        "impulse",
        "Measured room",
        "A measured impulse response.",
        "Yakura & Sakuma 2019; Qin et al. 2019",
        "mirguard.channel.impulse:impulse",
        (_source("A sound file that holds an impulse response, or a folder of which each draw takes one."),),
        files=("source",),
    ),
    Effect(
        "playback",
        "Loudspeaker to microphone",
        "The whole way: a loudspeaker's band and soft saturation, a room, a microphone's band and noise.",
        "Yakura & Sakuma 2019",
        "mirguard.channel.loudspeaker:playback",
        (
            Parameter(
                "drive",
                "How hard the loudspeaker saturates at the most: at full scale over this.",
                default=1.0,
                minimum=0.05,
                maximum=10.0,
            ),
            *_ABSORPTION,
            _level("noise_low", "Least noise of the microphone.", -70.0),
            _level("noise_high", "Most noise of the microphone.", -50.0),
        ),
        order=(("absorption_low", "absorption_high"), ("noise_low", "noise_high")),
    ),
)


def list_effects() -> tuple[Effect, ...]:
    return EFFECTS


def find_effect(name: str) -> Effect:
    """The effect of that name; UsageError lists the names there are."""
    for effect in list_effects():
        if effect.name == name:
            return effect
    raise UsageError(f"There is no effect {name!r}; there are {', '.join(effect.name for effect in list_effects())}.")
