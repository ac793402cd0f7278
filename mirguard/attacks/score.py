"""Attacks that ask the model for its scores only, inside a fixed budget."""

from __future__ import annotations

from itertools import count

import torch

from mirguard.attacks.budget import L2, LINF
from mirguard.attacks.directions import FULL, OWN_PHASE, Tiles, directions
from mirguard.attacks.losses import LOSSES
from mirguard.attacks.norms import NORMS
from mirguard.attacks.oracle import Oracle
from mirguard.attacks.problem import Problem

EUCLIDEAN = NORMS[L2]
UNLIMITED = 10_000  # queries that schedules are made for where there is no limit


def nes(
    oracle: Oracle, *, step_size: float, samples: int, sigma: float, momentum: float, loss: str, subspace: str
) -> None:
    """g = Σ J(δ + σu)·u / (σN) over antithetic Gaussian pairs ±u (Ilyas et al. 2018, alg. 1), then δ ← Π_ε(δ − α·s(m)) with the
    momentum m of their implementation, from white noise of full size. σ is relative to ε; the probes stay in the ball too, so u
    is what is left of it there. α falls to 0 as the queries are spent; they divide it where the loss stands still."""
    problem, ledger = oracle.problem, oracle.ledger
    limit = ledger.max_queries or UNLIMITED
    alpha = step_size * problem.scale[:, None]
    delta, m = problem.noise(), problem.zeros()
    _loss(oracle, delta, loss)
    for spent in count(1, max(1, samples // 2) * 2):
        g = estimate(oracle, delta, samples, sigma, loss, subspace)
        m = momentum * m + (1.0 - momentum) * EUCLIDEAN.steepest(g)
        delta = problem.project(delta - max(0.0, 1.0 - spent / limit) * alpha * problem.steepest(m))


def estimate(oracle: Oracle, delta: torch.Tensor, samples: int, sigma: float, loss: str, subspace: str) -> torch.Tensor:
    """∂J/∂δ `(rows, n)` but for its length, from `samples` questions; no more than one pair of them is held."""
    problem = oracle.problem
    g = problem.zeros()
    for _ in range(max(1, samples // 2)):
        u = sigma * problem.epsilon[:, None] * directions(problem, subspace, delta)
        ahead, behind = problem.project(delta + u), problem.project(delta - u)
        rise = _loss(oracle, ahead, loss) - _loss(oracle, behind, loss)
        g += rise[:, None] * (ahead - behind)
    return g


def square(oracle: Oracle, *, share: float, subspace: str) -> None:
    """Random search (Andriushchenko et al. 2020, alg. 1): change one piece of δ, keep it if the margin falls.

    The pieces take the share p of the sound that falls with the queries by their schedule, and every candidate is of full size
    ε (L∞: every sample lies on ±ε, as theirs do). White noise is asked about first."""
    problem = oracle.problem
    limit = oracle.ledger.max_queries or UNLIMITED
    _loss(oracle, _full(problem, problem.noise()), "margin")
    pieces = _Rectangles(problem) if subspace == OWN_PHASE else _Segments(problem, subspace)
    state = pieces.start()
    best = _loss(oracle, _full(problem, pieces.delta(state)), "margin")
    for query in count(2):
        changed = pieces.change(state, _share(share, query / limit))
        found = _loss(oracle, _full(problem, pieces.delta(changed)), "margin")
        better = found < best
        best = torch.where(better, found, best)
        state = torch.where(better.view(-1, *[1] * (state.dim() - 1)), changed, state)


class _Rectangles:
    """Their squares in the time-frequency plane: what changes is the gain −1, 0 or 1 of a rectangle of the sound's own tiles, and
    what others have from silent ones. Their vertical stripes at the start are bands here."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        silent = (problem.sound == 0.0).all(1, keepdim=True)
        self.tiles = Tiles(torch.where(silent, directions(problem, FULL, problem.zeros()), problem.sound))

    def start(self) -> torch.Tensor:
        sign = 2.0 * _uniform(self.problem, self.tiles.bands).round() - 1.0
        return sign[:, :, None].repeat(1, 1, self.tiles.frames)

    def delta(self, gains: torch.Tensor) -> torch.Tensor:
        return self.tiles(gains)

    def change(self, gains: torch.Tensor, p: float) -> torch.Tensor:
        """One of the other two gains in a rectangle of p of the tiles, up to four times as wide as it is high or the reverse."""
        place, shape = _uniform(self.problem, 2), 2.0 ** (2.0 * _uniform(self.problem, 2) - 1.0)
        inside, corner = torch.ones_like(gains, dtype=torch.bool), []
        for axis, size in enumerate((self.tiles.bands, self.tiles.frames)):
            stretch = shape[:, 0] if axis == 0 else 1.0 / shape[:, 0]
            length = (p**0.5 * size * stretch).round().clamp(1, size)
            first = (place[:, axis] * (size - length + 1)).floor()
            line = torch.arange(size, device=gains.device)
            along = (line >= first[:, None]) & (line < (first + length)[:, None])
            inside &= along[:, :, None] if axis == 0 else along[:, None, :]
            corner.append(first.long())
        was = gains[torch.arange(len(gains), device=gains.device), corner[0], corner[1]]
        fresh = (was + 1.0 + torch.where(shape[:, 1] > 1.0, 1.0, 2.0)).remainder(3.0) - 1.0
        return torch.where(inside, fresh[:, None, None], gains)


class _Segments:
    """Their squares in time: in a segment a new random direction takes the place of what was there (L∞), or is added to it."""

    def __init__(self, problem: Problem, subspace: str) -> None:
        self.problem, self.subspace = problem, subspace

    def start(self) -> torch.Tensor:
        return _full(self.problem, directions(self.problem, self.subspace, self.problem.zeros()))

    def delta(self, delta: torch.Tensor) -> torch.Tensor:
        return delta

    def change(self, delta: torch.Tensor, p: float) -> torch.Tensor:
        problem = self.problem
        length = max(1, round(p * problem.size))
        first = (_uniform(problem, 1) * (problem.size - length + 1)).long()
        place = torch.arange(problem.size, device=problem.device)
        inside = (place >= first) & (place < first + length)
        fresh = problem.epsilon[:, None] * directions(problem, self.subspace, delta)
        if problem.norm.name == LINF:
            return torch.where(inside, fresh, delta)
        return _full(problem, delta + torch.where(inside, fresh, 0.0))


def _uniform(problem: Problem, count: int) -> torch.Tensor:
    """Random numbers in [0, 1) `(rows, count)`, each row's from its own generator."""
    return torch.stack([torch.rand(count, generator=one) for one in problem.generators]).to(problem.device)


def _share(share: float, spent: float) -> float:
    """Their schedule of p (§4.1): halved when 0.1, 0.5, 2, 10, 20, 40, 60 and 80 % of the queries are spent."""
    return share * 0.5 ** sum(spent > part for part in (0.001, 0.005, 0.02, 0.1, 0.2, 0.4, 0.6, 0.8))


def _full(problem: Problem, delta: torch.Tensor) -> torch.Tensor:
    """δ at full size ε; for L∞ every sample is."""
    return problem.project(problem.epsilon[:, None] * problem.steepest(problem.direction(delta)))


def _loss(oracle: Oracle, delta: torch.Tensor, loss: str) -> torch.Tensor:
    return LOSSES[loss](oracle.logits(delta), oracle.problem.labels, oracle.problem.targets)
