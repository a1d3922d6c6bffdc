"""Uncertainty herding: picks that cover the scans that the model is unsure of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from firstscan.selection.gating.gate import Gate
from firstscan.selection.protocol import Candidates, Outcome
from firstscan.selection.queries.measures import Aggregate, Measure
from firstscan.selection.queries.protocol import POOL_GROUPS, Query
from firstscan.selection.strategies.maxherding import MaxHerding


@dataclass(frozen=True)
class Herding(Query):
    """Cover the pool softly with a kernel on its feature groups, each scan weighted with the model's uncertainty.

    Labelled scans cover their surroundings already. Where the model is unsure of all scans alike this is plain
    coverage; the more it can tell scans apart, the more the unsure ones decide.

    Parameters
    ----------
    measure : which uncertainty weighs a scan.
    bandwidth : σ of the kernel exp(−d²/2σ²) on standardised features of unit length.
    aggregate : which voxels of a scan are averaged.

    References
    ----------
    Bae et al. 2025, ICLR (uncertainty herding; σ = 1 of Bae et al. 2024). Deviations: uncertainty enters by its rank
    in the pool (as in strategy maxherding), so that its scale does not matter; no temperature is fitted and the
    bandwidth does not shrink from round to round.
    """

    name: ClassVar[str] = "herding"
    summary: ClassVar[str] = "covers the scans that the model is unsure of, over the feature groups of the pool"
    reference: ClassVar[str] = "Bae et al. 2025, ICLR"
    groups: ClassVar[tuple[str, ...]] = POOL_GROUPS

    measure: Measure = "entropy"
    bandwidth: float = field(default=1.0, metadata={"above": 0})
    aggregate: Aggregate = "foreground"

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take the scan that adds most to the coverage of unsure scans, until the gate is full."""
        values = self.measures(candidates).of(self.measure, self.aggregate)
        seen = replace(candidates, uncertainty=values.astype(np.float64))
        return MaxHerding(bandwidth=self.bandwidth, weighted=True)(seen, gate)
