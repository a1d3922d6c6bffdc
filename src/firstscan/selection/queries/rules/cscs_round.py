"""The paper's CSCS in a later round: the model's uncertainty in the place of U, γ by how much is labelled."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np

from firstscan.selection.gating.gate import Gate
from firstscan.selection.protocol import Candidates, Outcome
from firstscan.selection.queries.measures import Aggregate
from firstscan.selection.queries.protocol import Query
from firstscan.selection.strategies.cscs import Cscs


@dataclass(frozen=True)
class CscsRound(Query):
    """Serve strata by T^(1−γ)·U^γ with U the model's predictive entropy.

    γ follows the labelled share: labelled scans count in the effective budget α = (labelled + B)/√N and in the number
    of strata. Scans that were not predicted, the labelled ones, have the median entropy in DCR. Strata that hold a
    label are covered.

    Parameters
    ----------
    thin_strata, min_stratum, neighbours, gamma_bounds : as in strategy cscs.
    aggregate : which voxels of a scan are averaged.

    References
    ----------
    Hattat et al. 2026, arXiv 2606.20765, for the score and its pacing. Deviation: the published selection code is that
    of the cold start; entropy in the place of U, and labelled scans in α, are our reading of a later round.
    """

    name: ClassVar[str] = "cscs"
    summary: ClassVar[str] = "strata served by typicality and the model's entropy, paced by what is labelled"
    reference: ClassVar[str] = "Hattat et al. 2026, arXiv 2606.20765"

    thin_strata: Literal["fill", "score"] = "fill"
    min_stratum: int = field(default=3, metadata={"least": 1})
    neighbours: int = field(default=20, metadata={"least": 1})
    gamma_bounds: tuple[float, float] = (0.3, 0.7)
    aggregate: Aggregate = "foreground"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._cold()

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Choose as strategy cscs does, with the model's entropy."""
        measures = self.measures(candidates)
        values = measures.of("entropy", self.aggregate).astype(np.float64)
        values = np.where(measures.known, values, float(np.median(values[measures.known])))
        return self._cold()(replace(candidates, uncertainty=values), gate)

    def _cold(self) -> Cscs:
        return Cscs(self.thin_strata, self.min_stratum, self.neighbours, self.gamma_bounds)
