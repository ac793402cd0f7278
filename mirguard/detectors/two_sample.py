"""Do two sets of points come from one distribution? The maximum mean discrepancy and its permutation test.

Gretton et al. 2012 (JMLR 13, eq. 3): MMD²_u = 1/(m(m−1)) Σ_{i≠j} k(x_i, x_j) + 1/(n(n−1)) Σ_{i≠j} k(y_i, y_j)
− 2/(mn) Σ k(x_i, y_j), with k(a, b) = exp(−‖a − b‖²/(2σ²)) and σ the median distance between points.

The test permutes which points count as X: p = (1 + #{permuted ≥ observed})/(1 + permutations), which under the null hypothesis is
at most α with probability at most α. Points that depend on each other (windows of one clip) are permuted together, as blocks.

The kernel matrix is never there as a whole: it is made tile by tile and summed over pairs of blocks, and of these sums each
permutation is a quadratic form. Where there are very many blocks, some of one side are drawn by chance to form larger ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.distance import pdist

from mirguard.errors import UsageError

TILE = 1024  # points on a side: 8 MiB a tile
MOST_BLOCKS = 2000  # sums of pairs: 32 MB
MOST_PAIRED = 1000  # points that the median distance is taken from
AT_ONCE = 250  # permutations


@dataclass(frozen=True)
class TwoSample:
    """`statistic` is MMD²_u at width `sigma`, `p_value` from so many `permutations` of `blocks` (those of X and those of Y)."""

    statistic: float
    p_value: float
    sigma: float
    permutations: int
    blocks: tuple[int, int]


def mmd_test(
    x: np.ndarray,
    y: np.ndarray,
    permutations: int = 1000,
    blocks: tuple[Sequence[int], Sequence[int]] | None = None,
    seed: int = 0,
    *,
    sigma: float | None = None,
) -> TwoSample:
    """Test whether points `x (m, d)` and `y (n, d)` come from one distribution; a small p-value says that they do not.

    `blocks` are two rows of numbers, `(m,)` and `(n,)`: points of one side with the same number stay together (default: each point
    on its own). Blocks of very different sizes make the test inexact: it takes them for exchangeable. With g_x blocks of X among g,
    no p-value is below 1/C(g, g_x). UsageError for sets that cannot be compared."""
    x, y = _points(x), _points(y)
    if x.shape[1] != y.shape[1]:
        raise UsageError(f"Two sets of points are compared in one space; got {x.shape[1]} and {y.shape[1]} dimensions.")
    if min(len(x), len(y)) < 2:
        raise UsageError("A two-sample test needs at least two points on each side.")
    if permutations < 1:
        raise UsageError("A permutation test needs at least one permutation.")
    rng = np.random.default_rng(seed)
    pooled = np.concatenate([x, y])
    sigma = median_distance(pooled) if sigma is None else sigma
    if blocks is None:
        blocks = (np.arange(len(x)), np.arange(len(y)))
    block_of, counts = _blocks(blocks, (len(x), len(y)), rng)
    sums = block_sums(pooled, block_of, sigma)
    sizes = np.bincount(block_of).astype(float)
    observed = np.zeros((len(sizes), 1))
    observed[: counts[0]] = 1.0
    statistic = float(statistics(sums, sizes, observed)[0])
    # What is equal but for rounding counts as equal.
    bar = statistic - 1e-12 * max(1.0, abs(statistic))
    above = 0
    for first in range(0, permutations, AT_ONCE):
        drawn = rng.random((min(AT_ONCE, permutations - first), len(sizes))).argsort(1).argsort(1) < counts[0]
        above += int((statistics(sums, sizes, drawn.T.astype(float)) >= bar).sum())
    return TwoSample(statistic, (1 + above) / (1 + permutations), sigma, permutations, counts)


def kernel(a: torch.Tensor, b: torch.Tensor, sigma: float) -> torch.Tensor:
    """k `(m, n)` of points `(m, d)` and `(n, d)`; differentiable, also where two meet."""
    squares = a.square().sum(1)[:, None] + b.square().sum(1)[None] - 2.0 * a @ b.T
    return torch.exp(-squares.clamp_min(0.0) / (2.0 * sigma**2))


def median_distance(points: np.ndarray) -> float:
    """The median distance between points `(n, d)` (at most MOST_PAIRED of them, evenly); where most are the same, the mean one of
    those that differ; 1 where all are the same."""
    chosen = np.unique(np.linspace(0, len(points) - 1, min(len(points), MOST_PAIRED)).round().astype(int))
    distances = pdist(points[chosen])
    median = float(np.median(distances)) if len(distances) else 0.0
    if median > 0.0:
        return median
    apart = distances[distances > 0.0]
    return float(apart.mean()) if len(apart) else 1.0


def block_sums(points: np.ndarray, block_of: np.ndarray, sigma: float) -> np.ndarray:
    """Sums of k over pairs of points of each pair of blocks, `(blocks, blocks)`, from points `(n, d)` and the number of the block
    `(n,)` each is in. A point's k with itself (1) is counted."""
    order = np.argsort(block_of, kind="stable")
    blocks = block_of[order]
    rows = torch.from_numpy(points[order] - points.mean(0))
    sums = np.zeros((int(blocks[-1]) + 1,) * 2)
    tiles = [slice(first, min(first + TILE, len(rows))) for first in range(0, len(rows), TILE)]
    starts = [np.flatnonzero(np.diff(blocks[tile], prepend=-1)) for tile in tiles]
    for i, left in enumerate(tiles):
        for j in range(i, len(tiles)):
            tile = kernel(rows[left], rows[tiles[j]], sigma).numpy()
            part = np.add.reduceat(np.add.reduceat(tile, starts[i], 0), starts[j], 1)
            where = np.ix_(blocks[left][starts[i]], blocks[tiles[j]][starts[j]])
            sums[where] += part
            if j > i:
                sums[where[1].T, where[0].T] += part.T
    return sums


