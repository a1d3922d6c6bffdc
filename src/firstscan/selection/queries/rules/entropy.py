"""Predictive entropy: the scans that the model is least sure of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from firstscan.selection.gating.gate import Gate
from firstscan.selection.protocol import Candidates, Outcome
from firstscan.selection.queries.measures import Aggregate
from firstscan.selection.queries.protocol import Query, higher_than


@dataclass(frozen=True)
class Entropy(Query):
    """Take the scans of highest entropy of the mean prediction.

    Parameters
    ----------
    aggregate : which voxels of a scan are averaged.

    References
    ----------
    Settles 2009, Active Learning Literature Survey, section 3.1; on volumes: nnActive (Lüth et al. 2025). Deviation:
    whole scans are ranked, not patches of them, by a stated average over their voxels.
    """

    name: ClassVar[str] = "entropy"
    summary: ClassVar[str] = "the scans whose mean prediction is least sure"
    reference: ClassVar[str] = "Settles 2009"
    uses_embeddings: ClassVar[bool] = False

    aggregate: Aggregate = "foreground"

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take the open scan of highest entropy until the gate is full."""
        measures = self.measures(candidates)
        values = measures.of("entropy", self.aggregate)
        while gate.has_room():
            gate.take_best(values, lambda row: f"entropy of its prediction: {higher_than(values, measures.known, row)}")
        return Outcome(scores=values)
