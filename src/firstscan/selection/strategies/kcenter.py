"""Farthest-point sampling: each pick is the scan least like all picks before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from firstscan.selection.gating.gate import Gate
from firstscan.selection.geometry import squared_distances_to, standardise
from firstscan.selection.protocol import Candidates, Outcome, Strategy


@dataclass(frozen=True)
class KCenter(Strategy):
    """Greedy k-center on standardised embeddings; the first point is random unless something is annotated already.

    References
    ----------
    Sener & Savarese 2018, ICLR; Gonzalez 1985. The first point is ``RandomState(seed).randint(N)``.
    """

    name: ClassVar[str] = "kcenter"
    summary: ClassVar[str] = "farthest point first: spreads the picks as widely as possible"
    reference: ClassVar[str] = "Sener & Savarese 2018, ICLR"
    uses_uncertainty: ClassVar[bool] = False

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take the open scan farthest from everything annotated, again and again."""
        x = standardise(candidates.embeddings)
        gap = np.full(len(x), np.inf)  # squared distance to the nearest annotated case
        for row in candidates.covered:
            np.minimum(gap, squared_distances_to(x, x[row]), out=gap)
        if not len(candidates.covered):
            start = np.random.RandomState(candidates.seed).randint(len(x))  # as published
            first = gate.take_first(
                np.roll(np.arange(len(x)), -start), f"first point, drawn with seed {candidates.seed}"
            )
            if first is not None:
                np.minimum(gap, squared_distances_to(x, x[first]), out=gap)
        while gate.has_room():
            row = gate.take_best(gap, lambda row: f"{np.sqrt(gap[row]):.3g} away from the nearest scan picked before")
            if row is None:
                break
            np.minimum(gap, squared_distances_to(x, x[row]), out=gap)
        return Outcome()
