"""ClaSP PE: every class has its turn, and noise gives way to entropy as labels come in."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np

from firstscan.domain.arrays import Float, PerCase
from firstscan.selection.gating.gate import Gate
from firstscan.selection.protocol import Candidates, Outcome
from firstscan.selection.queries.measures import Aggregate
from firstscan.selection.queries.protocol import Query, higher_than, power_noised, progress


@dataclass(frozen=True)
class Clasp(Query):
    """Fill two thirds of the batch by the entropy of one class after the other, the rest by that of the whole scan.

    All entropies are power-noised; the power rises with the labelled share, from a spread-out first round to the
    highest entropies later.

    Parameters
    ----------
    stratified : share of the picks that are taken class by class.
    first_power, last_power : β with no label, and with 40 % of the pool labelled; between, β grows by equal factors.
    aggregate : which voxels of a scan are averaged for the rest.

    References
    ----------
    Lüth et al. 2026, arXiv 2601.13677; 66 % by class as in the code of nnActive. Deviations: β's bounds are ours; whole
    scans, not patches; the entropy of a class is the mean over the scan weighted with its probability; the schedule
    follows the labelled share, because how many rounds there will be is not known; classes take turns from the one of
    highest mean entropy on, not in random order.
    """

    name: ClassVar[str] = "clasp"
    summary: ClassVar[str] = "entropy class by class, with noise that fades from round to round (ClaSP PE)"
    reference: ClassVar[str] = "Lüth et al. 2026, arXiv 2601.13677"
    uses_embeddings: ClassVar[bool] = False

    stratified: float = field(default=0.66, metadata={"least": 0, "most": 1})
    first_power: float = field(default=1.0, metadata={"above": 0})
    last_power: float = field(default=100.0, metadata={"above": 0})
    aggregate: Aggregate = "foreground"

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take by class until their share is reached, then by the whole scan."""
        measures = self.measures(candidates)
        power = self.first_power * (self.last_power / self.first_power) ** progress(candidates)
        rng = np.random.default_rng(candidates.seed)
        by_class = measures.by_class[:, 1:]
        noised = np.stack([power_noised(column, power, rng) for column in by_class.T], axis=1)
        whole = measures.of("entropy", self.aggregate)
        noised_whole = power_noised(whole, power, rng)
        turns = _hardest_first(by_class[measures.known])
        for_classes = len(gate.rows) + round(self.stratified * (candidates.budget - len(gate.rows)))
        turn = 0
        while gate.has_room() and len(gate.rows) < for_classes:
            c = turns[turn % len(turns)]
            turn += 1
            gate.take_best(noised[:, c], partial(_reason, by_class[:, c], measures.known, c + 1))
        while gate.has_room():
            gate.take_best(
                noised_whole, lambda row: f"drawn by entropy, which is {higher_than(whole, measures.known, row)}"
            )
        return Outcome(scores=noised_whole, diagnostics={"power": power})


def _reason(values: PerCase, known: np.ndarray, number: int, row: int) -> str:
    return f"for class number {number}: its entropy is {higher_than(values, known, row)}"


def _hardest_first(by_class: Float[np.ndarray, "case class"]) -> list[int]:
    """Return the classes (0: the first one that is not background) by falling mean entropy."""
    return [int(c) for c in np.argsort(-by_class.mean(axis=0), kind="stable")]
