"""Proportional: as many clusters as the pool shows, the middle of each, then picks in proportion to their sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from firstscan.domain.arrays import Embeddings, Float, Int, PerCase, Strata
from firstscan.selection.gating.gate import Gate
from firstscan.selection.geometry import kmeans, pairwise_distances, standardise
from firstscan.selection.geometry.clusters import Clusters
from firstscan.selection.protocol import Candidates, Outcome, Strategy
from firstscan.selection.stratified import members_of

SAMPLE = 2_000
"""Scans on which K is looked for in a larger pool, and most of a cluster whose medoid is looked for exactly."""
Counts = Int[np.ndarray, " cluster"]


@dataclass(frozen=True)
class Proportional(Strategy):
    """K-means with the K of the largest mean silhouette; each cluster's medoid, then the rest in proportion to sizes.

    Within a cluster, the scan farthest from those annotated there comes next. What is annotated already counts for
    its cluster. Made for embeddings of a foundation model (``--features dinov2``).

    Parameters
    ----------
    max_clusters : K is looked for from 2 to this number, the annotations, and half of the scans.
    project : ``tsne`` brings embeddings to two dimensions first, as published; a hair's difference may then change
        picks, so ``none`` is the default.
    strata : given cluster of every case; None looks for them.

    References
    ----------
    Levy et al. 2026 (arXiv 2601.18532): t-SNE, K by the silhouette, medoids, B − K in proportion by largest remainders,
    farthest points within clusters; the steps as a public re-implementation lists them. Columns are standardised here,
    the order of picks (medoids of large clusters first, then whoever is farthest behind its share) is ours.
    """

    name: ClassVar[str] = "proportional"
    summary: ClassVar[str] = "clusters as many as the pool shows, picks in proportion to their sizes"
    reference: ClassVar[str] = "Levy et al. 2026, arXiv 2601.18532"
    uses_uncertainty: ClassVar[bool] = False

    max_clusters: int = field(default=15, metadata={"least": 2})
    project: Literal["none", "tsne"] = "none"
    strata: Strata | None = field(default=None, metadata={"per_case": True})

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take medoids, then from the cluster that is farthest behind its share, until the gate is full."""
        x = standardise(candidates.embeddings)
        x = _tsne(x, candidates.seed) if self.project == "tsne" and len(x) > 4 else x
        strata, facts = self._strata(x, candidates)
        members = members_of(strata)
        sizes = np.array([len(rows) for rows in members])
        taken = np.bincount(strata[candidates.covered], minlength=len(sizes))
        rest = max(0, candidates.annotations - int((sizes > 0).sum()))
        wanted = np.minimum((sizes > 0) + shares(sizes, rest), sizes)
        gaps = np.full(len(x), np.inf)  # to the nearest annotated scan of the same cluster
        for row in candidates.covered:
            _come_nearer(gaps, x, members[strata[row]], int(row))
        while gate.has_room():
            behind = sizes * (taken.sum() + 1) / sizes.sum() - taken
            live = [c for c, rows in enumerate(members) if gate.open[rows].any()]
            c = max(live, key=lambda c: (taken[c] < wanted[c], taken[c] == 0, behind[c], -c))
            over = "" if taken[c] < wanted[c] else "; others are used up"
            place = "farthest from those picked in" if taken[c] else "in the middle of"
            reason = f"{place} cluster {c}: {sizes[c]} of {len(x)} scans, share {wanted[c]}{over}"
            rows = members[c]
            rank = -gaps[rows] if taken[c] else _off_middle(x[rows])
            row = gate.take_first(rows[np.argsort(rank, kind="stable")], reason, stratum=c)
            if row is not None:
                taken[c] += 1
                _come_nearer(gaps, x, rows, row)
        return Outcome(strata=strata, diagnostics={"shares": wanted.tolist(), **facts})

    def _strata(self, x: Embeddings, candidates: Candidates) -> tuple[Strata, dict[str, Any]]:
        if self.strata is not None:
            return self.strata, {"strata_method": "given"}
        found, silhouette = best_clusters(x, min(self.max_clusters, candidates.annotations), candidates.seed)
        if found is None:
            return np.zeros(len(candidates), dtype=np.int64), {"n_clusters": 1, "silhouette": None}
        labels = np.unique(found.labels, return_inverse=True)[1].reshape(-1).astype(np.int64)
        return labels, {"n_clusters": int(labels.max()) + 1, "silhouette": silhouette, "strata_method": found.method}


def _come_nearer(gaps: PerCase, x: Embeddings, rows: Int[np.ndarray, " member"], taken: int) -> None:
    """Lower the gaps of a cluster's ``rows`` to their distance from the scan ``taken``."""
    gaps[rows] = np.minimum(gaps[rows], np.linalg.norm(x[rows] - x[taken], axis=1))


def _off_middle(x: Embeddings) -> PerCase:
    """Return how far each scan of a cluster is from its others; of a very large one, from its mean."""
    if len(x) > SAMPLE:
        return np.asarray(np.linalg.norm(x - x.mean(axis=0), axis=1), dtype=np.float64)
    return np.asarray(pairwise_distances(x, x).sum(axis=1), dtype=np.float64)


def _tsne(x: Embeddings, seed: int) -> Float[np.ndarray, "case 2"]:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        flat = TSNE(perplexity=min(30.0, (len(x) - 1) / 3), init="pca", random_state=seed).fit_transform(x)
    return np.asarray(flat, dtype=np.float64)


def shares(sizes: Counts, total: int) -> Counts:
    """Return how many of ``total`` each cluster gets in proportion to its size, by largest remainders, at most all.

    Ties go to the larger cluster, then to the lower number. The sum is ``total``, or all scans where there are fewer.
    """
    exact = sizes * (min(total, int(sizes.sum())) / max(int(sizes.sum()), 1))
    counts: np.ndarray = np.minimum(np.floor(exact + 1e-9).astype(np.int64), sizes)
    order = np.lexsort((np.arange(len(sizes)), -sizes, -np.round(exact - counts, 9)))
    left = min(total, int(sizes.sum())) - int(counts.sum())
    counts[order[:left]] += 1
    return counts


def best_clusters(x: Embeddings, most: int, seed: int) -> tuple[Clusters | None, float | None]:
    """Return the clusters of the largest mean silhouette and that number, the fewest where several are alike.

    K is found on a sample of a large pool. None where no two clusters can be told apart.
    """
    from sklearn.metrics import silhouette_score

    looked_at = x
    if len(x) > SAMPLE:
        looked_at = x[np.sort(np.random.default_rng(seed).choice(len(x), SAMPLE, replace=False))]
    best: Clusters | None = None
    highest = -np.inf
    for wanted in range(2, min(most, len(looked_at) // 2) + 1):
        clusters = kmeans(looked_at, wanted, seed)
        if 2 <= len(np.unique(clusters.labels)) < len(looked_at):
            score = float(silhouette_score(looked_at, clusters.labels))
            if score > highest + 1e-9:
                best, highest = clusters, score
    if best is None:
        return None, None
    return best if looked_at is x else kmeans(x, len(best.centres), seed), round(highest, 6)
