"""Small cells of like cases: what keeps the work of a search for neighbours within bounds, however large the pool."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firstscan.domain.arrays import Embeddings, Float, Int

from .clusters import assigned, refined

CELL = 256  # cases wanted in a cell: enough for matrix products, few enough to follow the shape of the pool
BRANCHES = 64
SAMPLE_PER_BRANCH, ROUNDS = 40, 6
LOPSIDED = 0.9


@dataclass(frozen=True, eq=False)
class Cells:
    """A partition of a pool.

    ``order`` (case,) holds the rows cell by cell, ``starts`` (cell + 1,) where in it each cell begins, ``centres``
    (cell, dim) the means.
    """

    order: Int[np.ndarray, " case"]
    starts: Int[np.ndarray, " edge"]
    centres: Float[np.ndarray, "cell dim"]

    def __len__(self) -> int:
        return len(self.centres)

    @property
    def sizes(self) -> Int[np.ndarray, " cell"]:
        """Cases in each cell (cell,)."""
        return np.diff(self.starts)

    def of_rows(self) -> Int[np.ndarray, " case"]:
        """Return the cell of every row (case,)."""
        cell = np.empty(len(self.order), dtype=np.int64)
        cell[self.order] = np.repeat(np.arange(len(self)), self.sizes)
        return cell


def partition(x: Embeddings) -> Cells:
    """Return cells of at most 1½ · 256 cases by k-means within k-means, at a cost of N log N.

    Cases that k-means cannot tell apart, as in a pool of duplicates, are dealt out in row order.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):  # many small products
        leaves = _leaves(x)
    order = np.concatenate(leaves)
    starts = np.cumsum([0, *map(len, leaves)])
    centres = np.stack([x[rows].mean(axis=0) for rows in leaves])
    return Cells(order, starts, centres)


def _leaves(x: Embeddings) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    leaves: list[np.ndarray] = []
    waiting = [np.arange(len(x))]
    while waiting:
        rows = waiting.pop()
        if 2 * len(rows) <= 3 * CELL:
            leaves.append(rows)
            continue
        parts = _split(x[rows], rows, rng)
        if max(map(len, parts)) > LOPSIDED * len(rows):
            leaves += np.array_split(rows, -(-len(rows) // CELL))
        else:
            waiting += parts[::-1]
    return leaves


def _split(x: Embeddings, rows: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Return ``rows`` by branch: a few rounds of k-means on a sample, then every case to its nearest centre."""
    branches = min(BRANCHES, -(-len(rows) // CELL))
    sample = x[rng.permutation(len(x))[: SAMPLE_PER_BRANCH * branches]]
    labels = assigned(x, refined(sample, sample[:branches], ROUNDS))
    edges = np.cumsum(np.bincount(labels, minlength=branches))[:-1]
    return [part for part in np.split(rows[np.argsort(labels, kind="stable")], edges) if len(part)]
