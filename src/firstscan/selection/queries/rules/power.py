"""PowerPE: scans drawn with a probability that grows with their predictive entropy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from firstscan.selection.gating.gate import Gate
from firstscan.selection.protocol import Candidates, Outcome
from firstscan.selection.queries.measures import Aggregate
from firstscan.selection.queries.protocol import Query, higher_than, power_noised


@dataclass(frozen=True)
class PowerEntropy(Query):
    """Take the scans of highest log entropy plus Gumbel noise: a draw without replacement, ∝ entropy^power.

    Scans of highest entropy are often alike; the noise keeps a batch from holding one kind only.

    Parameters
    ----------
    power : β; 0 would be a random draw, a large one takes the highest entropies.
    aggregate : which voxels of a scan are averaged.

    References
    ----------
    Kirsch et al. 2023, TMLR (power acquisition, β = 1); PowerPE of nnActive (Lüth et al. 2025).
    """

    name: ClassVar[str] = "power-entropy"
    summary: ClassVar[str] = "a draw in which less sure scans are likelier (PowerPE)"
    reference: ClassVar[str] = "Kirsch et al. 2023, TMLR"
    uses_embeddings: ClassVar[bool] = False

    power: float = field(default=1.0, metadata={"above": 0})
    aggregate: Aggregate = "foreground"

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take the open scan of highest noised entropy until the gate is full."""
        measures = self.measures(candidates)
        values = measures.of("entropy", self.aggregate)
        noised = power_noised(values, self.power, np.random.default_rng(candidates.seed))
        while gate.has_room():
            gate.take_best(
                noised,
                lambda row: f"drawn in proportion to entropy, which is {higher_than(values, measures.known, row)}",
            )
        return Outcome(scores=noised)
