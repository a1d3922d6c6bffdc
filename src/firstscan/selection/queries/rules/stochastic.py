"""Stochastic batches: the least sure of many random batches."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from firstscan.selection.gating.gate import Gate
from firstscan.selection.protocol import Candidates, Outcome
from firstscan.selection.queries.measures import Aggregate, Measure
from firstscan.selection.queries.protocol import Query


@dataclass(frozen=True)
class Stochastic(Query):
    """Draw random batches and take the one of highest mean uncertainty; every batch obeys the constraints.

    Parameters
    ----------
    batches : how many are drawn.
    measure : which uncertainty is averaged over a batch.
    aggregate : which voxels of a scan are averaged.

    References
    ----------
    Gaillochet, Desrosiers & Lombaert 2023, Medical Image Analysis 90:102958. Deviation: batches are drawn with
    replacement from all batches, not as a partition of the pool, so that a small pool has many, too.
    """

    name: ClassVar[str] = "stochastic"
    summary: ClassVar[str] = "the least sure of many random batches"
    reference: ClassVar[str] = "Gaillochet et al. 2023, MedIA"
    uses_embeddings: ClassVar[bool] = False

    batches: int = field(default=100, metadata={"least": 1})
    measure: Measure = "entropy"
    aggregate: Aggregate = "foreground"

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Rehearse the batches at copies of the gate, then take the best one."""
        values = self.measures(candidates).of(self.measure, self.aggregate)
        rng = np.random.default_rng(candidates.seed)
        fixed = len(gate.rows)
        drawn = [_rehearsed(gate, rng.permutation(len(values)))[fixed:] for _ in range(self.batches)]
        means = [float(values[rows].mean()) if rows else 0.0 for rows in drawn]
        best = int(np.argmax(means))
        below = 100 * sum(m < means[best] for m in means) // len(means)
        reason = f"in the batch of highest mean uncertainty of {self.batches} random ones (above {below} % of them)"
        for row in drawn[best]:
            gate.take(row, reason, score=float(values[row]))
        diagnostics = {"batch_mean": means[best], "batch_means_sd": float(np.std(means))}
        return Outcome(scores=values, diagnostics=diagnostics)


def _rehearsed(gate: Gate, order: np.ndarray) -> list[int]:
    """Return the rows of the batch that a copy of the gate makes of scans in this order."""
    copy = deepcopy(gate)
    while copy.has_room():  # a second round where only twins of annotated scans are left
        for row in order:
            copy.take(int(row), "")
    return copy.rows
