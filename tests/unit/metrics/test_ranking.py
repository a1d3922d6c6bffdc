"""Budget curves, percentiles and harm, worked out by hand."""

import math

import numpy as np
import pytest

from firstscan.domain.errors import UsageError
from firstscan.metrics.ranking import Cell, aubc, harms, labels_needed, labels_saved, percentile_in


def test_percentile_counts_ties_half():
    reference = np.array([0.1, 0.2, 0.2, 0.4])
    assert percentile_in(0.2, reference) == 50.0
    assert percentile_in(0.0, reference) == 0.0
    assert percentile_in(0.9, reference) == 100.0
    assert percentile_in(0.1 + 0.1 + 0.1, np.array([0.3])) == 50.0, "a tie but for rounding"
    with pytest.raises(UsageError):
        percentile_in(0.5, np.array([]))


def test_aubc_by_hand():
    """(3, 0.2), (5, 0.4), (10, 0.6): (2·0.3 + 5·0.5) / 7."""
    assert aubc(np.array([3.0, 5.0, 10.0]), np.array([0.2, 0.4, 0.6])) == pytest.approx(3.1 / 7)
    assert aubc(np.array([5.0]), np.array([0.4])) == 0.4


def test_labels_needed_interpolates_and_admits_what_was_not_reached():
    budgets, scores = np.array([2.0, 4.0, 8.0]), np.array([0.2, 0.6, 0.8])
    assert labels_needed(budgets, scores, 0.4) == pytest.approx(3.0)
    assert labels_needed(budgets, scores, 0.7) == pytest.approx(6.0)
    assert labels_needed(budgets, scores, 0.1) == 2.0
    assert math.isnan(labels_needed(budgets, scores, 0.9))


def test_labels_saved_against_random_at_twice_the_budget():
    """Random reaches 0.6 at 2B = 8; ours reaches 0.6 at 4: 4 labels saved."""
    budgets = np.array([2.0, 4.0, 8.0])
    ours, rand = np.array([0.2, 0.6, 0.8]), np.array([0.1, 0.3, 0.6])
    assert labels_saved(budgets, ours, rand, budget=4) == pytest.approx(4.0)
    assert math.isnan(labels_saved(budgets, ours, rand, budget=8))


@pytest.mark.parametrize("budgets", [np.array([3.0, 3.0]), np.array([5.0, 3.0]), np.array([3.0])])
def test_a_curve_needs_increasing_budgets(budgets):
    with pytest.raises(UsageError):
        aubc(budgets, np.array([0.1, 0.2]))


def test_harm_lists_each_cell_below_the_random_median_worst_first():
    cells = [Cell("a", 3, 0, 0, 0.5), Cell("a", 3, 1, 0, 0.2), Cell("b", 5, 0, 0, 0.9), Cell("b", 9, 0, 0, 0.0)]
    got = harms(cells, {3: 0.6, 5: 0.8})
    assert [(h.cell.selection_seed, round(h.loss, 3)) for h in got] == [(1, 0.4), (0, 0.1)]
