"""Nearest neighbours and the typicality that follows from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firstscan.domain.arrays import Embeddings, Float, Int, PerCase


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
