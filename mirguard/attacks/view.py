"""How an attack sees the model: one or several in equal parts, through a channel or not, watched by detectors or evading them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from mirguard.channel.transform import Transform
from mirguard.errors import UsageError
from mirguard.models.contract import Classifier
from mirguard.models.decision import track_logits
from mirguard.models.evadable import Evadable, Probe, fold, wanted

# The transforms of one look, drawn anew for the look of that number; None is the sound as it is.
Draws = Callable[[int], Sequence[Transform | None]]


class View:
    """`models` are heard in equal parts: the mean of their probabilities (Liu et al. 2017, eq. 6 with equal α). Each is heard
    through every transform of `draws` (expectation over transformations, Athalye et al. 2018). What the probes of `watch` make of
    the first model's activations the ledger hands on (detectors read it while the attack runs); the detectors of `evade`
    count as heard rightly where they are not deceived as well. Logits come in the order of the labels of `like`, else of the
    first model."""

    def __init__(
        self,
        *models: Classifier,
        watch: Sequence[Probe] = (),
        evade: Sequence[Evadable] = (),
        draws: Draws | None = None,
        like: Classifier | None = None,
    ) -> None:
        if evade and len(models) > 1:
            raise UsageError(
                "A detector reads one model, so it can be evaded on that one alone, not on several together."
            )
        self.models, self.watch, self.evade = models, tuple(watch), tuple(evade)
        self._layers = tuple(dict.fromkeys(layer for probe in (*watch, *evade) for layer in probe.layers))
        self.draws = draws or (lambda _look: (None,))
        like = like or models[0]
        self.labels, self.task = like.labels, like.task
        self._columns = [_columns(model, like) for model in models]
        self.micro_batch = min(model.micro_batch for model in models)

    def require_gradient(self) -> None:
        for model in self.models:
            if not model.differentiable:
                raise UsageError(f"{model.name} gives no gradient; choose an attack that needs none.")

    def hear(self, number: int, windows: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """`(m, window)` -> logits `(m, K)` of model `number` in the view's order of labels, followed by the digests of the
        detectors to be evaded `(m, K + Σd)`; and what the watching probes make of the first model."""
        model, columns = self.models[number], self._columns[number]
        windows = windows.to(model.device)
        if number or not self._layers:
            z = model.logits(windows)
            return (z if columns is None else z[:, columns]), ()
        heard, z = model.activations(windows, self._layers)
        with torch.no_grad():
            seen = tuple(probe.digest(heard, z).detach() for probe in self.watch)
        digests = [detector.digest(heard, z) for detector in self.evade]
        self._widths = [digest.shape[1] for digest in digests]
        z = z if columns is None else z[:, columns]
        return (torch.cat([z, *(digest.to(z.dtype) for digest in digests)], 1) if digests else z), seen

    def said(self, heard: torch.Tensor) -> torch.Tensor:
        """Track logits `(rows, K)` as the model itself means them."""
        return track_logits(heard[..., : len(self.labels)], self.task)

    def track_logits(
        self, heard: torch.Tensor, labels: torch.Tensor, targets: torch.Tensor | None, sharpness: float
    ) -> torch.Tensor:
        """Track logits `(rows, K)` from what was heard of all windows `(rows, windows, K + Σd)`; where detectors are to be evaded,
        folded (see `fold`)."""
        z = self.said(heard)
        if not self.evade:
            return z
        digests = heard[..., len(self.labels) :].split(self._widths, 2)
        classes = wanted(z.detach(), labels, targets)
        for detector, digest in zip(self.evade, digests, strict=True):
            z = fold(z, detector.suspicion(digest, classes), labels, classes, sharpness)
        return z

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
