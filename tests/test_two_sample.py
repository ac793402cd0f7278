"""The two-sample test against its definition, its error rate, its power, and its memory."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist
from scipy.stats import binom

from mirguard.detectors.two_sample import block_sums, median_distance, mmd_test
from mirguard.errors import UsageError


def brute_force(x: np.ndarray, y: np.ndarray, sigma: float) -> float:
    """MMD²_u word for word (Gretton et al. 2012, eq. 3)."""

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-((a - b) ** 2).sum() / (2 * sigma**2)))

    m, n = len(x), len(y)
    return (
        sum(k(x[i], x[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
        + sum(k(y[i], y[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
        - 2 * sum(k(a, b) for a in x for b in y) / (m * n)
    )


@settings(max_examples=20)
@given(m=st.integers(2, 9), n=st.integers(2, 9), d=st.integers(1, 4), seed=st.integers(0, 99))
def test_the_statistic_is_the_definition(m, n, d, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((m, d)), 0.5 + rng.standard_normal((n, d))
    found = mmd_test(x, y, 20)
    assert found.sigma == pytest.approx(np.median(pdist(np.concatenate([x, y]))))
    assert found.statistic == pytest.approx(brute_force(x, y, found.sigma), abs=1e-12)
    # Which points are permuted together does not change what is observed.
    together = mmd_test(x, y, 20, (np.arange(m) // 3, np.arange(n) % 2))
    assert together.statistic == pytest.approx(found.statistic, abs=1e-12)
    assert together.blocks == (-(-m // 3), min(n, 2))


def test_the_p_value_is_the_share_of_all_ways_to_divide_them():
    """With few blocks all ways can be counted: the permutations find their share."""
    from itertools import combinations

    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((4, 2)) + 0.8, rng.standard_normal((4, 2))
    found = mmd_test(x, y, 20_000, seed=3)
    pooled = np.concatenate([x, y])
    ways = [set(way) for way in combinations(range(8), 4)]
    every = [brute_force(pooled[sorted(way)], pooled[sorted(set(range(8)) - way)], found.sigma) for way in ways]
    exact = np.mean(np.array(every) >= found.statistic - 1e-12)
    assert found.p_value == pytest.approx(exact, abs=0.015)


def test_sums_over_blocks_are_those_of_the_whole_matrix():
    rng = np.random.default_rng(2)
    points, block_of = rng.standard_normal((2500, 3)), rng.integers(0, 40, 2500)
    whole = np.exp(-(cdist(points, points) ** 2) / (2 * 1.3**2))
    member = np.eye(40)[block_of]
    np.testing.assert_allclose(block_sums(points, block_of, 1.3), member.T @ whole @ member, rtol=1e-9)


@pytest.mark.parametrize("blocks", [False, True], ids=["points", "blocks"])
def test_clean_sets_are_flagged_as_often_as_alpha_says(blocks):
    """Type-I error over 1,000 pairs of sets from one distribution; with blocks, points of a block lie together."""
    rng, alpha, trials = np.random.default_rng(4), 0.05, 1000
    rejected = 0
    for seed in range(trials):
        if blocks:
            centres = rng.standard_normal((16, 1, 3))
            points = (centres + 0.2 * rng.standard_normal((16, 4, 3))).reshape(-1, 3)
            x, y, of = points[:32], points[32:], (np.arange(32) // 4,) * 2
        else:
            x, y, of = rng.standard_normal((20, 3)), rng.standard_normal((20, 3)), None
        rejected += mmd_test(x, y, 99, of, seed).p_value <= alpha
    low, high = binom.interval(0.999, trials, alpha)
    assert low <= rejected <= high


def test_dependent_points_taken_for_independent_are_flagged_far_too_often():
    """What blocks are for."""
    rng = np.random.default_rng(5)
    rejected = 0
    for seed in range(100):
        points = np.repeat(rng.standard_normal((8, 3)), 10, 0) + 0.2 * rng.standard_normal((80, 3))
        rejected += mmd_test(points[:40], points[40:], 39, seed=seed).p_value <= 0.05
    assert rejected > 50


def test_other_distributions_are_found():
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((60, 5)), rng.standard_normal((60, 5))
    assert mmd_test(x, y + 0.8, 199).p_value == 1 / 200
    assert mmd_test(x, 2.0 * y, 199).p_value == 1 / 200  # the same mean


def test_many_points_are_permuted_in_groups_of_either_side():
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal((1500, 2)), rng.standard_normal((900, 2))
    found = mmd_test(x, y, 99)
    assert found.blocks == (750, 450)
    assert found.p_value > 0.01
    assert mmd_test(x, y + 0.3, 99).p_value == 0.01


def test_no_memory_grows_with_the_product_of_the_sets():
    """The whole matrix of 5,000 and 5,000 points would take 800 MB."""
    script = (
        "import resource, numpy as np\n"
        "from mirguard.detectors.two_sample import mmd_test\n"
        "rng = np.random.default_rng(0)\n"
        "mmd_test(rng.standard_normal((1500, 4)), rng.standard_normal((1500, 4)), 10)\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "x, y, before = rng.standard_normal((5_000, 4)), rng.standard_normal((5_000, 4)), peak()\n"
        "found = mmd_test(x, y, 200)\n"
        "print(found.p_value, (peak() - before) / 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    p_value, grown = map(float, done.stdout.split())
    assert 0.001 < p_value <= 1.0
    assert grown < 200  # MiB


def test_degenerate_sets_give_a_sentence_or_a_number():
    same = np.ones((5, 3))
    found = mmd_test(same, same, 50)
    assert (found.statistic, found.p_value) == (pytest.approx(0.0, abs=1e-12), 1.0)
    mostly = np.concatenate([np.zeros((9, 2)), np.ones((1, 2))])
    assert median_distance(mostly) == pytest.approx(np.sqrt(2))
    for x, y, match in (
        (same[:1], same, "two points"),
        (same, same[:, :2], "one space"),
        (np.full((4, 3), np.nan), same, "finite"),
        (same[0], same, "table"),
    ):
        with pytest.raises(UsageError, match=match):
            mmd_test(x, y)
    with pytest.raises(UsageError, match="one permutation"):
        mmd_test(same, same, 0)
    with pytest.raises(UsageError, match="one block"):
        mmd_test(same, same, 10, (np.arange(4), np.arange(5)))
