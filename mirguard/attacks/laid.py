"""A universal perturbation on a clip: looped, at the clip's rate, at the size asked for."""

from __future__ import annotations

import torch

from mirguard.attacks.oracle import Oracle
from mirguard.attacks.universal_file import load_universal
from mirguard.channel.resample import Resampler

PIECE = 1 << 20  # samples resampled at a time, so that an hour needs little memory


def loop(v: torch.Tensor, sample_rate: int, frames: int, rate: int, offset: float = 0.0) -> torch.Tensor:
    """`v (n,)` at `sample_rate` Hz repeated for `frames` samples at `rate` Hz, from `offset` seconds within it on.

    v counts as periodic, so that the seams of the loop are resampled like any other place; its ends are silent (`Shared`)."""
    resampler = Resampler(sample_rate, rate)
    begin = round(offset * sample_rate)
    pieces = []
    for start in range(0, frames, PIECE):
        stop = min(start + PIECE, frames)
        a, b = resampler.span(start, stop)
        pieces.append(resampler(v[(torch.arange(a, b) + begin) % len(v)], start, stop))
    return torch.cat(pieces)


def universal(oracle: Oracle, *, perturbation: str, offset: float) -> None:
    """δ = ε·v/‖v‖, v a saved universal perturbation, looped over the sound (Moosavi-Dezfooli et al. 2017; Abdoli et al. 2019). No
    question is asked but the one whether it fools."""
    problem = oracle.problem
    saved = load_universal(perturbation)
    v = loop(torch.from_numpy(saved.v), saved.sample_rate, problem.size, problem.sample_rate, offset)
    delta = problem.direction(v.to(problem.device).repeat(problem.rows, 1))
    delta = delta / problem.norm.size(delta).clamp_min(1e-12)[:, None]
    oracle.logits(problem.project(problem.epsilon[:, None] * delta))
