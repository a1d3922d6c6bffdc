"""USL: the densest scan of each cluster, pushed away from the picks of the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from firstscan.domain.arrays import PerCase, Strata
from firstscan.selection.gating.gate import Gate
from firstscan.selection.geometry import kmeans, pairwise_distances, typicality, unit_length
from firstscan.selection.protocol import Candidates, Outcome, Strategy
from firstscan.selection.stratified import Members, fill, members_of, serve


@dataclass(frozen=True)
class Usl(Strategy):
    """Density of unit-length embeddings minus a penalty for nearness to the picks of other clusters, iterated.

    Parameters
    ----------
    neighbours : for the density.
    weight, power, momentum, iterations : λ, α, m and steps of the penalty Σ 1/distance^α.

    References
    ----------
    Wang, Lian & Yu 2022, ECCV, equations 3-6 and its code's defaults. Distances below 1e-6 count as 1e-6.
    """

    name: ClassVar[str] = "usl"
    summary: ClassVar[str] = "the densest scan of each cluster, kept apart from the picks of the others"
    reference: ClassVar[str] = "Wang et al. 2022, ECCV"
    uses_uncertainty: ClassVar[bool] = False

    neighbours: int = field(default=20, metadata={"least": 1})
    weight: float = field(default=0.5, metadata={"least": 0})
    power: float = field(default=0.5, metadata={"least": 0})
    momentum: float = field(default=0.9, metadata={"least": 0, "most": 1})
    iterations: int = field(default=10, metadata={"least": 0})

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Settle the utility, then take the best scan of each cluster, largest cluster first."""
        x = unit_length(candidates.embeddings)
        density = typicality(x, self.neighbours)
        clusters = kmeans(x, min(candidates.annotations, len(x)), candidates.seed)
        utility = self._settled(x, density.values, clusters.labels, candidates.covered)

        def rank(stratum: int, members: Members) -> Iterator[tuple[int, str]]:
            for place, position in enumerate(np.argsort(-utility[members], kind="stable"), start=1):
                first = "densest" if place == 1 else f"number {place} densest"
                yield (
                    int(members[position]),
                    f"{first} of {len(members)} scans in stratum {stratum}, apart from the other picks",
                )

        strata = clusters.labels
        serve(gate, strata, set(strata[candidates.covered].tolist()), rank, utility)
        fill(gate, strata, utility)
        facts = {"neighbours_exact": density.exact, "neighbour_recall": density.recall, "inertia": clusters.inertia}
        return Outcome(strata, utility, density.values, facts)

    def _settled(self, x: np.ndarray, density: PerCase, strata: Strata, covered: np.ndarray) -> PerCase:
        members = [rows for rows in members_of(strata) if len(rows)]
        utility, penalty = density, np.zeros(len(x))
        for _ in range(self.iterations):
            picks = np.union1d(covered, [rows[utility[rows].argmax()] for rows in members]).astype(np.intp)
            fresh = np.empty(len(x))
            for start in range(0, len(x), 4096):
                rows = slice(start, start + 4096)
                near = np.maximum(pairwise_distances(x[rows], x[picks]), 1e-6) ** -self.power
                near[strata[rows, None] == strata[None, picks]] = 0
                fresh[rows] = near.sum(axis=1)
            penalty = self.momentum * penalty + (1 - self.momentum) * fresh
            utility = density - self.weight * penalty
        return utility
