"""Small models whose answers are known: linear ones with closed-form distances, and one with real non-linearity."""

from __future__ import annotations

import math

import torch
from torch import nn

from mirguard.models.contract import TorchClassifier

WINDOW = 400


class Linear(nn.Module):
    """z = Wx + b + shift on the waveform."""

    def __init__(self, classes: int, window: int, seed: int, shift: float = 0.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.layer = nn.Linear(window, classes)
        self.layer.weight.data = torch.randn(classes, window, generator=generator) / window**0.5
        self.layer.bias.data = 0.1 * torch.randn(classes, generator=generator) + shift

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


def sounds(rows: int, window: int, seed: int = 0, level: float = 0.1) -> torch.Tensor:
    """Tones of random pitch in noise: rows that models tell apart."""
    generator = torch.Generator().manual_seed(seed)
    pitch = 10 ** (-2.5 + 2 * torch.rand(rows, 1, generator=generator))
    noise = torch.randn(rows, window, generator=generator).clamp(-5, 5)
    return level * (torch.sin(2 * math.pi * pitch * torch.arange(window)) + 0.3 * noise)


class Curved(nn.Module):
    """A convolution, an energy pooling and a hidden layer: enough curvature for attacks to differ.

    Energies and logits are centred on some sounds, so that all classes are met with."""

    def __init__(self, classes: int, window: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.filters = nn.Conv1d(1, 12, 32, 8)
            self.norm = nn.BatchNorm1d(12, momentum=1.0)
            self.hidden = nn.Linear(12, 16)
            self.out = nn.Linear(16, classes)
        with torch.no_grad():
            z = self(sounds(64, window, 1000 + seed))
            self.out.bias -= z.mean(0) / 4.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        energy = self.filters(x[:, None]).square().mean(-1)
        return 4.0 * self.out(torch.tanh(self.hidden(self.norm(torch.log(energy + 1e-6)))))


def linear(
    classes: int = 4, seed: int = 0, window: int = WINDOW, task: str = "single-label", shift: float = 0.0, **more
):
    return _wrapped(Linear(classes, window, seed, shift), classes, window, task, {"logits": "layer"}, **more)


def curved(classes: int = 4, seed: int = 0, window: int = 1600, task: str = "single-label", **more):
    return _wrapped(Curved(classes, window, seed), classes, window, task, {"hidden": "hidden"}, **more)


def _wrapped(
    network: nn.Module, classes: int, window: int, task: str, taps: dict[str, str], sample_rate: int = 16_000, **more
):
    labels = [f"class {k}" for k in range(classes)]
    return TorchClassifier(
        "test",
        nn.Identity(),
        network,
        sample_rate=sample_rate,
        window=window,
        labels=labels,
        task=task,
        taps=taps,
        **more,
    )
