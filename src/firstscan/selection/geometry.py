"""Neighbours and k-means: scikit-learn where exactness is cheap, FAISS above. Never an N×N matrix."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from firstscan.domain.arrays import Embeddings, Float, Int, PerCase, Strata

EXACT_PAIR_COST = 2e10  # N·N·dim up to which scikit-learn answers in about a second
EXACT_KMEANS_COST = 3e8  # N·K·dim up to which ten full restarts take a few seconds


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


@dataclass(frozen=True, eq=False)
class Clusters:
    """``labels`` (case,) from 0, ``centres`` (cluster, dim) and the sum of squared distances to them."""

    labels: Strata
    centres: Float[np.ndarray, "cluster dim"]
    inertia: float
    method: str


def standardise(x: Embeddings) -> Embeddings:
    """Return ``x`` with zero mean and unit variance per column; constant columns become 0."""
    from sklearn.preprocessing import StandardScaler

    scaled: np.ndarray = StandardScaler().fit_transform(x)
    return scaled


def nearest(x: Embeddings, k: int) -> Neighbours:
    """Return the ``k`` nearest other cases of each case; 1 ≤ k < case."""
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=k).fit(x.astype(np.float64))
    distances, rows = index.kneighbors()
    return Neighbours(distances, rows, exact=True, recall=None)


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


def kmeans(x: Embeddings, clusters: int, seed: int, restarts: int = 10) -> Clusters:
    """Return the best of ``restarts`` k-means++ runs; fewer clusters than asked where cases coincide."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    model = KMeans(clusters, init="k-means++", n_init=restarts, max_iter=300, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # coinciding cases: callers fill empty strata
        labels = model.fit_predict(x)
    return Clusters(labels, model.cluster_centers_, float(model.inertia_), "scikit-learn, exact")


def twin_groups(x: Embeddings, *columns: PerCase) -> Int[np.ndarray, " case"]:
    """Return a number a row that is shared by rows whose values are identical, bit for bit (case,)."""
    weights = np.random.default_rng(0)
    total = np.zeros(len(x), dtype=np.uint64)
    for part in (x, *(column[:, None] for column in columns)):
        factors = weights.integers(2**63, size=part.shape[1], dtype=np.uint64) | np.uint64(1)
        for start in range(0, len(part), 8192):
            block = np.ascontiguousarray(part[start : start + 8192] + 0.0)  # −0 becomes 0
            bits = block.view(np.uint32 if block.itemsize == 4 else np.uint64).astype(np.uint64)
            total[start : start + 8192] += (bits * factors).sum(axis=1, dtype=np.uint64)
    return np.unique(total, return_inverse=True)[1].astype(np.int64)
