"""Groups as long as an encoder's embedding: reduced as short ones are, by the way that costs less."""

from __future__ import annotations

import numpy as np
import pytest

from firstscan.domain.features import FeatureTable
from firstscan.selection import groups
from firstscan.selection.groups import combine


def table(n: int, dim: int, *, rank: int = 12) -> FeatureTable:
    rng = np.random.default_rng([n, dim])
    wide = rng.normal(size=(n, rank)) * 2.0 ** -np.arange(rank) @ rng.normal(size=(rank, dim))
    ids = tuple(f"c{i:03d}" for i in range(n))
    return FeatureTable(ids, np.zeros((n, 1)), np.zeros(n), groups={"wide": wide})


@pytest.mark.parametrize("n", [30, 150])
def test_both_ways_find_the_same_components(n, monkeypatch):
    given = table(n, 90)
    usual = combine(given, ["wide"]).table.embeddings
    monkeypatch.setattr(groups, "_WIDE", 50)
    other = combine(given, ["wide"]).table.embeddings
    assert other.shape == (n, 8)
    np.testing.assert_allclose(other, usual, atol=1e-6)


def test_fewer_scans_than_components_give_what_there_is(monkeypatch):
    monkeypatch.setattr(groups, "_WIDE", 50)
    found = combine(table(4, 90), ["wide"]).table.embeddings
    assert np.isfinite(found).all()
    assert (found**2).sum(axis=1).mean() == pytest.approx(1)
    assert np.linalg.matrix_rank(found, tol=1e-6) == 3
