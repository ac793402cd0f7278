"""Attacks that ask the model for its decision only: down along the boundary from something far away that fools.

All rows go through the same stages with the same number of queries each, so that no row's queries depend on another's.
They walk outside the ε-ball too; only what lies inside it counts in the end.
"""

from __future__ import annotations

import math
from itertools import count

import torch

from mirguard.attacks.budget import LINF
from mirguard.attacks.directions import FULL, directions
from mirguard.attacks.norms import NORMS
from mirguard.attacks.oracle import Oracle
from mirguard.attacks.problem import Problem
from mirguard.channel.resample import Resampler
from mirguard.clip import load_clip
from mirguard.errors import UsageError
from mirguard.models.tracks import mono_of

_RMS = NORMS["l2"].size
STARTS = 30  # draws of noise to start from
BISECTIONS = 7  # to 1 % of ‖δ‖
HALVINGS = 4


def boundary(oracle: Oracle, *, start: str | None, orthogonal_step: float, inward_step: float, subspace: str) -> None:
    """A random walk along the boundary (Brendel, Rauber & Bethge 2018, §2): orthogonally on the sphere around the sound, then
    inwards. Both steps are relative to ‖δ‖ and adapt: the first so that half of the sideways steps stay adversarial, the
    second so that a quarter of all steps does."""
    oracle.minimise()
    problem = oracle.problem
    delta = _start(oracle, start, subspace)
    sideways = torch.full((problem.rows, 1), orthogonal_step, device=problem.device)
    inward = torch.full((problem.rows, 1), inward_step, device=problem.device)
    for step in count():
        size = _RMS(delta)[:, None]
        eta = directions(problem, subspace, delta)
        eta -= (eta * delta).mean(1, keepdim=True) / size.square().clamp_min(1e-30) * delta
        side = delta + sideways * size * eta
        side *= size / _RMS(side)[:, None].clamp_min(1e-30)
        if step % 5 == 0:
            sideways *= torch.where(oracle.fooled(problem.confine(side.clone())), 1.5, 1 / 1.5)[:, None]
        candidate = problem.confine((1.0 - inward.clamp_max(0.5)) * side)
        fooled = oracle.fooled(candidate)[:, None]
        delta = torch.where(fooled, candidate, delta)
        inward *= torch.where(fooled, 1.3, 1.3 ** (-1 / 3))


def hopskipjump(oracle: Oracle, *, start: str | None, samples: int, radius: float, subspace: str) -> None:
    """Bisect to the boundary, estimate its normal there from decisions, step along it (Chen, Jordan & Wainwright 2020, alg. 2).

    The t-th estimate has `samples`·√t directions (eq. 15) of length `radius`·RMS(δ), its mean taken off (eq. 16). The authors'
    radius and tolerance, ‖δ‖/d and ‖δ‖/d^1.5, drown in the rounding of 16-bit or float32 samples when d is a window of sound.
    The step starts at ‖δ‖/√t and is halved until it fools."""
    oracle.minimise()
    problem, size = oracle.problem, oracle.problem.norm.size
    delta = _start(oracle, start, subspace)
    for t in count(1):
        delta = _onto_boundary(oracle, delta)
        length = radius * _RMS(delta)[:, None].clamp_min(1e-12)
        weighted, summed = problem.zeros(), problem.zeros()
        balance = torch.zeros_like(length)
        draws = math.ceil(samples * math.sqrt(t))
        for _ in range(draws):
            candidate = problem.confine(delta + length * directions(problem, subspace, delta))
            phi = 2.0 * oracle.fooled(candidate).float()[:, None] - 1.0
            u = (candidate - delta) / length
            weighted += phi * u
            summed += u
            balance += phi
        normal = problem.steepest(weighted - balance / draws * summed)
        step = size(delta)[:, None] / math.sqrt(t)
        further, reached = delta, torch.zeros_like(step, dtype=torch.bool)
        for _ in range(HALVINGS):
            candidate = problem.confine(delta + step * normal)
            fooled = oracle.fooled(candidate)[:, None]
            further = torch.where(fooled & ~reached, candidate, further)
            reached = reached | fooled
            step = step / 2.0
        delta = further


def _onto_boundary(oracle: Oracle, delta: torch.Tensor) -> torch.Tensor:
    """The smallest that still fools between δ and nothing, by bisection: δ scaled (L2) or clipped (L∞; Chen et al., §III.B)."""
    problem = oracle.problem
    size = problem.norm.size(delta)[:, None]
    low, high = torch.zeros_like(size), torch.ones_like(size)

    def shrunk(share: torch.Tensor) -> torch.Tensor:
        if problem.norm.name == LINF:
            return problem.confine(torch.clamp(delta, -share * size, share * size))
        return share * delta

    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        fooled = oracle.fooled(shrunk(middle))[:, None]
        low, high = torch.where(fooled, low, middle), torch.where(fooled, middle, high)
    return shrunk(high)


def _start(oracle: Oracle, start: str | None, subspace: str) -> torch.Tensor:
    """δ of each row that fools: to the sound in the file `start`, else noise of growing size until the model is fooled, then
    smaller again as long as it is. Rows that need no δ, or for which none is found, are finished."""
    problem = oracle.problem
    if start is None and problem.targets is not None:
        raise UsageError(
            "To reach a target by decisions alone, the attack needs a sound that the model hears as the target; name a file "
            "with one (--start)."
        )
    found = oracle.fooled(problem.zeros()).clone()
    oracle.finish(found)
    if start is not None:
        delta = problem.confine(_sound(start, problem) - problem.sound)
        found |= oracle.fooled(delta)
        if not bool(found.any()):
            wanted = "as another label" if problem.targets is None else "as the target"
            raise UsageError(
                f"{start} is not heard {wanted} where it may stand in for the sound; start from another file."
            )
    else:
        delta = problem.zeros()
        size = 0.05 * problem.sound.square().mean(1, keepdim=True).sqrt().clamp_min(1e-3)
        for draw in range(STARTS):
            u = directions(problem, FULL if draw % 2 else subspace, problem.zeros())
            candidate = problem.confine(size * u)
            fooled = oracle.fooled(candidate)
            delta = torch.where(fooled[:, None], candidate, delta)
            found |= fooled
            size *= torch.where(fooled, 0.7, torch.where(found, 1.0, 1.5))[:, None]
    oracle.finish(~found)
    return delta


def _sound(path: str, problem: Problem) -> torch.Tensor:
    """The file's down-mix at the problem's rate and length `(1, n)`, repeated where it is shorter."""
    clip = load_clip(path)
    resampler = Resampler(clip.sample_rate, problem.sample_rate)
    frames = resampler.length(clip.frames)
    a, b = resampler.span(0, frames)
    heard = resampler(torch.nn.functional.pad(mono_of(clip), (-a, b - clip.frames)), 0, frames)
    return heard.repeat(-(-problem.size // frames))[None, : problem.size].to(problem.device)
