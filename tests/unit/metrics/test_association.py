"""A rank correlation of random batches with their scores: planted relations are found, none is made up."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from firstscan.metrics.association import LEAST, Draws, coded, relation, smallest


def drawn(rng, *, subpools=12, draws=3, budgets=3, planted=0.0, nested=0.8):
    """Batches nested over budgets, in sub-pools that shift property and score together."""
    rows = []
    for pool in range(subpools):
        shift = rng.normal()
        for draw in range(draws):
            own = rng.normal(size=2)
            for budget in range(budgets):
                u, v = np.sqrt(nested) * own + np.sqrt(1 - nested) * rng.normal(size=2)
                score = planted * u + np.sqrt(1 - planted**2) * v
                rows.append((pool, draw, budget, u + shift - 2 * budget, score + 2 * shift + 3 * budget))
    columns = [np.array(c) for c in zip(*rows, strict=True)]
    pool, draw, budget = (c.astype(np.int64) for c in columns[:3])
    return columns[3], columns[4], Draws(pool, draw, budget, np.arange(len(rows)))


def test_in_one_pool_at_one_budget_it_is_spearmans():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 30))
    zeros = np.zeros(30, dtype=np.int64)
    found = relation(x, y + x, Draws(zeros, np.arange(30), zeros, np.arange(30)))
    assert found.rho == pytest.approx(spearmanr(x, y + x).statistic)
    assert found.pvalue == pytest.approx(spearmanr(x, y + x).pvalue, rel=1e-6)
    assert found.effective == pytest.approx(30)
    assert found.low < found.rho < found.high


def test_without_a_relation_five_in_a_hundred_are_called_one_though_subpools_and_budgets_feign_it():
    rng = np.random.default_rng(1)
    found = [relation(*drawn(rng)) for _ in range(120)]
    assert sum(f.pvalue < 0.05 for f in found) <= 12
    assert sum(not f.low <= 0 <= f.high for f in found) <= 12
    assert abs(np.mean([f.rho for f in found])) < 0.05
    assert all(12 < f.effective < 108 for f in found)  # nested budgets tell less than as many batches


def test_a_planted_relation_is_found_with_its_sign_and_size():
    rng = np.random.default_rng(2)
    for planted in (0.7, -0.7):
        found = [relation(*drawn(rng, planted=planted)) for _ in range(12)]
        assert sum(f.pvalue < 0.05 for f in found) >= 10
        assert np.mean([f.rho for f in found]) == pytest.approx(planted, abs=0.12)
        assert sum(f.low <= planted * 0.96 <= f.high for f in found) >= 10


def test_equal_batches_count_once():
    x, y, draws = drawn(np.random.default_rng(3), subpools=1, draws=12, budgets=1)
    alone = relation(x, y, draws)
    four = np.tile(np.arange(12), 4)
    zeros = np.zeros(48, dtype=np.int64)
    copied = relation(x[four], y[four], Draws(zeros, np.arange(48), zeros, draws.picks[four]))
    assert copied == alone
    assert copied.distinct == 12


def test_too_few_batches_have_no_interval_and_what_does_not_vary_no_number():
    x, y, draws = drawn(np.random.default_rng(4), subpools=2, draws=2, budgets=1)
    few = relation(x, y, draws)
    assert few.effective < LEAST
    assert np.isnan([few.low, few.high, few.pvalue]).all()
    assert relation(np.full(4, 7.0), y, draws) is None
    assert relation(np.full(4, np.nan), y, draws) is None


def test_one_draw_a_subpool_is_compared_over_subpools():
    rng = np.random.default_rng(5)
    x = rng.normal(size=40)
    zeros = np.zeros(40, dtype=np.int64)
    found = relation(x, x + rng.normal(size=40), Draws(np.arange(40), zeros, zeros, np.arange(40)))
    assert found.effective == pytest.approx(40)
    assert found.pvalue < 0.01


def test_missing_values_are_left_out_and_order_does_not_matter():
    x, y, draws = drawn(np.random.default_rng(6), planted=0.5)
    x[[0, 7]], y[12] = np.nan, np.nan
    whole = relation(x, y, draws)
    assert whole.distinct == len(x) - 3
    mixed = np.random.default_rng(0).permutation(len(x))
    parts = (getattr(draws, name)[mixed] for name in ("subpool", "draw", "budget", "picks"))
    again = relation(x[mixed], y[mixed], Draws(*parts))
    assert again.rho == pytest.approx(whole.rho)
    assert again.effective == pytest.approx(whole.effective)


def test_what_so_many_batches_can_find_is_what_they_find():
    rng = np.random.default_rng(7)
    rho = smallest(40.0)
    assert rho == pytest.approx(0.43, abs=0.01)
    zeros = np.zeros(40, dtype=np.int64)
    hits = 0
    for _ in range(100):
        x = rng.normal(size=40)
        y = 1.05 * rho * x + np.sqrt(1 - (1.05 * rho) ** 2) * rng.normal(size=40)  # Spearman's is a little smaller
        hits += relation(x, y, Draws(zeros, np.arange(40), zeros, np.arange(40))).pvalue < 0.05
    assert 70 <= hits <= 90
    assert smallest(4.0) == float("inf")


def test_labels_become_codes_by_first_sight():
    np.testing.assert_array_equal(coded(["b", ("a", 1), "b", frozenset("x")]), [0, 1, 0, 2])
