"""CSAL-3D: multi-kernel k-means weighted by certainty, then the hardest of the most typical."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from firstscan.domain.arrays import Float, PerCase, Strata
from firstscan.domain.errors import UsageError
from firstscan.selection.gating.gate import Gate
from firstscan.selection.geometry import pairwise_distances, squared_distances, unit_length
from firstscan.selection.protocol import Candidates, Outcome, Strategy
from firstscan.selection.stratified import Members, fill, members_of, serve

Kernel = Float[np.ndarray, "case case"]
BANDWIDTHS = (0.1, 1.0, 10.0)
DOUBLE_PRECISION_CASES = 5_000
LARGEST_POOL = 23_000


@dataclass(frozen=True)
class Csal3d(Strategy):
    """Kernel k-means on a sum of three RBF kernels; of the ``candidates_per_cluster`` most typical scans, the hardest.

    ``max_iterations`` of k-means; ``strata`` gives the clusters. The kernel of the whole pool is the method: this is
    the one strategy that holds N×N numbers, and it refuses pools for which they do not fit.

    References
    ----------
    Zhu et al. 2025, MICCAI, equations 9-12, as in the repository's first release: embeddings divided by √dim,
    uncertainty scaled to [0, 1] and kernels divided by the sum of two uncertainties; RandomState(seed), 0 there.
    Deviation: clusters left empty are made up for from the whole pool, so that there are always B picks.
    """

    name: ClassVar[str] = "csal3d"
    summary: ClassVar[str] = "multi-kernel clusters, and the hardest of the most typical scans of each"
    reference: ClassVar[str] = "Zhu et al. 2025, MICCAI"
    uses_uncertainty: ClassVar[bool] = True

    candidates_per_cluster: int = field(default=3, metadata={"least": 1})
    max_iterations: int = field(default=100, metadata={"least": 1})
    strata: Strata | None = field(default=None, metadata={"per_case": True})

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take one scan a cluster, largest cluster first."""
        uncertainty = candidates.uncertainty.astype(np.float64)
        span = float(np.ptp(uncertainty))
        hardness = (uncertainty - uncertainty.min()) / (span if span > 0 else 1.0)
        strata = self._clusters(candidates, hardness) if self.strata is None else self.strata
        typicality = _cluster_typicality(candidates.embeddings, strata)
        few = self.candidates_per_cluster

        def rank(stratum: int, members: Members) -> Iterator[tuple[int, str]]:
            by_typicality = members[np.argsort(typicality[members], kind="stable")]
            gated = by_typicality[-few:]
            for row in gated[np.argsort(-hardness[gated], kind="stable")]:
                yield int(row), f"hardest of the {len(gated)} most typical of {len(members)} scans in stratum {stratum}"
            for row in by_typicality[:-few][::-1]:
                yield int(row), f"next most typical of {len(members)} scans in stratum {stratum}"

        serve(gate, strata, set(strata[candidates.covered].tolist()), rank, typicality)
        fill(gate, strata, typicality)
        return Outcome(strata, typicality, typicality, {"n_strata": len(np.unique(strata))})

    def _clusters(self, candidates: Candidates, hardness: PerCase) -> Strata:
        n = len(candidates)
        if n > LARGEST_POOL:
            raise UsageError(
                f"csal3d needs the kernel of all pairs, {n * n * 4 / 2**30:.1f} GiB for {n} cases; give at most "
                f"{LARGEST_POOL} cases, or strata of your own, or choose another strategy"
            )
        kernel = _kernel(candidates.embeddings, hardness)
        rng = np.random.RandomState(candidates.seed)  # as published
        return _kernel_kmeans(kernel, min(candidates.annotations, n), rng, self.max_iterations)


def _kernel(x: np.ndarray, hardness: PerCase) -> Kernel:
    """Return the sum of the RBF kernels, each pair divided by the sum of its two uncertainties."""
    exact = len(x) <= DOUBLE_PRECISION_CASES
    scaled = x / np.sqrt(x.shape[1], dtype=x.dtype)
    if not exact:
        scaled, hardness = scaled.astype(np.float32), hardness.astype(np.float32)
    kernel = np.zeros((len(x), len(x)), dtype=np.float64 if exact else np.float32)
    for start in range(0, len(x), 1024):
        rows = slice(start, start + 1024)
        squared = pairwise_distances(scaled[rows], scaled) ** 2 if exact else squared_distances(scaled[rows], scaled)
        for bandwidth in BANDWIDTHS:
            kernel[rows] += np.exp(-bandwidth * squared / 2)
        kernel[rows] /= hardness[rows, None] + hardness[None, :] + np.float32(1e-10)
    return kernel


def _kernel_kmeans(kernel: Kernel, clusters: int, rng: np.random.RandomState, max_iterations: int) -> Strata:
    labels = rng.choice(clusters, len(kernel))
    diagonal = np.diagonal(kernel)
    distance = np.full((len(kernel), clusters), np.inf)
    changed = set(range(clusters))
    for _ in range(max_iterations):
        members = members_of(labels)
        for cluster in changed:
            rows = members[cluster] if cluster < len(members) else labels[:0]
            if not len(rows):
                distance[:, cluster] = np.inf
                continue
            to_cluster = (np.ones(len(rows), kernel.dtype) @ kernel[rows]).astype(np.float64)  # the kernel is symmetric
            within = to_cluster[rows].sum() / len(rows) ** 2
            distance[:, cluster] = diagonal - 2 * to_cluster / len(rows) + within
        updated = distance.argmin(axis=1)
        for cluster in range(clusters):
            if not (updated == cluster).any():
                updated[rng.choice(len(kernel))] = cluster
        moved = labels != updated
        if not moved.any():
            break
        changed = {*labels[moved].tolist(), *updated[moved].tolist()}
        labels = updated
    return labels


def _cluster_typicality(x: np.ndarray, strata: Strata) -> PerCase:
    """Return the inverse mean cosine distance to the scans of the same cluster, itself included."""
    unit = unit_length(x.astype(np.float64))
    typicality = np.zeros(len(x))
    for rows in members_of(strata):
        if len(rows):
            mean_distance = np.clip(1 - unit[rows] @ unit[rows].mean(axis=0), 0, 2)
            typicality[rows] = 1 / (mean_distance + 1e-10)
    return typicality
