"""Nearest neighbours and the typicality that follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from firstscan.domain.arrays import Embeddings, Float, Int, PerCase

from .distances import checksums
from .search import BLOCK, WANTED_RECALL, CellSearch, all_pairs

EXACT_COST = 2e10  # N·N·dim up to which scikit-learn answers in about a second
LARGEST_EXACT_COST = 2e12  # N·N·dim up to which FAISS measures all pairs in about a minute

KEPT_POOLS = 2


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


_RECENT: dict[tuple[object, ...], Density] = {}


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
    single, unit = _single(x)
    search = CellSearch(single, k)
    all_cost = float(n) * n * dim
    if 2 * search.cost > all_cost or (search.recall < WANTED_RECALL and all_cost <= LARGEST_EXACT_COST):
        distances, rows = all_pairs(single, np.arange(n), k)
        return Neighbours(distances * np.float64(unit), rows, exact=True, recall=None)
    distances, rows = search.everywhere()
    return Neighbours(distances * np.float64(unit), rows, exact=False, recall=search.recall)


def _single(x: Embeddings) -> tuple[Embeddings, float]:
    """Return ``x`` in float32 about its mean, where products lose least to rounding, and the unit it is given in."""
    mean = x.mean(axis=0, dtype=np.float64)
    reach = max(float(np.abs(x - mean.astype(x.dtype)).max()) for x in np.array_split(x, max(1, x.size // 2**24)))
    unit = 1.0 if 1e-9 < reach < 1e9 or reach == 0 else 2.0 ** np.round(np.log2(reach))
    single = np.empty(x.shape, dtype=np.float32)
    for start in range(0, len(x), BLOCK):
        single[start : start + BLOCK] = (x[start : start + BLOCK] - mean) / unit
    return single, float(unit)


def typicality(x: Embeddings, neighbours: int = 20) -> Density:
    """Return T = 1 / (mean distance to the nearest neighbours + 1e-8), over the whole pool (METHOD §1).

    ``neighbours`` is capped at N−1; a pool of one case has typicality 1. The answers for the last two pools are kept:
    the audit, the report and repeats under other seeds ask for the same again. They are read-only.
    """
    k = min(neighbours, len(x) - 1)
    if k < 1:
        return Density(np.ones(len(x)), neighbours=0, exact=True, recall=None)
    pool = (x.shape, x.dtype.str, blake2b(checksums(x).tobytes(), digest_size=16).digest(), k)
    density = _RECENT.pop(pool, None) or _density(x, k)
    _RECENT[pool] = density
    while len(_RECENT) > KEPT_POOLS:
        _RECENT.pop(next(iter(_RECENT)), None)
    return density


def _density(x: Embeddings, k: int) -> Density:
    found = nearest(x, k)
    values = 1.0 / (found.distances.mean(axis=1) + 1e-8)
    values.flags.writeable = False
    return Density(values, neighbours=k, exact=found.exact, recall=found.recall)


def near_duplicate_groups(x: Embeddings, share: float = 0.05) -> Int[np.ndarray, " case"]:
    """Return a number per case that near-duplicates share (case,).

    Near means: closer than ``share`` of the pool's median distance to the tenth neighbour, directly or in a chain.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if len(x) < 2:
        return np.zeros(len(x), dtype=np.int64)
    found = nearest(x, min(10, len(x) - 1))
    near = found.distances <= share * np.median(found.distances[:, -1])
    case, place = np.nonzero(near)
    links = coo_array((np.ones(len(case)), (case, found.rows[case, place])), shape=(len(x), len(x)))
    return connected_components(links, directed=False)[1].astype(np.int64)
