"""A learner without gradients as a classifier: features of a window, a rule on plain arrays."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mirguard.errors import UsageError
from mirguard.models.contract import Classifier
from mirguard.models.decision import SINGLE_LABEL
from mirguard.models.learners.rules import Rule
from mirguard.models.learners.statistics import Statistics

BLIND = "It has no gradient: only attacks that need none can be used."
FEATURES = "features"


class LearnerClassifier(Classifier):
    """`source` hears (`Statistics`, or a model whose `read` layers are read side by side), `rule` decides.

    Its one layer, "features", is what the rule takes. No gradient is kept, even where the rule has one.
    """

    def __init__(
        self,
        name: str,
        source: Statistics | Classifier,
        read: Sequence[str],
        rule: Rule,
        labels: Sequence[str],
        *,
        title: str = "",
        note: str = "",
    ) -> None:
        self.name, self.title = name, title or name
        self.note = note if BLIND in note else f"{note} {BLIND}".strip()
        self.source, self.read, self.rule = source, tuple(read), rule
        self.sample_rate, self.window, self.labels, self.task = (
            source.sample_rate,
            source.window,
            tuple(labels),
            SINGLE_LABEL,
        )
        self.differentiable, self.layers = False, (FEATURES,)
        self.micro_batch, self.device = source.micro_batch, source.device
        self.check()

    @torch.no_grad()
    def represent(self, waveform: torch.Tensor) -> torch.Tensor:
        found, _ = self.source.features(waveform, self.read)
        return torch.cat([found[layer].flatten(1) for layer in self.read], 1)

    def decide(self, representation: torch.Tensor) -> torch.Tensor:
        logits = self.rule(representation.detach().float().cpu().numpy())
        return torch.from_numpy(logits).float().to(representation.device)

    def features(self, waveform: torch.Tensor, layers: Sequence[str]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        strange = [layer for layer in layers if layer not in (FEATURES, "logits")]
        if strange:
            raise UsageError(f"{self.name} has no layer {strange[0]!r}; it has {', '.join(self.layers)}.")
        heard = self.represent(waveform)
        logits = self.decide(heard)
        return {layer: heard if layer == FEATURES else logits for layer in layers}, logits
