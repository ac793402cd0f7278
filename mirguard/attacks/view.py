"""How an attack sees the model: one model or several in equal parts, through a channel or as it is, and a layer to watch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from mirguard.channel.transform import Transform
from mirguard.errors import UsageError
from mirguard.models.contract import Classifier
from mirguard.models.decision import track_logits

# The transforms of one look, drawn anew for the look of that number; None is the sound as it is.
Draws = Callable[[int], Sequence[Transform | None]]


class View:
    """`models` are heard in equal parts: the mean of their probabilities (Liu et al. 2017, eq. 6 with equal α). Each is heard
    through every transform of `draws` (expectation over transformations, Athalye et al. 2018). `watch` names a layer of the
    first model whose activations the ledger hands on (a detector reads them while the attack runs). Logits come in the order
    of the labels of `like`, else of the first model."""

    def __init__(
        self,
        *models: Classifier,
        watch: str | None = None,
        draws: Draws | None = None,
        like: Classifier | None = None,
    ) -> None:
        self.models, self.watch = models, watch
        self.draws = draws or (lambda _look: (None,))
        like = like or models[0]
        self.labels, self.task = like.labels, like.task
        self._columns = [_columns(model, like) for model in models]
        self.micro_batch = min(model.micro_batch for model in models)

    def require_gradient(self) -> None:
        for model in self.models:
            if not model.differentiable:
                raise UsageError(f"{model.name} gives no gradient; choose an attack that needs none.")

    def hear(self, number: int, windows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """`(m, window)` -> logits `(m, K)` of model `number` in the view's order of labels, and the watched layer."""
        model, columns = self.models[number], self._columns[number]
        windows = windows.to(model.device)
        if self.watch is None or number:
            z, seen = model.logits(windows), None
        else:
            features, z = model.features(windows, (self.watch,))
            seen = features[self.watch].detach()
        return (z if columns is None else z[:, columns]), seen

    def in_order(self, logits: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Logits `(..., K)` of each model, all in the view's order of labels."""
        return [z if own is None else z[..., own] for z, own in zip(logits, self._columns, strict=True)]

    def together(self, z: Sequence[torch.Tensor]) -> torch.Tensor:
        """Track logits `(rows, K)` of all models in equal parts from those of each."""
        return z[0] if len(z) == 1 else track_logits(torch.stack(list(z), 1), self.task)


def _columns(model: Classifier, like: Classifier) -> list[int] | None:
    if model.labels == like.labels and model.task == like.task:
        return None
    if model.task != like.task or set(model.labels) != set(like.labels):
        raise UsageError(
            f"{model.name} and {like.name} have different labels; models that are attacked together must share theirs."
        )
    return [model.labels.index(label) for label in like.labels]
