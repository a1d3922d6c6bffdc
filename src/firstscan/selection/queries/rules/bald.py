"""BALD: the scans on which the members of an ensemble disagree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from firstscan.selection.gating.gate import Gate
from firstscan.selection.protocol import Candidates, Outcome
from firstscan.selection.queries.measures import Aggregate
from firstscan.selection.queries.protocol import Query, higher_than


@dataclass(frozen=True)
class Bald(Query):
    """Take the scans of highest mutual information between prediction and model.

    That is the entropy of the mean prediction less the mean entropy of the members' predictions: what another label
    could teach, without what no label can.

    Parameters
    ----------
    aggregate : which voxels of a scan are averaged.

    References
    ----------
    Houlsby et al. 2011, arXiv 1112.5745; with ensembles: Beluch et al. 2018, CVPR. Deviation: the members are whole
    trainings from several seeds (or folds), not dropout samples.
    """

    name: ClassVar[str] = "bald"
    summary: ClassVar[str] = "the scans on which the members of the ensemble disagree most (mutual information)"
    reference: ClassVar[str] = "Houlsby et al. 2011"
    uses_embeddings: ClassVar[bool] = False
    least_members: ClassVar[int] = 2

    aggregate: Aggregate = "foreground"

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take the open scan of highest mutual information until the gate is full."""
        measures = self.measures(candidates)
        values = measures.of("information", self.aggregate)
        while gate.has_room():
            gate.take_best(
                values, lambda row: f"disagreement of the ensemble: {higher_than(values, measures.known, row)}"
            )
        return Outcome(scores=values)
