"""Strategy centroids is the published loop over growing numbers of clusters."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from firstscan.domain.features import FeatureTable
from firstscan.selection import Constraints, select


def pool(n=50, dim=6, seed=0) -> FeatureTable:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(5, dim))[rng.integers(5, size=n)] * 3 + rng.normal(size=(n, dim))
    return FeatureTable(tuple(f"c{i:02d}" for i in range(n)), x, rng.random(n))


def published(x: np.ndarray, budget: int, seed: int) -> list[int]:
    scaled = StandardScaler().fit_transform(x)
    order: list[int] = []
    for clusters in range(2, 51):
        model = KMeans(clusters, init="random", n_init=10, random_state=seed).fit(scaled)
        order += [int(row) for row in model.transform(scaled).argmin(axis=0)]
        if len(set(order)) >= budget:
            return list(dict.fromkeys(order))[:budget]
    raise AssertionError


@pytest.mark.parametrize("budget", [1, 2, 5, 12])
@pytest.mark.parametrize("seed", [42, 2024])
def test_it_is_the_published_loop(budget, seed):
    table = pool(seed=seed)
    expected = published(table.embeddings, budget, seed)
    assert [int(c[1:]) for c in select(table, budget, "centroids", seed=seed).case_ids] == expected


def test_a_larger_batch_holds_every_smaller_one():
    table = pool()
    batches = [select(table, b, "centroids").case_ids for b in range(1, 10)]
    assert all(long[: len(short)] == short for short, long in pairwise(batches))


def test_what_must_not_be_taken_gives_way_to_the_next():
    table = pool()
    first = select(table, 1, "centroids").case_ids[0]
    without = select(table, 3, "centroids", constraints=Constraints(exclude=(first,))).case_ids
    assert first not in without
    assert len(without) == 3


def test_the_last_number_of_clusters_ends_the_loop():
    selection = select(pool(), 20, "centroids", max_clusters=3)
    assert selection.diagnostics["largest_k"] == 3
    assert "all of which gave" in selection.picks[-1].reason
