"""A model with one thing changed: its logits divided, its randomness fixed or averaged away."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mirguard.models.contract import Classifier


class Altered(Classifier):
    """Stands for `base` in all but what a subclass changes."""

    def __init__(self, base: Classifier, how: str) -> None:
        self.base = base
        for name in (
            "sample_rate",
            "window",
            "labels",
            "task",
            "differentiable",
            "layers",
            "micro_batch",
            "graph_windows",
        ):
            setattr(self, name, getattr(base, name))
        self.name, self.title, self.device = f"{base.name}, {how}", f"{base.title}, {how}", base.device
        self.hash = f"{base.hash} {how}"

    def represent(self, waveform: torch.Tensor) -> torch.Tensor:
        return self.base.represent(waveform)

    def decide(self, representation: torch.Tensor) -> torch.Tensor:
        return self.base.decide(representation)

    def logits(self, waveform: torch.Tensor) -> torch.Tensor:
        return self.base.logits(waveform)

    def features(self, waveform: torch.Tensor, layers: Sequence[str]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        return self.base.features(waveform, layers)


class Scaled(Altered):
    """All logits times a factor: the same labels; 1/T is the softmax at the temperature T (Hinton et al. 2015)."""

    def __init__(self, base: Classifier, factor: float) -> None:
        super().__init__(base, f"logits × {factor:g}")
        self.factor = factor

    def logits(self, waveform: torch.Tensor) -> torch.Tensor:
        return self.factor * super().logits(waveform)

    def decide(self, representation: torch.Tensor) -> torch.Tensor:
        return self.factor * super().decide(representation)


class FixedSeed(Altered):
    """Every pass with torch's generator set to the same seed, so that what is random in it is the same each time."""

    def __init__(self, base: Classifier, seed: int) -> None:
        super().__init__(base, f"seed {seed}")
        self.seed = seed

    def logits(self, waveform: torch.Tensor) -> torch.Tensor:
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            return super().logits(waveform)


class Averaged(Altered):
    """The mean of the logits of several passes: expectation over a model's own randomness (EOT, Athalye et al. 2018)."""

    def __init__(self, base: Classifier, draws: int) -> None:
        super().__init__(base, f"mean of {draws} passes")
        self.draws = draws

    def logits(self, waveform: torch.Tensor) -> torch.Tensor:
        return torch.stack([super(Averaged, self).logits(waveform) for _ in range(self.draws)]).mean(0)
