from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from firstscan.selection.signals import (
    composite_score,
    effective_budget,
    pacing,
    rank_normalise,
    spearman,
)


@pytest.mark.parametrize(
    ("cases", "budget", "dcr", "gamma"),
    [
        (387, 77, -0.04, 0.492),
        (387, 155, -0.04, 0.491),
        (34, 7, 0.29, 0.540),
        (34, 14, 0.29, 0.551),
        (39, 8, 0.23, 0.532),
        (39, 16, 0.23, 0.541),
        (18, 5, 0.68, 0.592),
        (18, 9, 0.68, 0.616),
    ],
)
def test_pacing_table_of_the_paper(cases, budget, dcr, gamma):
    assert round(pacing(dcr, effective_budget(budget, cases)), 3) == gamma


def test_pacing_stays_within_its_bounds():
    assert pacing(1.0, 1e9, (0.4, 0.6)) == 0.6
    assert pacing(-1.0, 1e9, (0.4, 0.6)) == 0.4


def test_rank_normalisation():
    np.testing.assert_allclose(rank_normalise(np.array([30.0, 10.0, 20.0])), [1.0, 0.01, 0.5])
    np.testing.assert_allclose(rank_normalise(np.array([7.0])), [1.0])


def test_gamma_weighs_uncertainty_against_typicality():
    typicality, uncertainty = np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])
    assert composite_score(typicality, uncertainty, 0.0).argmax() == 2
    assert composite_score(typicality, uncertainty, 1.0).argmax() == 0


@pytest.mark.parametrize("cases", [50, 4000])
def test_interval_of_a_correlation_covers_it(cases):
    rng = np.random.default_rng(0)
    a = rng.normal(size=cases)
    b = a + rng.normal(size=cases)
    found = spearman(a, b, rng)
    assert found.rho == pytest.approx(spearmanr(a, b).statistic)
    low, high = found.interval
    assert low < found.rho < high
    assert high - low < 4 / np.sqrt(cases)


def test_bootstrap_and_closed_form_agree():
    rng = np.random.default_rng(1)
    a = rng.normal(size=2000)
    b = 0.5 * a + rng.normal(size=2000)
    small = spearman(a, b, rng).interval
    large = spearman(np.append(a, 0.0), np.append(b, 0.0), rng).interval
    np.testing.assert_allclose(small, large, atol=0.01)


def test_nothing_is_claimed_of_a_constant_signal():
    found = spearman(np.ones(20), np.arange(20.0), np.random.default_rng(0))
    assert (found.rho, found.pvalue, found.interval) == (0.0, 1.0, (-1.0, 1.0))
