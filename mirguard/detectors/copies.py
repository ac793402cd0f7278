"""Copies of a network that each lack some units: dropout with masks that are drawn once.

A network that is frozen has no dropout left. Here it is put back from outside, at the output of the last hidden layer and at the
network's own dropout modules where it was trained with any. Pass t always lacks the same units, for all windows and frames, so
that T passes are T fixed networks: scores are the same each time, and an attacker can work on all of them together (Carlini &
Wagner 2017, section on Bayesian uncertainty).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from mirguard.errors import UsageError
from mirguard.models.contract import LOGITS, REPRESENTATION, Classifier, TorchClassifier

ROWS = 128  # windows that go through a whole network at a time
LATE_ROWS = 4096  # where only the end of the network is gone through more than once
WIDEST = 8192  # units of a layer that is tried for being followed by a linear one
OWN = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class Copies:
    """`passes` copies of a model, in each of which units of the last hidden layer are missing with probability `rate`, and those of
    its own dropout modules with theirs. What is left is made louder by 1/(1 − rate) (Srivastava et al. 2014, inverted).

    `layers` are the layers that must be heard. Three ways lead to the same logits, the quickest that the model allows is taken:
    by the weights of the output where it is a linear function of the last hidden layer; else by the part of the network behind
    the first place, with all copies as one batch; else by the whole network, once for each copy. UsageError where there is
    nothing that can be dropped."""

    def __init__(self, model: Classifier, rate: float, passes: int, seed: int) -> None:
        self.model, self.passes, self._seed = model, passes, seed
        self._masks: dict[tuple, torch.Tensor] = {}
        own = _own(model)
        last = model.layers[-1]
        self._rates = {place: module.p for place, module in own.items()}
        self._whole_channels = {place for place, module in own.items() if not isinstance(module, nn.Dropout)}
        generator = torch.Generator().manual_seed(0)
        waveform = (0.1 * torch.randn(2, model.window, generator=generator)).clamp(-1.0, 1.0).to(model.device)
        self._weight: torch.Tensor | None = None
        with torch.no_grad():
            heard, _logits = model.activations(waveform, (REPRESENTATION,))
            representation = heard[REPRESENTATION]
            if last != LOGITS and _reached(model, representation, last):
                self._rates[last] = rate
            if not self._rates:
                raise UsageError(
                    f"{model.name} has neither a last hidden layer that can be changed nor dropout of its own, so nothing can be "
                    "dropped; choose another detector."
                )
            if tuple(self._rates) == (last,):
                self._weight, self._bias = _linear(model, representation[:1], last)
            self._late = self._weight is None and self._is_late(representation)
        self.layers = (REPRESENTATION,) if self._weight is None else (last,)

    def __call__(self, heard: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Logits `(passes, m, K)` from what was heard of m windows."""
        given = heard[self.layers[0]]
        if self._weight is not None:
            dropped = given * self._mask(self.layers[0], given)[:, None]
            return dropped @ self._weight + self._bias
        return self._through(given, self._late)

    def _through(self, representation: torch.Tensor, late: bool) -> torch.Tensor:
        m = len(representation)
        at_once = max(1, (LATE_ROWS if late else ROWS) // m)
        parts = []
        for first in range(0, self.passes, at_once):
            chosen = slice(first, min(first + at_once, self.passes))
            count = chosen.stop - first
            start = representation if late else torch.cat([representation] * count)
            z = self.model.decide_with(start, self._changes(chosen, repeat=count if late else 1))
            parts.append(z.unflatten(0, (count, m)))
        return torch.cat(parts)

    def _changes(self, chosen: slice, repeat: int):
        """What each place is changed by: the first that is met makes `repeat` batches of the one it gets."""
        met: list[str] = []

        def change(place: str):
            def drop(out: torch.Tensor) -> torch.Tensor:
                if not met:
                    out = torch.cat([out] * repeat)
                met.append(place)
                mask = self._mask(place, out)[chosen]
                return (out.unflatten(0, (len(mask), -1)) * mask[:, None]).flatten(0, 1)

            return drop

        return {place: change(place) for place in self._rates}

    def _mask(self, place: str, out: torch.Tensor) -> torch.Tensor:
        """Factors `(passes, ...)` for the output `(rows, ...)` of a place, drawn from the seed and the place's number alone."""
        shape = tuple(out.shape[1:])
        if place in self._whole_channels:
            shape = (shape[0], *(1 for _ in shape[1:]))
        key = (place, shape, out.device)
        if key not in self._masks:
            left = 1.0 - self._rates[place]
            generator = torch.Generator().manual_seed(1000 * self._seed + list(self._rates).index(place))
            drawn = torch.rand((self.passes, *shape), generator=generator)
            self._masks[key] = ((drawn < left).float() / left).to(out.device)
        return self._masks[key]

    def _is_late(self, representation: torch.Tensor) -> bool:
        """Whether the copies may become one batch at the first place, as when no way leads around it."""
        try:
            late = self._through(representation, True)
        except (RuntimeError, ValueError, IndexError):
            return False
        early = self._through(representation, False)
        return late.shape == early.shape and torch.allclose(late, early, rtol=1e-3, atol=1e-4)


def _own(model: Classifier) -> dict[str, nn.Module]:
    """The dropout modules that the network was trained with, by path."""
    if not isinstance(model, TorchClassifier):
        return {}
    return {
        place: module
        for place, module in model.network.named_modules()
        if isinstance(module, OWN) and 0.0 < module.p < 1.0
    }


def _reached(model: Classifier, representation: torch.Tensor, layer: str) -> bool:
    """Whether the logits change where the layer is set to zero. There are layers that can be read, and nothing more."""
    before = model.decide(representation)
    return not torch.equal(before, model.decide_with(representation, {layer: torch.zeros_like}))


def _linear(
    model: Classifier, representation: torch.Tensor, layer: str
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """W `(d, K)` and b `(K,)` where the logits are hW + b of the layer h `(m, d)`; otherwise nothing."""
    hidden: list[torch.Tensor] = []
    model.decide_with(representation, {layer: lambda out: hidden.append(out) or out})
    if hidden[-1].ndim != 2 or hidden[-1].shape[1] > WIDEST:
        return None, None
    h = hidden[-1]
    generator = torch.Generator().manual_seed(1)
    trials = h + (h.abs().mean() + 1.0) * torch.randn((64, h.shape[1]), generator=generator).to(h)
    trials[::2] = trials[::2].relu()
    rows = torch.cat([torch.zeros_like(h), torch.eye(h.shape[1]).to(h), trials])
    try:
        z = model.decide_with(representation, {layer: lambda _out: rows})
    except (RuntimeError, ValueError, IndexError):
        return None, None
    if z.shape[:1] != rows.shape[:1] or z.ndim != 2:
        return None, None
    bias, weight = z[0], z[1 : 1 + h.shape[1]] - z[0]
    found, wanted = trials @ weight + bias, z[1 + h.shape[1] :]
    same = torch.allclose(found, wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().mean()))
    return (weight, bias) if same else (None, None)
