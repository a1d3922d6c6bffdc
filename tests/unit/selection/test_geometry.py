from __future__ import annotations

import subprocess
import sys

import faiss
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.selection import select
from firstscan.selection.geometry import (
    birch,
    cells,
    clusters,
    distances,
    kmeans,
    near_duplicate_groups,
    nearest,
    neighbours,
    search,
    standardise,
    twin_groups,
    typicality,
)
from firstscan.selection.geometry.best import Best


@pytest.fixture(scope="module")
def blobs() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(12, 20)) * 4
    return (centres[rng.integers(12, size=3000)] + rng.normal(size=(3000, 20))).astype(np.float32)


def test_typicality_by_hand():
    values = typicality(np.array([[0.0], [1.0], [3.0]]), 1).values
    np.testing.assert_allclose(values, [1.0, 1.0, 0.5], rtol=1e-6)


def test_typicality_of_the_same_pool_is_found_once(monkeypatch):
    calls = []
    monkeypatch.setattr(neighbours, "nearest", lambda x, k: calls.append(k) or nearest(x, k))
    x = np.random.default_rng(7).normal(size=(50, 3))
    first = typicality(x)
    assert typicality(x.copy()) is first
    assert calls == [20]
    with pytest.raises(ValueError, match="read-only"):
        first.values[0] = 0.0
    x[0, 0] += 1
    assert typicality(x).values[0] != first.values[0]
    assert typicality(x[::-1]).values[-1] == typicality(x).values[0]
    typicality(x, 5)
    assert calls == [20, 20, 20, 5]
    assert len(neighbours._RECENT) == 2


def test_neighbours_are_capped_and_a_lone_case_is_typical():
    assert typicality(np.zeros((1, 2)), 20).values.tolist() == [1.0]
    assert typicality(np.eye(4), 20).neighbours == 3


def test_screened_neighbours_agree_with_exact_ones(blobs, monkeypatch):
    exact = nearest(blobs, 10)
    monkeypatch.setattr(neighbours, "EXACT_COST", 0)
    screened = nearest(blobs, 10)
    assert exact.exact
    assert not screened.exact
    assert screened.recall >= 0.96
    shared = [len(np.intersect1d(a, b)) / 10 for a, b in zip(exact.rows, screened.rows, strict=True)]
    assert np.mean(shared) >= 0.95
    assert not (screened.rows == np.arange(len(blobs))[:, None]).any(), "a case is no neighbour of itself"
    found = np.linalg.norm(blobs[:, None] - blobs[screened.rows], axis=2)
    np.testing.assert_allclose(screened.distances, found, rtol=1e-3)


def test_an_exhaustive_search_takes_over_where_cells_do_not_help(monkeypatch):
    noise = np.random.default_rng(0).normal(size=(1500, 64)).astype(np.float32)
    exact = nearest(noise, 5)
    monkeypatch.setattr(neighbours, "EXACT_COST", 0)
    found = nearest(noise, 5)
    assert found.exact
    np.testing.assert_allclose(found.distances, exact.distances, rtol=1e-3)
    assert (found.rows == exact.rows).mean() > 0.999


@pytest.mark.parametrize(("shift", "scale"), [(1e4, 1.0), (0.0, 1e30), (0.0, 1e-30), (-3e8, 1e6)])
def test_neighbours_do_not_depend_on_where_embeddings_lie_nor_on_their_unit(blobs, monkeypatch, shift, scale):
    moved = blobs.astype(np.float64) * scale + shift
    exact = nearest(moved, 5)
    monkeypatch.setattr(neighbours, "EXACT_COST", 0)
    found = nearest(moved, 5)
    assert (found.rows == exact.rows).mean() > 0.97
    np.testing.assert_allclose(found.distances.mean(), exact.distances.mean(), rtol=1e-3)


@pytest.mark.parametrize("distinct", [1, 2, 5])
def test_pools_of_duplicates_are_searched_in_bounded_work(monkeypatch, distinct):
    monkeypatch.setattr(neighbours, "EXACT_COST", 0)
    few = np.random.default_rng(0).normal(size=(distinct, 8)).astype(np.float32)
    x = few[np.arange(3000) % distinct]
    assert cells.partition(x).sizes.max() <= 1.5 * cells.CELL
    found = nearest(x, 20)
    assert found.recall is None or found.recall == 1
    assert (found.distances == 0).all()
    assert (found.rows != np.arange(len(x))[:, None]).all()


def test_more_dimensions_than_cases(blobs, monkeypatch):
    wide = blobs[:700] @ np.random.default_rng(0).normal(size=(20, 3000)).astype(np.float32)
    exact = nearest(wide, 5)
    monkeypatch.setattr(neighbours, "EXACT_COST", 0)
    monkeypatch.setattr(search, "QUERIES", 100)
    found = nearest(wide, 5)
    assert not found.exact
    assert (found.distances <= exact.distances[:, -1:] * 1.001).mean() > 0.95


def test_cells_hold_every_case_once_and_like_cases_together(blobs):
    found = cells.partition(blobs)
    assert sorted(found.order) == list(range(len(blobs)))
    assert found.sizes.max() <= 1.5 * cells.CELL
    own = ((blobs - found.centres[found.of_rows()]) ** 2).sum()
    assert own < 0.2 * ((blobs - blobs.mean(axis=0)) ** 2).sum()


def test_the_number_of_cores_does_not_change_neighbours(blobs, monkeypatch):
    monkeypatch.setattr(neighbours, "EXACT_COST", 0)
    several = nearest(blobs, 10)
    monkeypatch.setattr(faiss, "omp_get_max_threads", lambda: 1)
    alone = nearest(blobs, 10)
    assert several.distances.tobytes() == alone.distances.tobytes()
    assert several.rows.tobytes() == alone.rows.tobytes()


