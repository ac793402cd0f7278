"""The architectures that can be trained here: what each hears, how long, how it is trained. No torch until one is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any

from mirguard.errors import UsageError
from mirguard.models.model_file import WAVEFORM

if TYPE_CHECKING:
    from torch import nn

SAMPLE_RATE = 16_000  # Hz: what all of them are meant for


@dataclass(frozen=True)
class Architecture:
    """A network with the front end that it is meant to hear through.

    `heard` is the representation ("waveform" or a table for `front_ends.make_front_end`); its lengths are in samples, so that other
    rates than `sample_rate` change what they mean in seconds and Hz. `recipe` holds the fields of `training.loop.Recipe` that suit
    it better than the defaults. `taps` maps names of layers to submodules, the last hidden layer last (with the network's default
    settings; those of any other are the network's own `taps`).
    """

    name: str
    title: str
    note: str
    place: str  # the module and class of the network
    heard: str | Mapping[str, Any]
    taps: Mapping[str, str]
    recipe: Mapping[str, Any] = field(default_factory=dict)
    channels_last: bool = False  # runs its two-dimensional convolutions up to twice as fast on a CPU
    sample_rate: int = SAMPLE_RATE
    window_seconds: float = 2.0

    def representation(self, sample_rate: int = SAMPLE_RATE) -> str | dict[str, Any]:
        """What the network hears, as a model.toml keeps it: the same table for any rate."""
        return self.heard if isinstance(self.heard, str) else dict(self.heard)

    def window(self, sample_rate: int = SAMPLE_RATE) -> int:
        """Samples in one window."""
        return round(self.window_seconds * sample_rate)

    def build(self, labels: int, settings: Mapping[str, Any] | None = None) -> nn.Module:
        """The network, untrained, for that many labels; its `.settings` are what it was built with.

        UsageError with one sentence for settings that there are not or that make no sense.
        """
        module, name = self.place.split(":")
        network = getattr(import_module(module), name)
        known = [key for key in signature(network).parameters if key != "labels"]
        for key in settings or {}:
            if key not in known:
                raise UsageError(f"The network {self.name} has no setting {key!r}; it has {', '.join(known)}.")
        built = network(labels, **(settings or {}))
        import torch

        return built.to(memory_format=torch.channels_last) if self.channels_last else built


LOG_MEL = {"kind": "log-mel", "n_fft": 1024, "hop": 320, "n_mels": 64, "fmin": 30.0}
MAGNITUDE = {"kind": "magnitude", "n_fft": 1024, "hop": 512}
LONG_FRAMES = {"kind": "magnitude", "n_fft": 2048, "hop": 1024}
_NETWORKS = "mirguard.models.networks"

_ALL = (
    Architecture(
        "log-mel-cnn",
        "Log-mel CNN",
        "Convolutions on a mel spectrogram: the usual network of the field, quick to train and hard to beat on little data.",
        f"{_NETWORKS}.log_mel_cnn:LogMelCnn",
        LOG_MEL,
        {"block-3": "blocks.2", "block-4": "blocks.3", "hidden": "hidden"},
        channels_last=True,
    ),
    Architecture(
        "magnitude-mlp",
        "Magnitude MLP with voting",
        "Hears single frames of the magnitude spectrum, which vote (Kereliuk et al. 2015): spectra, but no rhythm and no envelope.",
        f"{_NETWORKS}.magnitude_mlp:MagnitudeMlp",
        LONG_FRAMES,
        {"hidden": "hidden"},
        recipe={"learning_rate": 3e-3},
    ),
    Architecture(
        "magnitude-cnn",
        "Magnitude CNN",
        "Tall convolutions on the magnitude spectrogram (Kereliuk et al. 2015, made small).",
        f"{_NETWORKS}.magnitude_cnn:MagnitudeCnn",
        MAGNITUDE,
        {"spectra": "first", "patterns": "second", "hidden": "hidden"},
    ),
    Architecture(
        "raw-cnn",
        "Raw-waveform CNN",
        "Convolutions on the samples themselves, no spectrogram (after SampleCNN, Lee et al. 2017): needs the most data.",
        f"{_NETWORKS}.raw_cnn:RawCnn",
        WAVEFORM,
        {"block-2": "blocks.1", "block-3": "blocks.2", "hidden": "hidden"},
        recipe={"batch": 16, "learning_rate": 3e-3},
    ),
    Architecture(
        "crnn",
        "CRNN",
        "Convolutions on a mel spectrogram, then recurrent units over time (Choi et al. 2017): follows how a sound goes on.",
        f"{_NETWORKS}.crnn:Crnn",
        LOG_MEL,
        {"convolutions": "blocks", "hidden": "hidden"},
        recipe={"batch": 16},
        channels_last=True,
    ),
)


def list_architectures() -> tuple[Architecture, ...]:
    """All of them, the one to try first being the first."""
    return _ALL


def find_architecture(name: str) -> Architecture:
    """The one of that name; UsageError names the ones there are."""
    known = {architecture.name: architecture for architecture in _ALL}
    if name in known:
        return known[name]
    close = get_close_matches(str(name), known, 1, 0.5)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}."
    raise UsageError(f"There is no network {name!r}; {hint}")
