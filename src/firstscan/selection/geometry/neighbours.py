"""Nearest neighbours and the typicality that follows from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from firstscan.domain.arrays import Embeddings, Float, Int, PerCase

EXACT_COST = 2e10  # N·N·dim up to which scikit-learn answers in about a second
LARGEST_EXACT_COST = 2e12  # N·N·dim up to which FAISS measures all pairs in about a minute
WANTED_RECALL = 0.97  # on the sample, to be at least 0.95 on the pool
RECALL_QUERIES = 256
COMPONENTS = 64
QUERY_BLOCK = 65_536

Search = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The k nearest other cases: ``distances`` (case, k) Euclidean, rising, and ``rows`` (case, k).

    ``recall`` is the measured share of true neighbours found when ``exact`` is False, else None.
    """

    distances: Float[np.ndarray, "case k"]
    rows: Int[np.ndarray, "case k"]
    exact: bool
    recall: float | None


@dataclass(frozen=True, eq=False)
class Density:
    """Typicality of every case (case,), and how it was found; ``neighbours`` is None when it was given."""

    values: PerCase
    neighbours: int | None
    exact: bool
    recall: float | None


def nearest(x: Embeddings, k: int) -> Neighbours:
    """Return the ``k`` nearest other cases of each case; 1 ≤ k < case.

    Small pools: scikit-learn in double precision. Large ones: FAISS in float32, a search among the leading principal
    components whose best candidates are measured in full; its recall is measured on a sample of cases, and the search
    is widened until that reaches 0.97, or given up for an exact one where that takes no more than minutes.
    """
    n, dim = x.shape
    if float(n) * n * dim <= EXACT_COST:
        from sklearn.neighbors import NearestNeighbors

        distances, rows = NearestNeighbors(n_neighbors=k).fit(x.astype(np.float64)).kneighbors()
        return Neighbours(distances, rows, exact=True, recall=None)
    single = np.ascontiguousarray(x, dtype=np.float32)
    screen = _Screen(single)
    recall = screen.widen(k + 1)
    if recall < WANTED_RECALL and float(n) * n * dim <= LARGEST_EXACT_COST:
        distances, rows = _without_self(_exhaustive(single), single, k, np.arange(n))
        return Neighbours(distances, rows, exact=True, recall=None)
    distances, rows = _without_self(screen, single, k, screen.order())
    return Neighbours(distances, rows, exact=False, recall=recall)


def _exhaustive(x: np.ndarray) -> Search:
    import faiss

    index = faiss.IndexFlatL2(x.shape[1])
    index.add(x)
    search: Search = index.search
    return search


class _Screen:
    """Search by inverted lists of leading principal components, the candidates measured in full."""

    def __init__(self, x: np.ndarray) -> None:
        import faiss

        n, dim = x.shape
        components, lists = min(COMPONENTS, dim), int(2 * np.sqrt(n))
        self._x = x
        self._lists = faiss.IndexIVFFlat(faiss.IndexFlatL2(components), components, lists)
        self._lists.cp.niter, self._lists.cp.min_points_per_centroid = 8, 1
        rng = np.random.default_rng(0)
        sample = rng.permutation(n)[: max(40 * lists, 10 * dim)]
        self._rotation = _leading_components(x[sample[: 4 * dim]], components)
        self._screen = faiss.IndexPreTransform(self._rotation, self._lists)
        self._screen.train(x[sample])
        self._index = faiss.IndexRefineFlat(self._screen)
        self._index.add(x)
        self._index.k_factor = 2
        self._queries = np.sort(rng.choice(n, min(n, RECALL_QUERIES), replace=False))

    def __call__(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        import faiss

        squared, rows = self._index.search(queries, k)
        short = (rows < 0).any(axis=1)  # too few cases in the lists that were searched
        if short.any():
            squared[short], rows[short] = faiss.knn(queries[short], self._x, k)
        return squared, rows

    def order(self) -> np.ndarray:
        """Return the cases list by list: neighbours in turn find what they need in the processor's cache."""
        nearest_list = np.empty(len(self._x), dtype=np.int64)
        for start in range(0, len(self._x), QUERY_BLOCK):
            rows = slice(start, start + QUERY_BLOCK)
            rotated = self._rotation.apply(self._x[rows])
            nearest_list[rows] = self._lists.quantizer.search(rotated, 1)[1][:, 0]
        return np.argsort(nearest_list, kind="stable")

    def widen(self, k: int) -> float:
        """Search more lists until the recall is as wanted or a quarter of them is searched; return the recall."""
        import faiss

        queries = self._x[self._queries]
        truth = faiss.knn(queries, self._x, k)[1]
        recall, self._lists.nprobe = 0.0, 4
        while recall < WANTED_RECALL and self._lists.nprobe < self._lists.nlist / 4:
            self._lists.nprobe += max(2, self._lists.nprobe // 2)
            found = self(queries, k)[1]
            recall = float(np.mean([len(np.intersect1d(t, f)) / k for t, f in zip(truth, found, strict=True)]))
        return recall


def _leading_components(sample: np.ndarray, components: int) -> Any:
    """Return the projection on the leading principal components of ``sample`` as FAISS has it."""
    import faiss
    from sklearn.decomposition import PCA

    model = PCA(components, svd_solver="randomized", iterated_power=2, random_state=0).fit(sample)
    rotation = faiss.LinearTransform(sample.shape[1], components, True)
    directions = model.components_.astype(np.float32)
    faiss.copy_array_to_vector(directions.ravel(), rotation.A)
    faiss.copy_array_to_vector(-directions @ model.mean_.astype(np.float32), rotation.b)
    rotation.is_trained = True
    return rotation


def _without_self(search: Search, x: np.ndarray, k: int, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Search for every case, block by block, and leave out the case itself (the last one found where it is missing)."""
    distances, rows = np.empty((len(x), k)), np.empty((len(x), k), dtype=np.int64)
    for start in range(0, len(x), QUERY_BLOCK):
        block = order[start : start + QUERY_BLOCK]
        squared, found = search(x[block], k + 1)
        others = found != block[:, None]
        others[others.all(axis=1), -1] = False
        distances[block] = np.sqrt(np.maximum(squared[others].reshape(-1, k), 0))
        rows[block] = found[others].reshape(-1, k)
    return distances, rows


def typicality(x: Embeddings, neighbours: int = 20) -> Density:
    """Return T = 1 / (mean distance to the nearest neighbours + 1e-8), over the whole pool (METHOD §1).

    ``neighbours`` is capped at N−1; a pool of one case has typicality 1.
    """
    k = min(neighbours, len(x) - 1)
    if k < 1:
        return Density(np.ones(len(x)), neighbours=0, exact=True, recall=None)
    found = nearest(x, k)
    values = 1.0 / (found.distances.mean(axis=1) + 1e-8)
    return Density(values, neighbours=k, exact=found.exact, recall=found.recall)
