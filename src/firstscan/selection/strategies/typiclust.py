"""TypiClust: the most typical scan of each large cluster, round robin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from firstscan.domain.arrays import PerCase, Strata
from firstscan.selection.gating.gate import Gate
from firstscan.selection.geometry import kmeans, nearest, standardise
from firstscan.selection.protocol import Candidates, Outcome, Strategy
from firstscan.selection.stratified import Members, members_of


@dataclass(frozen=True)
class TypiClust(Strategy):
    """Clusters with the fewest annotated scans first, then the largest; each gives its densest scan, in turn.

    Parameters
    ----------
    neighbours : for the density within a cluster; capped at half of the cluster's remaining scans.
    min_cluster : clusters of at most this many scans are dropped, unless that drops all of them.
    max_clusters : upper limit of their number.
    strata : given cluster of every case; None computes them.

    References
    ----------
    Hacohen, Dekel & Weinshall 2022, ICML (squared distances and 1/(mean + 1e-5) as in its code). Deviations: k-means
    runs on standardised embeddings; where the published code fails (small or used-up clusters only) ours goes on.
    """

    name: ClassVar[str] = "typiclust"
    summary: ClassVar[str] = "the most typical scan of each large cluster"
    reference: ClassVar[str] = "Hacohen et al. 2022, ICML"
    uses_uncertainty: ClassVar[bool] = False

    neighbours: int = field(default=20, metadata={"least": 1})
    min_cluster: int = field(default=5, metadata={"least": 0})
    max_clusters: int = field(default=500, metadata={"least": 1})
    strata: Strata | None = field(default=None, metadata={"per_case": True})

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take the densest open scan of one cluster after the other until the gate is full."""
        strata, facts = self._strata(candidates)
        remaining = members_of(strata)
        annotated = np.bincount(strata[candidates.covered], minlength=len(remaining))
        large = [c for c, rows in enumerate(remaining) if len(rows) > self.min_cluster]
        clusters = large or [c for c, rows in enumerate(remaining) if len(rows)]
        clusters.sort(key=lambda c: (annotated[c], -len(remaining[c])))
        sizes = [len(rows) for rows in remaining]
        for c in clusters:
            remaining[c] = np.setdiff1d(remaining[c], candidates.covered)
        everything = np.arange(len(strata))
        turn = 0
        while gate.has_room():
            live = [c for c in clusters if gate.open[remaining[c]].any()]
            if not live:  # only scans of dropped clusters are left
                gate.take_first(everything, "the large clusters are used up; next scan of a small one")
                continue
            cluster = clusters[turn % len(clusters)]
            turn += 1
            if cluster in live:
                self._take_densest(candidates, gate, remaining, cluster, sizes[cluster])
        return Outcome(strata=strata, diagnostics={"dropped_clusters": len(remaining) - len(clusters), **facts})

    def _take_densest(
        self, candidates: Candidates, gate: Gate, remaining: list[Members], cluster: int, size: int
    ) -> None:
        rows = remaining[cluster]
        density = self._density(candidates.embeddings[rows])
        reason = f"most typical scan not yet taken of the {size} in cluster {cluster}"
        for position in np.argsort(-density, kind="stable"):
            if gate.take(int(rows[position]), reason, stratum=cluster, score=float(density[position])):
                remaining[cluster] = np.delete(rows, position)
                return

    def _density(self, x: np.ndarray) -> PerCase:
        k = min(self.neighbours, len(x) // 2)
        if k == 0:
            return np.ones(len(x))
        density: np.ndarray = 1.0 / ((nearest(x, k).distances ** 2).mean(axis=1) + 1e-5)
        return density

    def _strata(self, candidates: Candidates) -> tuple[Strata, dict[str, Any]]:
        if self.strata is not None:
            return self.strata, {"strata_method": "given"}
        wanted = min(candidates.annotations, self.max_clusters)
        clusters = kmeans(standardise(candidates.embeddings), wanted, candidates.seed)
        return clusters.labels, {"strata_method": clusters.method, "inertia": clusters.inertia}
