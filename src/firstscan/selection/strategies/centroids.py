"""Centroids: the scans nearest to the centres of two clusters, of three, of four, until there are enough."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from firstscan.selection.gating.gate import Gate
from firstscan.selection.geometry import kmeans, squared_distances_to, standardise
from firstscan.selection.protocol import Candidates, Outcome, Strategy

MOST_RESTARTED = 5_000
"""Scans up to which k-means is restarted; of more, the first run is taken."""


@dataclass(frozen=True)
class Centroids(Strategy):
    """K-means with K = 2, 3, 4 …; of each, the scan nearest to every centre joins the batch unless it is in it.

    A larger batch holds every smaller one. Made for embeddings of a foundation model (``--features dinov2``).

    Parameters
    ----------
    max_clusters : the last K; what is missing then comes by nearness to its centres.
    restarts : of k-means, from random scans.

    References
    ----------
    Yuan & Hong 2024 (arXiv 2402.02561), as in its code: columns standardised, random first centres, 10 restarts, K up
    to 50. Deviations: where the nearest scan must not be taken, the next one is; no restarts above 5,000 scans.
    """

    name: ClassVar[str] = "centroids"
    summary: ClassVar[str] = "nearest to the centres of 2, 3, 4 … k-means clusters, until there are enough"
    reference: ClassVar[str] = "Yuan & Hong 2024, arXiv 2402.02561"
    uses_uncertainty: ClassVar[bool] = False

    max_clusters: int = field(default=50, metadata={"least": 2})
    restarts: int = field(default=10, metadata={"least": 1})

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take what is nearest to one centre after the other until the gate is full."""
        x = standardise(candidates.embeddings)
        chosen = set(candidates.covered.tolist())
        last = min(self.max_clusters, len(x))
        restarts = self.restarts if len(x) <= MOST_RESTARTED else 1
        nearest = np.full(len(x), np.inf)
        clusters = 1
        for clusters in range(min(2, last), last + 1):
            if not gate.has_room():
                break
            centres = kmeans(x, clusters, candidates.seed, restarts, init="random").centres
            nearest = np.full(len(x), np.inf)
            for number, centre in enumerate(centres):
                distances = squared_distances_to(x, centre)
                np.minimum(nearest, distances, out=nearest)
                order = np.argsort(distances, kind="stable")
                if int(order[0]) in chosen:
                    continue
                row = gate.take_first(order, f"nearest to the centre of cluster {number} of {clusters}")
                if row is not None:
                    chosen.add(row)
        while gate.has_room():
            gate.take_best(-nearest, f"near a centre of {clusters} clusters, all of which gave their nearest scan")
        return Outcome(diagnostics={"largest_k": clusters})
