"""A clip as a model hears it: down-mixed, resampled, cut into windows; and what the model decides about it."""

from __future__ import annotations

from collections.abc import Callable

import torch

from mirguard.channel.resample import Resampler
from mirguard.clip import Clip
from mirguard.models.contract import Classifier
from mirguard.models.decision import Decision, decide


def mono_of(clip: Clip) -> torch.Tensor:
    """The clip's down-mix `(frames,)`."""
    return torch.from_numpy(clip.mono().copy() if clip.channels == 1 else clip.mono())


class Track:
    """The windows of one clip for one model (hop = window).

    A last partial window of at least half a window is zero-padded and counted, less is dropped unless it is the only one.
    All indices in `piece` are of windows; samples are read at clip rate, so memory does not grow with the number of windows.
    """

    def __init__(self, clip: Clip, model: Classifier, mono: torch.Tensor | None = None) -> None:
        """`mono` is the clip's down-mix, where somebody holds it already."""
        self.mono = mono_of(clip) if mono is None else mono
        self.frames, self.window = clip.frames, model.window
        self.resampler = Resampler(clip.sample_rate, model.sample_rate)
        self.heard = self.resampler.length(clip.frames)  # samples at the model's rate
        full, rest = divmod(self.heard, model.window)
        self.windows = max(1, full + (2 * rest >= model.window))
        self.device = model.device

    def span(self, first: int, last: int) -> tuple[int, int]:
        """The clip's samples `[a, b)` that windows `[first, last)` are made of, within the clip."""
        a, b = self.resampler.span(first * self.window, min(last * self.window, self.heard))
        return max(a, 0), min(b, self.frames)

    def cut(self, signal: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """Windows `(last - first, window)` at the model's rate from `signal`, the mono samples at `span(first, last)`.

        Differentiable with respect to `signal`."""
        start, stop = first * self.window, min(last * self.window, self.heard)
        a, b = self.resampler.span(start, stop)
        inside = self.span(first, last)
        signal = torch.nn.functional.pad(signal.to(self.device), (inside[0] - a, b - inside[1]))
        heard = self.resampler(signal, start, stop)
        return torch.nn.functional.pad(heard, (0, last * self.window - stop)).view(last - first, self.window)

    def piece(self, first: int, last: int) -> torch.Tensor:
        """Windows `[first, last)` of the clip itself."""
        a, b = self.span(first, last)
        return self.cut(self.mono[a:b], first, last)


def window_logits(model: Classifier, clip: Clip, rest: Callable[[], None] | None = None) -> torch.Tensor:
    """Logits `(windows, K)` of every window of the clip; `rest` is called between micro-batches."""
    track, parts = Track(clip, model), []
    for first in range(0, track.windows, model.micro_batch):
        if rest:
            rest()  # outside of inference mode: whoever is served may need gradients
        with torch.inference_mode():
            parts.append(model.logits(track.piece(first, min(first + model.micro_batch, track.windows))).cpu())
    return torch.cat(parts)


def heard_as(model: Classifier, x: torch.Tensor, rest: Callable[[], None] | None = None) -> torch.Tensor:
    """The class `(m,)` that the model hears each window `x (m, window)` as; `rest` is called between micro-batches."""
    classes = []
    for part in x.split(model.micro_batch):
        if rest:
            rest()  # with gradients on: whoever is served may need them
        with torch.no_grad():
            classes.append(model.logits(part.to(model.device)).argmax(1).to(x.device))
    return torch.cat(classes)


def classify(model: Classifier, clip: Clip, rest: Callable[[], None] | None = None) -> Decision:
    """What the model says of the whole clip."""
    return decide(window_logits(model, clip, rest), model.labels, model.task)
