"""How a model answers along a perturbation: its logits on a line through the clip, and its margin on a plane.

Goodfellow, Shlens & Szegedy 2015, fig. 4: along an adversarial direction the logits are all but linear in ε, and the wrong label
holds for every ε beyond a small one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from mirguard.attacks.losses import margin
from mirguard.clip import Clip
from mirguard.experiment.insight.saliency import gradient
from mirguard.models.contract import Classifier
from mirguard.models.decision import probabilities, track_logits
from mirguard.models.tracks import Track

RANDOM, GRADIENT = DIRECTIONS = ("random", "gradient")
Rest = Callable[[], None]


@dataclass(frozen=True, eq=False)
class Response:
    """Track logits, mean logits of the windows (which move in lines where a track's need not) and probabilities `(places, K)` of
    x + s·δ at the rising `scales` s. `rms` is δ's, of full scale."""

    labels: tuple[str, ...]
    scales: np.ndarray
    logits: np.ndarray
    mean_logits: np.ndarray
    probabilities: np.ndarray
    rms: float
    complete: bool = True

    def boundaries(self) -> list[tuple[float, str, str]]:
        """Where the top label changes: the scale, the label below it and the one above."""
        top, found = self.logits.argmax(1), []
        for place in np.flatnonzero(top[1:] != top[:-1]):
            below, above = top[place], top[place + 1]
            lead = self.logits[place : place + 2, below] - self.logits[place : place + 2, above]
            share = lead[0] / (lead[0] - lead[1]) if lead[0] != lead[1] else 0.5
            at = self.scales[place] + share * (self.scales[place + 1] - self.scales[place])
            found.append((float(at), self.labels[below], self.labels[above]))
        return found


@dataclass(frozen=True, eq=False)
class Surface:
    """The margin at x + s·δ + t·e `(t, s)` for the rising `scales` of both; e has δ's RMS and is orthogonal to it. Above 0 the
    model is fooled; nan where it has not been asked yet."""

    scales: np.ndarray
    margins: np.ndarray
    rms: float
    across: str

    @property
    def fraction(self) -> float:
        """How much of it is known."""
        return float(np.isfinite(self.margins).mean())


def respond(
    model: Classifier,
    clip: Clip,
    delta: np.ndarray,
    reach: float = 2.0,
    count: int = 65,
    rest: Rest | None = None,
    progress: Callable[[Response], None] | None = None,
) -> Response:
    """The response from −reach·δ to +reach·δ, coarse at first and then finer; sound beyond full scale is not clipped."""
    scales = np.linspace(-reach, reach, count)
    z, mean = (torch.full((count, len(model.labels)), torch.nan) for _ in range(2))
    for places in refinements(count):
        heard = window_logits_at(model, clip, delta[None], scales[places, None], rest)
        z[places], mean[places] = track_logits(heard, model.task), heard.mean(1)
        known = np.isfinite(z[:, 0].numpy())
        shares = probabilities(z[known], model.task)
        tables = (table.numpy() for table in (z[known], mean[known], shares))
        found = Response(tuple(model.labels), scales[known], *tables, rms_of(delta), bool(known.all()))
        if progress is not None and not found.complete:
            progress(found)
    return found


def surface(
    model: Classifier,
    clip: Clip,
    delta: np.ndarray,
    label: str,
    target: str | None = None,
    across: str = RANDOM,
    reach: float = 2.0,
    count: int = 25,
    seed: int = 0,
    rest: Rest | None = None,
    progress: Callable[[Surface], None] | None = None,
) -> Surface:
    """The margin over δ and a second direction: a random one, or the margin's own gradient at the clip."""
    own = torch.tensor([model.index(label)])
    wanted = None if target is None else torch.tensor([model.index(target)])
    if across == GRADIENT:
        second = gradient(model, clip, lambda z, _rows: margin(z, own, wanted), rest)
    else:
        second = np.random.default_rng(seed).standard_normal(clip.frames).astype(np.float32)
    plane = np.stack([delta, orthogonal(second, delta)])
    scales = np.linspace(-reach, reach, count)
    margins = np.full((count, count), np.nan, np.float32)
    for places in refinements(count, count):
        t, s = np.unravel_index(places, margins.shape)
        z = track_logits(window_logits_at(model, clip, plane, np.stack([scales[s], scales[t]], 1), rest), model.task)
        rows = len(z)
        margins[t, s] = margin(z, own.expand(rows), None if wanted is None else wanted.expand(rows)).numpy()
        if progress is not None:
            progress(Surface(scales, margins.copy(), rms_of(delta), across))
    return Surface(scales, margins, rms_of(delta), across)


def window_logits_at(
    model: Classifier, clip: Clip, directions: np.ndarray, coefficients: np.ndarray, rest: Rest | None = None
) -> torch.Tensor:
    """Logits `(m, windows, K)` at x + Σ_d coefficients[·, d]·directions[d], for `directions (D, frames)`.

    Down-mix and resampling are linear: the windows of the sums are sums of windows, which are cut once."""
    track = Track(clip, model)
    moves = torch.from_numpy(np.array(directions, np.float32))
    amounts = torch.from_numpy(np.array(coefficients, np.float32)).to(model.device)
    step = max(1, model.micro_batch)
    heard = torch.empty(len(amounts), track.windows, len(model.labels))
    for window in range(track.windows):
        a, b = track.span(window, window + 1)
        here = track.piece(window, window + 1)
        away = torch.cat([track.cut(move[a:b], window, window + 1) for move in moves])
        for first in range(0, len(amounts), step):
            if rest:
                rest()  # outside of inference mode: whoever is served may need gradients
            chunk = slice(first, first + step)
            with torch.inference_mode():
                heard[chunk, window] = model.logits(here + amounts[chunk] @ away).float().cpu()
    return heard


def orthogonal(second: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """What of `second` is orthogonal to δ, with δ's RMS."""
    own, other = delta.astype(np.float64), second.astype(np.float64)
    other -= own * (own @ other) / max(own @ own, 1e-300)
    return (other * rms_of(own) / max(rms_of(other), 1e-300)).astype(np.float32)


def rms_of(delta: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(delta, dtype=np.float64))))


def refinements(*shape: int) -> Iterator[np.ndarray]:
    """Every place of a grid once, as flat indices: those of a coarse grid first, then what each halving of its spacing adds."""
    grids = np.meshgrid(*(np.arange(count) for count in shape), indexing="ij")
    spacing = 2 ** np.minimum.reduce([_twos(grid) for grid in grids]).ravel()
    for step in sorted(set(spacing.tolist()), reverse=True):
        yield np.flatnonzero(spacing == step)


COARSEST = 3  # halvings


def _twos(numbers: np.ndarray) -> np.ndarray:
    """How often each number can be halved, at the most `COARSEST` times."""
    return sum(((numbers % 2**power == 0).astype(int) for power in range(1, COARSEST + 1)), np.zeros_like(numbers))
