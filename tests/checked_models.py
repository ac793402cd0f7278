"""Models that a check should suspect, or should not, and sounds to check them with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from nets import curved, sounds
from torch import nn

from mirguard.checks.altered import Altered
from mirguard.checks.record import Record
from mirguard.checks.sounds import Sounds, gather
from mirguard.clip import Clip
from mirguard.models.contract import Classifier, TorchClassifier

SNR = 20.0


def clips(rows: int, model: Classifier, seed: int = 0) -> list[Clip]:
    """One window each."""
    return [
        Clip(row[None].numpy(), model.sample_rate, provenance={"name": f"sound {number}"})
        for number, row in enumerate(sounds(rows, model.window, seed))
    ]


def record(model: Classifier | None = None, rows: int = 32, snr: float = SNR, **options) -> Record:
    model = model or curved()
    return Record(model, gather(model, clips(rows, model), rows, 0), snr, **options)


def given(model: Classifier, x: torch.Tensor, labels: Sequence[int] | None = None) -> Sounds:
    """Windows as they are; without labels, what the model hears is right."""
    with torch.no_grad():
        classes = model.logits(x).argmax(1) if labels is None else torch.tensor(labels)
    return Sounds(x, classes, (), (), tuple((row, 0) for row in range(len(x))), (), "given")


class Noisy(nn.Module):
    """Another answer at each pass: dropout of the waveform, left on, or noise that no seed of torch's holds still."""

    def __init__(self, network: nn.Module, spread: float = 0.0, free: bool = False) -> None:
        super().__init__()
        self.network, self.spread, self.free = network, spread, free
        self.own = torch.Generator().manual_seed(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.network(x)
        generator = self.own if self.free else None
        return z + self.spread * torch.randn(z.shape, generator=generator)


def changed(network: nn.Module, like: Classifier | None = None) -> TorchClassifier:
    like = like or curved()
    return TorchClassifier(
        "changed", nn.Identity(), network, sample_rate=like.sample_rate, window=like.window, labels=like.labels
    )


class BlackBox(Altered):
    """The same answers without a gradient."""

    def __init__(self, base: Classifier) -> None:
        super().__init__(base, "black box")
        self.differentiable = False

    def logits(self, waveform: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return self.base.logits(waveform)


def distilled(temperature: float = 100.0, steps: int = 150) -> tuple[TorchClassifier, torch.Tensor]:
    """A tiny network trained as Papernot et al. 2016 do: a teacher at the temperature T, a student on its soft labels at T, used at
    1; and sounds of its three classes (low, middle and high tones in noise)."""
    window, rows = 400, 96
    with torch.random.fork_rng():
        torch.manual_seed(0)
        own = torch.arange(rows) % 3
        pitch = torch.tensor([0.02, 0.07, 0.2])[own][:, None] * (1 + 0.2 * torch.rand(rows, 1))
        time = torch.arange(window)
        x = 0.2 * torch.sin(2 * torch.pi * (pitch * time + torch.rand(rows, 1))) + 0.02 * torch.randn(rows, window)

        def network() -> nn.Module:
            return nn.Sequential(
                nn.Unflatten(1, (1, window)), nn.Conv1d(1, 16, 32, 4), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
                nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 3),
            )  # fmt: skip

        def fit(one: nn.Module, goal: torch.Tensor) -> nn.Module:
            optimiser = torch.optim.Adam(one.parameters(), 0.02)
            for _ in range(steps):
                optimiser.zero_grad()
                nn.functional.cross_entropy(one(x) / temperature, goal).backward()
                optimiser.step()
            return one

        teacher = fit(network(), own)
        with torch.no_grad():
            soft = (teacher(x) / temperature).softmax(1)
        student = fit(network(), soft)
    model = TorchClassifier(
        "distilled", nn.Identity(), student, sample_rate=8_000, window=window, labels=("low", "middle", "high")
    )
    with torch.no_grad():
        assert bool((model.logits(x).argmax(1) == own).float().mean() > 0.9)
    return model, x
