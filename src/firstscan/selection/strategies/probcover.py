"""ProbCover: balls of one radius that cover as much of the pool as possible."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np

from firstscan.domain.arrays import PerCase
from firstscan.selection.gating.gate import Gate
from firstscan.selection.geometry import balls, kmeans, nearest_of_other_group, refuse_pairwise
from firstscan.selection.protocol import Candidates, Outcome, Strategy


@dataclass(frozen=True)
class ProbCover(Strategy):
    """Greedy maximum coverage: each pick has the most uncovered scans nearer than ``radius``; ties to the first id.

    Parameters
    ----------
    radius : δ, Euclidean, of the embeddings as they are; None takes the largest at which a share ``purity`` of the
        balls holds only scans of one k-means pseudo-class (K = annotations).
    purity : in (0, 1].

    References
    ----------
    Yehuda et al. 2022, NeurIPS: edges where distance < δ, purity rule of its section 3.3 solved exactly, not on
    a grid. Edges take one bit a pair. Once all is covered its code repeats the first scan; ours goes on in id order.
    """

    name: ClassVar[str] = "probcover"
    summary: ClassVar[str] = "balls of one radius that cover as much of the pool as possible"
    reference: ClassVar[str] = "Yehuda et al. 2022, NeurIPS"
    uses_uncertainty: ClassVar[bool] = False

    radius: float | None = field(default=None, metadata={"above": 0})
    purity: float = field(default=0.95, metadata={"above": 0, "most": 1})

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take the scan whose ball holds the most uncovered scans, until the gate is full."""
        x = candidates.embeddings
        refuse_pairwise("probcover", *x.shape)
        radius = self._pure_radius(candidates) if self.radius is None else self.radius
        reach = balls(x, radius)
        uncovered = np.packbits(np.ones(len(x), dtype=bool))
        for row in candidates.covered:
            uncovered &= ~reach[row]
        while gate.has_room():
            gain = np.bitwise_count(reach & uncovered).sum(axis=1).astype(np.float64)
            taken = gate.take_best(gain, partial(_reason, gain))
            if taken is not None:
                uncovered &= ~reach[taken]
        coverage = 1 - int(np.bitwise_count(uncovered).sum()) / len(x)
        return Outcome(
            diagnostics={"radius": float(radius), "radius_given": self.radius is not None, "coverage": coverage}
        )

    def _pure_radius(self, candidates: Candidates) -> float:
        x = candidates.embeddings
        pseudo = kmeans(x, min(candidates.annotations, len(x)), candidates.seed).labels
        limits = np.sort(nearest_of_other_group(x, pseudo))
        finite = limits[np.isfinite(limits)]
        if not len(finite):  # one pseudo-class: every ball is pure
            return float(np.finfo(np.float32).max)
        return max(float(limits[int(np.floor((1 - self.purity) * len(limits)))]), float(np.finfo(np.float32).tiny))


def _reason(gain: PerCase, row: int) -> str:
    return f"covers {gain[row]:.0f} scans that no earlier pick covers"
