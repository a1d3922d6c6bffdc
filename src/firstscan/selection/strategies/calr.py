"""CALR: BIRCH clusters, and the scan of highest information density in each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from firstscan.domain.arrays import PerCase, Strata
from firstscan.domain.errors import UsageError
from firstscan.selection.gating.gate import Gate
from firstscan.selection.geometry import birch, unit_length
from firstscan.selection.protocol import Candidates, Outcome, Strategy
from firstscan.selection.stratified import Members, fill, members_of, serve

LARGEST_POOL = 20_000  # 3 GiB, about a minute on two cores
PAIRWISE_MEMBERS = 2_000


@dataclass(frozen=True)
class Calr(Strategy):
    """Information density is the mean cosine similarity to the scans of the same cluster.

    ``threshold`` is BIRCH's, on the embeddings as they are; ``strata`` gives the cluster of every case instead.

    References
    ----------
    Jin et al. 2022, Cold-start active learning for image classification, as coded for CSAL-3D.
    """

    name: ClassVar[str] = "calr"
    summary: ClassVar[str] = "BIRCH clusters, and the scan most similar to the others of each"
    reference: ClassVar[str] = "Jin et al. 2022, Information Sciences"
    uses_uncertainty: ClassVar[bool] = False

    threshold: float = field(default=0.5, metadata={"above": 0})
    strata: Strata | None = field(default=None, metadata={"per_case": True})

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take the densest scan of each cluster, largest cluster first."""
        strata = self._clusters(candidates) if self.strata is None else self.strata
        density = _information_density(candidates.embeddings, strata)

        def rank(stratum: int, members: Members) -> Iterator[tuple[int, str]]:
            for position in np.argsort(-density[members], kind="stable"):
                row = int(members[position])
                yield row, f"mean similarity {density[row]:.2f} to the {len(members)} scans of stratum {stratum}"

        serve(gate, strata, set(strata[candidates.covered].tolist()), rank, density)
        fill(gate, strata, density)
        return Outcome(strata=strata, scores=density)

    def _clusters(self, candidates: Candidates) -> Strata:
        n = len(candidates)
        if n > LARGEST_POOL:
            raise UsageError(
                f"calr clusters the pool with BIRCH, whose last step needs about {n * n * 8 / 2**30:.0f} GiB for {n} "
                f"cases; give at most {LARGEST_POOL} cases, or strata of your own, or choose alps"
            )
        return birch(candidates.embeddings, min(candidates.annotations, n), self.threshold)


def _mean_similarity(x: np.ndarray) -> PerCase:
    """Return each row's mean cosine similarity to all rows, itself included; in pairs where ties hang on rounding."""
    from sklearn.metrics.pairwise import cosine_similarity

    if len(x) <= PAIRWISE_MEMBERS:
        return np.asarray(cosine_similarity(x).mean(axis=1))
    unit = unit_length(x)
    return np.asarray(unit @ unit.mean(axis=0))


def _information_density(x: np.ndarray, strata: Strata) -> PerCase:
    density = np.zeros(len(x))
    for rows in members_of(strata):
        if len(rows):
            density[rows] = _mean_similarity(x[rows])
    return density
