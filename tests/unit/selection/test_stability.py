from __future__ import annotations

import numpy as np
import pytest

from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.selection import Constraints, select, stability
from firstscan.selection.trust.stability import cluster_tendency


def shapeless(n=80, dim=8) -> FeatureTable:
    rng = np.random.default_rng(2)
    return FeatureTable(tuple(f"c{i:02d}" for i in range(n)), rng.normal(size=(n, dim)), rng.random(n))


def clustered(n=80) -> FeatureTable:
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(4, 8)) * 20
    spread = rng.random(n)
    embeddings = centres[np.arange(n) % 4] + rng.normal(size=(n, 8)) * spread[:, None]
    return FeatureTable(tuple(f"c{i:02d}" for i in range(n)), embeddings, spread)


def test_a_pool_without_structure_gives_other_picks():
    table = shapeless()
    found = stability(table, select(table, 5, "cscs"), 6)
    assert found.pool_overlap < 1 / 3
    assert (found.strategy, found.budget, found.pool_runs) == ("cscs", 5, 6)


def test_a_pool_with_structure_is_told():
    table = clustered()
    found = stability(table, select(table, 4, "cscs"), 6)
    assert found.cluster_tendency > 1.5 * found.tendency_chance
    assert found.seed_overlap == 1.0


def test_frequencies_are_shares_of_the_runs_that_held_a_case():
    table = clustered()
    steps = []
    found = stability(table, select(table, 4, "cscs"), 5, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(i, 10) for i in range(1, 11)]
    assert found.runs == 10
    assert all(0 < share <= 1 for share in found.frequency.values())
    assert list(found.frequency.values()) == sorted(found.frequency.values(), reverse=True)


def test_constraints_hold_in_every_run():
    table = clustered()
    limits = Constraints(include=("c00",), labelled=("c01",), exclude=("c02", "c03"))
    found = stability(table, select(table, 4, "cscs", constraints=limits), 4, constraints=limits)
    assert found.frequency["c00"] == 1.0
    assert not {"c01", "c02", "c03"} & set(found.frequency)


def test_the_same_seed_gives_the_same_answer():
    table = shapeless(40)
    assert stability(table, select(table, 4, "cscs"), 3) == stability(table, select(table, 4, "cscs"), 3)


def test_one_repeat_says_nothing():
    with pytest.raises(UsageError, match="at least 2"):
        stability(shapeless(), select(shapeless(), 4, "cscs"), 1)


def test_tendency_tells_clusters_from_noise():
    noise, limit = cluster_tendency(shapeless(200).embeddings, np.random.default_rng(0))
    assert noise == pytest.approx(1, abs=0.1)
    assert limit < 1.2
    blobs, limit = cluster_tendency(clustered(200).embeddings, np.random.default_rng(0))
    assert blobs > 2 > limit
