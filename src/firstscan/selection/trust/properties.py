"""What a batch is like, told without a label: how well it covers its pool, how it differs from it, how it is spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firstscan.domain.arrays import Embeddings, Float, Int, PerCase
from firstscan.selection.geometry import pairwise_distances, typicality

LARGEST = 2_000
"""Scans of the pool that a batch is held against: all of them in smaller pools."""
NEIGHBOURS = 20
NAMES = ("coverage", "discrepancy", "diversity", "closest", "typicality")
"""The properties of a batch by feature group; see :class:`Properties`."""


@dataclass(frozen=True, slots=True)
class Properties:
    """A batch in its pool, by one group of features.

    ``coverage``: mean distance of the pool's scans to the nearest pick, lower is better. ``discrepancy``: maximum mean
    discrepancy between batch and pool under a Gaussian kernel, in [0, √2], lower is more alike. ``diversity`` and
    ``closest``: mean and smallest distance between two picks, NaN for a single one. ``typicality``: mean of the picks'.
    """

    coverage: float
    discrepancy: float
    diversity: float
    closest: float
    typicality: float


class PoolView:
    """A pool by one group of features, made once for all its batches.

    Parameters
    ----------
    features : (case, dim) float, on one scale.
    seed : draws the scans that batches are held against in pools of more than 2,000.

    The bandwidth of the kernel is the median distance between two scans of the pool.

    References
    ----------
    Gretton et al., A kernel two-sample test, JMLR 13 (2012).
    """

    def __init__(self, features: Embeddings, seed: int = 0) -> None:
        self._x = features.astype(np.float64)
        drawn = np.random.default_rng(seed).permutation(len(features))[:LARGEST]
        self._references = self._x[np.sort(drawn)]
        apart = pairwise_distances(self._references, self._references)
        np.fill_diagonal(apart, 0.0)
        pairs = apart[np.triu_indices(len(apart), k=1)]
        self._bandwidth = float(np.median(pairs[pairs > 0])) if (pairs > 0).any() else 1.0
        self._among_pool = float(self._kernel(apart).mean())
        self._typicality: PerCase = typicality(self._x, NEIGHBOURS).values

    def of(self, rows: Int[np.ndarray, " pick"]) -> Properties:
        """Return the properties of the batch that holds the pool's ``rows``, at least one."""
        to_pool = pairwise_distances(self._references, self._x[rows])
        among = pairwise_distances(self._x[rows], self._x[rows])
        np.fill_diagonal(among, 0.0)
        pairs = among[np.triu_indices(len(rows), k=1)]
        gap = self._among_pool + float(self._kernel(among).mean()) - 2 * float(self._kernel(to_pool).mean())
        return Properties(
            coverage=float(to_pool.min(axis=1).mean()),
            discrepancy=float(np.sqrt(max(gap, 0.0))),
            diversity=float(pairs.mean()) if len(pairs) else float("nan"),
            closest=float(pairs.min()) if len(pairs) else float("nan"),
            typicality=float(self._typicality[rows].mean()),
        )

    def _kernel(self, distances: Float[np.ndarray, "row other"]) -> Float[np.ndarray, "row other"]:
        similar: np.ndarray = np.exp(-0.5 * (distances / self._bandwidth) ** 2)
        return similar
