"""Adaptive curriculum: scans as hard as the labels so far allow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from firstscan.selection.gating.gate import Gate
from firstscan.selection.geometry import kmeans, standardise
from firstscan.selection.protocol import Candidates, Outcome
from firstscan.selection.queries.measures import Aggregate
from firstscan.selection.queries.protocol import POOL_GROUPS, Query, progress
from firstscan.selection.signals import rank_normalise
from firstscan.selection.stratified import Members, fill, serve


@dataclass(frozen=True)
class Curriculum(Query):
    """One scan a stratum, as unsure as the curriculum has come: easy ones first, hard ones in later rounds.

    The wanted place in the ranking of uncertainty rises from ``first`` to ``last`` with the labelled share of the
    pool, up to 40 % of it. Strata are clusters of the features; those that hold a label come last.

    Parameters
    ----------
    first, last : wanted place, 0 (the surest scan) … 1 (the least sure one).
    aggregate : which voxels of a scan are averaged.

    References
    ----------
    Bengio et al. 2009, ICML (curriculum learning); Jiang et al. 2014, NeurIPS for easiness with diversity. Deviation:
    no published rule for volumes fits; this one paces by the labelled share, as CSCS paces by the budget.
    """

    name: ClassVar[str] = "curriculum"
    summary: ClassVar[str] = "one scan a stratum, easy ones in early rounds and hard ones later"
    reference: ClassVar[str] = "Bengio et al. 2009, ICML"
    groups: ClassVar[tuple[str, ...]] = POOL_GROUPS

    first: float = field(default=0.3, metadata={"least": 0, "most": 1})
    last: float = field(default=0.9, metadata={"least": 0, "most": 1})
    aggregate: Aggregate = "foreground"

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take the scan nearest to the wanted place from each stratum, then from the whole pool."""
        measures = self.measures(candidates)
        values = measures.of("entropy", self.aggregate)
        wanted = self.first + (self.last - self.first) * progress(candidates)
        place = np.zeros(len(values))
        place[measures.known] = rank_normalise(values[measures.known])
        fit = 1 - np.abs(place - wanted)
        clusters = min(candidates.annotations, len(candidates))
        strata = kmeans(standardise(candidates.embeddings.astype(np.float64)), clusters, candidates.seed).labels

        def rank(stratum: int, members: Members) -> Iterator[tuple[int, str]]:
            for position in np.argsort(-fit[members], kind="stable"):
                row = int(members[position])
                yield row, f"less sure than {100 * place[row]:.0f} % of the pool, in stratum {stratum} of its features"

        serve(gate, strata, set(strata[candidates.covered].tolist()), rank, fit)
        fill(gate, strata, fit)
        return Outcome(strata, fit, diagnostics={"wanted_place": wanted})
