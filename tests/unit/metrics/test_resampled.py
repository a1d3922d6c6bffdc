"""Estimates on sub-pools against an independent reference implementation (its numbers below) and by hand."""

import math

import numpy as np
import pytest

from firstscan.domain.errors import UsageError
from firstscan.metrics.resampled import (
    Estimate,
    correlation,
    of_this_kind,
    one_pool,
    overlap,
    paired,
    smallest_effect,
    subpools_needed,
    these,
)  # fmt: skip

D = np.array(
    [
        [0.01, 0.025, -0.004, -0.035, -0.013],
        [-0.04, 0.013, 0.077, -0.015, -0.021],
        [0.034, 0.028, 0.015, -0.037, 0.009],
        [0.045, -0.057, -0.013, -0.085, -0.054],
        [-0.082, -0.002, -0.053, 0.024, 0.018],
        [0.001, -0.116, -0.017, 0.008, 0.016],
    ]
)
PARTS = [
    Estimate(estimate, se, df, math.nan, math.nan, math.nan)
    for estimate, se, df in (
        (0.005417, 0.006659, 5.0), (0.015625, 0.006213, 5.8888), (0.04525, 0.007973, 5.0), (-0.021167, 0.007938, 5.0),
        (0.027583, 0.004409, 6.7573), (0.069542, 0.006364, 5.0),
    )
]  # fmt: skip


def test_paired_estimate_of_this_collection():
    found = paired(D)
    assert found.estimate == pytest.approx(-0.0107)
    assert found.se == pytest.approx(0.006663082369794529)
    assert found.df == pytest.approx(5.0)
    assert found.pvalue == pytest.approx(0.1692121912906246)
    assert (found.low, found.high) == pytest.approx((-0.027827998509142388, 0.006427998509142387))


def test_paired_estimate_of_collections_of_this_kind_is_wider():
    found = paired(D, rho=0.2)
    assert found.se == pytest.approx(0.010535258262931512)
    assert found.pvalue == pytest.approx(0.3564007434355211)


def test_cases_that_all_sub_pools_find_hard_widen_the_interval():
    """Differences that are the same in every sub-pool: only the test cases vary, df = cases − 1."""
    found = paired(np.tile([0.0, 0.1, 0.2], (4, 1)))
    assert found.se == pytest.approx(0.1 / math.sqrt(3))
    assert found.df == pytest.approx(2)


def test_overlap_and_correlation():
    batches = [{"a", "b", "c"}, {"a", "b", "d"}, {"a", "e", "f"}, {"c", "d", "g"}]
    assert overlap(batches) == pytest.approx(1 / 3)
    assert correlation(1 / 3, budget=3, subpool=12, collection=20, draws=3) == pytest.approx(0.18333333333333332)
    assert correlation(0.1, budget=3, subpool=12, collection=20, draws=3) == 0.0
    with pytest.raises(UsageError, match="2 batches"):
        overlap(batches[:1])


def test_mean_over_these_collections():
    found = these(PARTS)
    assert found.estimate == pytest.approx(0.02370833333333333)
    assert found.se == pytest.approx(0.0027358931103226803)
    assert found.df == pytest.approx(27.581868886035913)


def test_mean_over_collections_of_this_kind():
    found = of_this_kind(PARTS)
    assert found.mean.estimate == pytest.approx(0.023816833776602344, rel=1e-6)
    assert found.mean.se == pytest.approx(0.01285558116152855, rel=1e-6)
    assert found.tau == pytest.approx(0.030772041469422206, rel=1e-6)
    assert (found.new_low, found.new_high) == pytest.approx((-0.06877602881847339, 0.11640969637167808), rel=1e-6)
    with pytest.raises(UsageError, match="from 5 on"):
        of_this_kind(PARTS[:4])


def test_one_pool_borrows_the_variance_of_random():
    """Random 0.4, 0.5, 0.6: s² = 0.01; one batch of 0.7 against three draws: se = 0.1·√(1 + 1/3), df = 2."""
    found = one_pool(np.array([0.7]), np.array([0.4, 0.5, 0.6]))
    assert found.estimate == pytest.approx(0.2)
    assert found.se == pytest.approx(0.1 * math.sqrt(4 / 3))
    assert found.df == 2
    with pytest.raises(UsageError, match="3 random draws"):
        one_pool(np.array([0.7]), np.array([0.4, 0.5]))


def test_how_many_sub_pools_it_takes():
    assert subpools_needed(0.02, 0.09) == 161
    assert subpools_needed(0.01, 0.075) == 444
    assert smallest_effect(161, 0.09) == pytest.approx(0.02, rel=0.01)
    assert math.isinf(smallest_effect(2, 0.09))


def test_random_against_random_keeps_its_level():
    """Differences of batches that are all alike are called different in about 5 % of 2,000 simulated studies."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        batch = rng.normal(0, 0.07, (4, 12)) + rng.normal(0, 0.03, (4, 12))  # a strategy and three random draws
        cases = rng.normal(0, 0.03, (4, 12, 20))
        score = batch[:, :, None] + cases
        hits += paired(score[0] - score[1:].mean(axis=0)).pvalue < 0.05
    assert 0.03 < hits / 2000 < 0.065
