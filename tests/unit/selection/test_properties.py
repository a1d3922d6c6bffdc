"""Properties of a batch: against a plain computation, and against what they are called."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from firstscan.selection.geometry import typicality
from firstscan.selection.trust.properties import PoolView


@pytest.fixture
def pool() -> np.ndarray:
    """Three groups of scans and one far out."""
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0, 0], [8, 0, 0], [0, 8, 0]])
    return np.vstack([np.repeat(centres, 13, axis=0) + rng.normal(size=(39, 3)), [[30.0, 30.0, 30.0]]])


def test_they_are_what_their_definitions_say(pool):
    rows = np.array([3, 17, 30])
    found = PoolView(pool).of(rows)
    apart, among = cdist(pool, pool[rows]), cdist(pool[rows], pool[rows])
    every = cdist(pool, pool)
    sigma = np.median(every[np.triu_indices(40, 1)])

    def kernel(d):
        return np.exp(-(d**2) / (2 * sigma**2)).mean()

    assert found.coverage == pytest.approx(apart.min(axis=1).mean())
    assert found.discrepancy**2 == pytest.approx(kernel(every) + kernel(among) - 2 * kernel(apart))
    assert found.diversity == pytest.approx(among[np.triu_indices(3, 1)].mean())
    assert found.closest == pytest.approx(among[np.triu_indices(3, 1)].min())
    assert found.typicality == pytest.approx(typicality(pool, 20).values[rows].mean())


def test_a_batch_over_all_groups_covers_more_than_one_group(pool):
    view = PoolView(pool)
    spread, together, outlying = view.of(np.array([3, 17, 30])), view.of(np.array([1, 2, 3])), view.of(np.array([39]))
    assert spread.coverage < together.coverage
    assert spread.discrepancy < together.discrepancy
    assert spread.diversity > together.diversity
    assert outlying.typicality < spread.typicality
    assert np.isnan([outlying.diversity, outlying.closest]).all()


def test_the_whole_pool_covers_itself(pool):
    found = PoolView(pool).of(np.arange(40))
    assert found.coverage == pytest.approx(0, abs=1e-6)
    assert found.discrepancy == pytest.approx(0, abs=1e-6)


def test_large_pools_are_measured_on_a_drawn_part():
    x = np.random.default_rng(0).normal(size=(2_300, 2))
    rows = np.arange(0, 2_300, 100)
    exact = cdist(x, x[rows]).min(axis=1).mean()
    assert PoolView(x).of(rows).coverage == pytest.approx(exact, rel=0.03)
    assert PoolView(x, seed=1).of(rows) == PoolView(x, seed=1).of(rows)
