"""Nearest to centre: the scan closest to the middle of each k-means cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from firstscan.domain.arrays import Strata
from firstscan.selection.gating.gate import Gate
from firstscan.selection.geometry import kmeans
from firstscan.selection.protocol import Candidates, Outcome, Strategy
from firstscan.selection.stratified import Members, fill, serve


@dataclass(frozen=True)
class Alps(Strategy):
    """K-means with K = annotations on the embeddings as they are; the scan nearest to each centre.

    ``restarts`` is 1 as in the published comparison; ``strata`` gives the cluster of every case (centres: their means).

    References
    ----------
    Yuan et al. 2020, EMNLP, as applied in the code of CSAL-3D (Zhu et al. 2025, MICCAI).
    """

    name: ClassVar[str] = "alps"
    summary: ClassVar[str] = "the scan nearest to the centre of each k-means cluster"
    reference: ClassVar[str] = "Yuan et al. 2020, EMNLP"
    uses_uncertainty: ClassVar[bool] = False

    restarts: int = field(default=1, metadata={"least": 1})
    strata: Strata | None = field(default=None, metadata={"per_case": True})

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take the scan nearest to each centre, largest cluster first."""
        x = candidates.embeddings
        if self.strata is None:
            clusters = kmeans(x, min(candidates.annotations, len(x)), candidates.seed, self.restarts)
            strata, centres = clusters.labels, clusters.centres
        else:
            strata = self.strata
            sums = np.zeros((strata.max() + 1, x.shape[1]))
            np.add.at(sums, strata, x)
            centres = sums / np.maximum(np.bincount(strata), 1)[:, None]
        closeness = -np.linalg.norm(x - centres[strata], axis=1).astype(np.float64)

        def rank(stratum: int, members: Members) -> Iterator[tuple[int, str]]:
            for place, position in enumerate(np.argsort(-closeness[members], kind="stable"), start=1):
                near = "nearest" if place == 1 else f"number {place} nearest"
                yield int(members[position]), f"{near} to the centre of stratum {stratum} among its {len(members)}"

        serve(gate, strata, set(strata[candidates.covered].tolist()), rank, closeness)
        fill(gate, strata, closeness)
        return Outcome(strata=strata, scores=closeness)
