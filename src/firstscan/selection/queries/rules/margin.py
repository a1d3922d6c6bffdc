"""Margin: the scans in which two classes are about as likely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from firstscan.selection.gating.gate import Gate
from firstscan.selection.protocol import Candidates, Outcome
from firstscan.selection.queries.measures import Aggregate
from firstscan.selection.queries.protocol import Query, higher_than


@dataclass(frozen=True)
class Margin(Query):
    """Take the scans of smallest margin between the two likeliest classes.

    Parameters
    ----------
    aggregate : which voxels of a scan are averaged.

    References
    ----------
    Scheffer et al. 2001, IDA. Deviation: the score is 1 − margin, so that higher is less sure as for every rule.
    """

    name: ClassVar[str] = "margin"
    summary: ClassVar[str] = "the scans in which the two likeliest classes are closest"
    reference: ClassVar[str] = "Scheffer et al. 2001"
    uses_embeddings: ClassVar[bool] = False

    aggregate: Aggregate = "foreground"

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take the open scan of smallest margin until the gate is full."""
        measures = self.measures(candidates)
        values = measures.of("margin", self.aggregate)
        while gate.has_room():
            gate.take_best(
                values,
                lambda row: f"closeness of its two likeliest classes: {higher_than(values, measures.known, row)}",
            )
        return Outcome(scores=values)