def statistics(sums: np.ndarray, sizes: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """MMD²_u `(b,)` with the blocks of each column of `chosen (blocks, b)`, 0 or 1, for X and the others for Y."""
    m = chosen.T @ sizes
    n = sizes.sum() - m
    rows = chosen.T @ sums.sum(1)
    both = (chosen * (sums @ chosen)).sum(0)
    within_x, within_y, across = both - m, sums.sum() - 2.0 * rows + both - n, rows - both
    # In a permutation of blocks of unequal sizes a side may be left with one point, and no pairs.
    return within_x / np.maximum(m * (m - 1), 1) + within_y / np.maximum(n * (n - 1), 1) - 2.0 * across / (m * n)


def _points(given: np.ndarray) -> np.ndarray:
    points = np.asarray(given, np.float64)
    if points.ndim != 2 or not np.isfinite(points).all():
        raise UsageError("A set of points is a table of finite numbers, one row a point.")
    return points


def _blocks(
    given: tuple[Sequence[int], Sequence[int]], sizes: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, tuple[int, int]]:
    """The block of every pooled point, those of X first, numbered without gaps; and how many there are on each side."""
    numbers = []
    for side, size in zip(given, sizes, strict=True):
        side = np.asarray(side)
        if side.shape != (size,):
            raise UsageError(f"Each of {size} points is in one block; got blocks for {len(side)}.")
        numbers.append(np.unique(side, return_inverse=True)[1])
    counts = [int(side.max()) + 1 for side in numbers]
    together = -(-sum(counts) // MOST_BLOCKS)  # of either side so many, so that blocks stay alike
    if together > 1:
        for side, count in enumerate(counts):
            groups = np.empty(count, np.int64)
            counts[side] = -(-count // together)
            groups[rng.permutation(count)] = np.arange(count) % counts[side]
            numbers[side] = groups[numbers[side]]
    return np.concatenate([numbers[0], counts[0] + numbers[1]]), (counts[0], counts[1])
