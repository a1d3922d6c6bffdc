"""Every N/B-th scan by size: the cheap baseline that needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from firstscan.selection.gating.gate import Gate
from firstscan.selection.protocol import Candidates, Outcome, Strategy


@dataclass(frozen=True)
class Strided(Strategy):
    """Sort the pool by foreground size, cut it into B equal stretches, take the middle of each.

    Where the table has no size column the order of the case ids stands in, which the diagnostics say.
    """

    name: ClassVar[str] = "strided"
    summary: ClassVar[str] = "every N/B-th scan by foreground size, the baseline that needs no features"
    reference: ClassVar[str] = ""
    uses_uncertainty: ClassVar[bool] = False
    uses_embeddings: ClassVar[bool] = False

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take the open scan closest to the middle of each stretch."""
        n, stretches = len(candidates), candidates.annotations
        key = "case id" if candidates.sizes is None else "size"
        order = np.arange(n) if candidates.sizes is None else np.argsort(candidates.sizes, kind="stable")
        middles = ((np.arange(stretches) + 0.5) * n / stretches).astype(int)
        place_of = np.argsort(order)
        covered = {int(np.abs(middles - place_of[row]).argmin()) for row in candidates.covered}
        wanted = [int(m) for i, m in enumerate(middles) if i not in covered]
        while gate.has_room():
            middle = wanted.pop(0) if wanted else n // 2
            by_distance = order[np.argsort(np.abs(np.arange(n) - middle), kind="stable")]
            gate.take_first(by_distance, lambda row: f"number {place_of[row] + 1} of {n} by {key}, one in each stretch")
        return Outcome(diagnostics={"ordered_by": key})
