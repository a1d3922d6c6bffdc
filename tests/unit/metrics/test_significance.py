"""Paired tests against published worked examples and values computed by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from firstscan.domain.errors import UsageError
from firstscan.metrics.significance import friedman_conover, holm, wilcoxon_paired


def test_wilcoxon_of_eight_pairs_all_one_way_is_the_smallest_p():
    got = wilcoxon_paired(np.arange(1.0, 9.0), np.zeros(8))
    assert got.pvalue == pytest.approx(2.0**-7)
    assert got.smallest_pvalue == pytest.approx(2.0**-7)
    assert got.median_difference == 4.5


def test_three_seeds_give_no_p_value():
    got = wilcoxon_paired(np.array([0.8, 0.9, 0.7]), np.zeros(3))
    assert math.isnan(got.pvalue)
    assert got.smallest_pvalue == 0.25


def test_identical_sides_do_not_differ():
    assert wilcoxon_paired(np.ones(10), np.ones(10)).pvalue == 1.0


def test_wilcoxon_needs_pairs():
    with pytest.raises(UsageError, match="pairs"):
        wilcoxon_paired(np.ones(3), np.ones(4))
    with pytest.raises(UsageError, match="at least one"):
        wilcoxon_paired(np.ones(0), np.ones(0))


def test_holm_by_hand():
    """Sorted 0.01, 0.02, 0.03, 0.04 × 4, 3, 2, 1 → 0.04, 0.06, 0.06, 0.06 after the running maximum."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx((0.06, 0.04, 0.06, 0.06))
    assert holm([0.5, 0.6]) == pytest.approx((1.0, 1.0))


def test_holm_leaves_unknown_values_out_of_the_family():
    got = holm([0.01, float("nan"), 0.04])
    assert got[0] == pytest.approx(0.02)
    assert math.isnan(got[1])
    assert got[2] == pytest.approx(0.04)


def test_friedman_by_hand():
    """Ranks (1 best) rows 1 2 3, 1 2 3, 1 3 2, 2 1 3: sums 5, 8, 11; χ² = 12/(4·3·4)·210 − 3·4·4 = 4.5."""
    scores = -np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 3.0, 2.0], [2.0, 1.0, 3.0]])
    got = friedman_conover(scores, ["a", "b", "c"])
    assert got.statistic == pytest.approx(4.5)
    assert got.pvalue == pytest.approx(math.exp(-4.5 / 2))
    np.testing.assert_allclose(got.mean_ranks, [1.25, 2.0, 2.75])
    assert got.blocks == 4


def test_conover_by_hand():
    """t = |R_a − R_c| / sqrt(2b(A − C)/(b·(k−1)) · (1 − χ²/(b(k−1)))), b = 4, k = 3, A = 56, C = 48."""
    scores = -np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 3.0, 2.0], [2.0, 1.0, 3.0]])
    got = friedman_conover(scores, ["a", "b", "c"])
    b, k, chi = 4, 3, 4.5
    a1, c1 = 56.0, 48.0
    error = math.sqrt(2 * b * (a1 - c1) / ((b - 1) * (k - 1)) * (1 - chi / (b * (k - 1))))
    extreme = 2 * stats.t.sf(abs(5 - 11) / error, (b - 1) * (k - 1))
    assert got.pairwise[0, 2] == pytest.approx(3 * extreme)
    assert got.pairwise[0, 2] == got.pairwise[2, 0]
    assert got.pairwise[0, 0] == 1.0


def test_all_blocks_alike_is_no_difference_and_full_agreement_says_what_its_blocks_can():
    tie = friedman_conover(np.ones((3, 3)), ["a", "b", "c"])
    assert (tie.statistic, tie.pvalue) == (0.0, 1.0)
    sure = friedman_conover(np.tile([3.0, 2.0, 1.0], (4, 1)), ["a", "b", "c"])
    assert sure.mean_ranks.tolist() == [1.0, 2.0, 3.0]
    assert sure.pairwise[0, 1] == pytest.approx(6.0**-3), "all four rankings agree with the first: 1 of 6³"
    assert friedman_conover(sure.mean_ranks * -np.ones((2, 1)), ["a", "b", "c"]).pairwise[0, 2] == pytest.approx(1 / 6)


def test_rounding_is_no_difference():
    scores = np.linspace(0.3, 0.7, 12)
    assert wilcoxon_paired(scores + 2e-16, scores).pvalue == 1.0
    noisy = np.array([[0.5, 0.5 + 1e-16, 0.5 - 1e-16], [0.1, 0.1, 0.1 + 2e-17]])
    assert friedman_conover(noisy, ["a", "b", "c"]).mean_ranks.tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("scores", "names"),
    [
        (np.ones((3, 2)), ["a", "b"]),
        (np.ones((1, 3)), ["a", "b", "c"]),
        (np.ones((3, 3)), ["a", "b"]),
        (np.full((3, 3), np.nan), ["a", "b", "c"]),
    ],
)
def test_friedman_refuses_what_it_cannot_rank(scores, names):
    with pytest.raises(UsageError):
        friedman_conover(scores, names)
