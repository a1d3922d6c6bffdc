"""Informative × representative: unsure scans that stand for many which nobody has labelled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from firstscan.domain.arrays import Float
from firstscan.selection.gating.gate import Gate
from firstscan.selection.geometry import refuse_pairwise, squared_distances, standardise, unit_length
from firstscan.selection.protocol import Candidates, Outcome
from firstscan.selection.queries.measures import Aggregate
from firstscan.selection.queries.protocol import POOL_GROUPS, Query
from firstscan.selection.signals import rank_normalise


@dataclass(frozen=True)
class Quire(Query):
    """Take the scan of highest U^w · R^(1−w): unsure, and like many unlabelled scans but unlike the labelled ones.

    R is the mean likeness to the unlabelled scans, less what the nearest labelled scan or pick has of each of them
    already. Both are rank-normalised over the scans that can be picked, anew after every pick.

    Parameters
    ----------
    weight : w, of uncertainty against representativeness.
    aggregate : which voxels of a scan are averaged.

    References
    ----------
    Huang, Jin & Zhou 2010, NeurIPS (QUIRE): a query should be informative and representative, judged by labelled and
    unlabelled scans alike. Deviation: this is its idea, not its algorithm, which needs labels of whole instances and
    the inverse of the kernel; here as information density (Settles & Craven 2008) with a kernel of σ = 1.
    """

    name: ClassVar[str] = "quire"
    summary: ClassVar[str] = "unsure scans that stand for many unlabelled ones (informative × representative)"
    reference: ClassVar[str] = "Huang et al. 2010, NeurIPS"
    groups: ClassVar[tuple[str, ...]] = POOL_GROUPS

    weight: float = field(default=0.5, metadata={"least": 0, "most": 1})
    aggregate: Aggregate = "foreground"

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take the best product until the gate is full."""
        x = candidates.embeddings
        refuse_pairwise(self.name, *x.shape)
        values = self.measures(candidates).of("entropy", self.aggregate)
        kernel = likeness(x)
        reached = np.zeros(len(x))
        for row in candidates.covered:
            reached = np.maximum(reached, kernel[row])
        first: np.ndarray | None = None
        while gate.has_room():
            score = self._scores(values, kernel, reached, gate)
            first = score if first is None else first
            row = gate.take_best(score, _reason)
            if row is not None:
                reached = np.maximum(reached, kernel[row])
        return Outcome(scores=None if first is None else np.where(np.isfinite(first), first, 0.0))

    def _scores(self, values: np.ndarray, kernel: np.ndarray, reached: np.ndarray, gate: Gate) -> np.ndarray:
        rows = np.flatnonzero(gate.open)
        stands_for = np.maximum(kernel[rows] - reached, 0).mean(axis=1)
        scores = np.full(len(values), -np.inf)
        scores[rows] = rank_normalise(values[rows]) ** self.weight * rank_normalise(stands_for) ** (1 - self.weight)
        return scores


def likeness(x: Float[np.ndarray, "case dim"]) -> Float[np.ndarray, "case case"]:
    """Return exp(−d²/2) between standardised features of unit length."""
    scaled = unit_length(standardise(x.astype(np.float64)))
    kernel: np.ndarray = np.exp(-0.5 * squared_distances(scaled, scaled))
    return kernel


def _reason(row: int) -> str:  # noqa: ARG001 - a reason is a function of the row
    return "best product of uncertainty and likeness to scans that no label stands for"