@pytest.mark.parametrize("dim", [3, 9])
@pytest.mark.parametrize("blocks", [1, 3, 40])
def test_the_best_of_all_blocks_are_kept(blocks, dim):
    rng = np.random.default_rng(0)
    queries, x = (rng.normal(size=(n, dim)).astype(np.float32) for n in (7, 200))
    best = Best(queries, 9)
    for rows in np.array_split(rng.permutation(200), blocks):
        best.offer(x[rows], (x[rows] ** 2).sum(axis=1) / 2, rows)
    by_hand = np.argsort(((queries[:, None] - x) ** 2).sum(axis=2), axis=1)[:, :9]
    np.testing.assert_array_equal(np.sort(best.which, axis=1), np.sort(by_hand, axis=1))


def test_large_pools_are_standardised_as_small_ones_are(monkeypatch):
    x = np.random.default_rng(0).normal(5, 2, size=(3000, 4)).astype(np.float32)
    x[:, 2] = 0.1
    small = standardise(x)
    monkeypatch.setattr(distances, "LARGEST_COPIED", 0)
    np.testing.assert_allclose(standardise(x), small, atol=1e-5)


def test_an_approximate_search_says_so_in_the_diagnostics(blobs, monkeypatch):
    monkeypatch.setattr(neighbours, "EXACT_COST", 0)
    ids = tuple(f"c{i:04d}" for i in range(len(blobs)))
    found = select(FeatureTable(ids, blobs, np.random.default_rng(1).random(len(blobs))), 5, "cscs").diagnostics
    assert found["neighbours_exact"] is False
    assert 0.95 <= found["neighbour_recall"] <= 1


def test_the_order_of_rows_does_not_matter_in_large_pools_either(blobs, monkeypatch):
    monkeypatch.setattr(neighbours, "EXACT_COST", 0)
    monkeypatch.setattr(clusters, "EXACT_COST", 0)
    ids = tuple(f"c{i:04d}" for i in range(len(blobs)))
    table = FeatureTable(ids, blobs, np.random.default_rng(1).random(len(blobs)))
    assert select(table, 30, "cscs") == select(table.rows(np.random.default_rng(2).permutation(len(blobs))), 30, "cscs")


def test_sampled_kmeans_is_within_one_percent(blobs, monkeypatch):
    best = KMeans(30, n_init=10, random_state=0).fit(blobs).inertia_
    monkeypatch.setattr(clusters, "EXACT_COST", 0)
    found = kmeans(blobs, 30, seed=1)
    assert found.inertia <= 1.01 * best
    assert found.labels.shape == (3000,)
    by_hand = ((blobs - found.centres[found.labels]) ** 2).sum()
    assert found.inertia == pytest.approx(by_hand, rel=1e-3)


@pytest.mark.parametrize("imports", ["import faiss, SimpleITK", "import SimpleITK, faiss"])
def test_large_pools_are_chosen_from_whatever_was_imported_before(imports):
    code = f"""
{imports}
import numpy as np
import firstscan as fs
from firstscan.selection.geometry import clusters, neighbours
clusters.EXACT_COST = neighbours.EXACT_COST = 0
x = np.random.default_rng(0).normal(size=(600, 8)).astype(np.float32)
table = fs.FeatureTable(tuple(map(str, range(600))), x, x[:, 0])
print(len(fs.select(table, 12)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("12\n", 0), done.stderr


@pytest.mark.parametrize("threshold", [0.5, 4.0])
def test_birch_of_large_pools_makes_the_clusters_of_small_ones(blobs, monkeypatch, threshold):
    x = blobs[:600]
    plain = birch(x, 25, threshold)
    monkeypatch.setattr(clusters, "LARGEST_PLAIN_BIRCH", 10)
    assert adjusted_rand_score(plain, birch(x, 25, threshold)) == 1.0


def test_birch_with_fewer_leaves_than_clusters(monkeypatch):
    monkeypatch.setattr(clusters, "LARGEST_PLAIN_BIRCH", 10)
    x = np.repeat(np.array([[0.0, 0.0], [9.0, 9.0]]), 20, axis=0)
    assert len(np.unique(birch(x, 5, 0.5))) == 2


def test_twins_are_bitwise_equal_rows():
    x = np.array([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [1.0, 1.0]])
    groups = twin_groups(x)
    assert groups[0] == groups[1]
    assert len(np.unique(groups)) == 4


def test_checksums_that_agree_by_chance_make_no_twins(monkeypatch):
    x = np.array([[0.0, 1.0], [2.0, 2.0], [0.0, 1.0], [2.0, 2.0], [3.0, 1.0]])
    monkeypatch.setattr(distances, "checksums", lambda x: np.zeros(len(x), dtype=np.uint64))
    groups = twin_groups(x)
    assert groups[0] == groups[2]
    assert groups[1] == groups[3]
    assert len(np.unique(groups)) == 3


def test_near_duplicates_chain():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 3))
    x[1], x[2] = x[0] + 1e-4, x[0] + 2e-4
    groups = near_duplicate_groups(x)
    assert groups[0] == groups[1] == groups[2]
    assert len(np.unique(groups)) == 28


def test_constant_columns_become_zero():
    assert standardise(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist() == [[-1.0, 0.0], [1.0, 0.0]]


def test_pools_too_large_for_all_pairs_are_refused_with_what_they_need(monkeypatch):
    monkeypatch.setattr(distances, "LARGEST_PAIR_COST", 1000.0)
    table = FeatureTable(tuple("abcdefghijkl"), np.random.default_rng(0).normal(size=(12, 20)), np.arange(12.0))
    with pytest.raises(UsageError, match=r"every pair of scans: about 3 min and .* GiB for 12 cases"):
        select(table, 3, "probcover")
