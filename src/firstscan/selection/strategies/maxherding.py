"""MaxHerding: picks whose kernel covers the whole pool softly, optionally its hard scans first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from firstscan.domain.arrays import Embeddings, Float, Int, PerCase
from firstscan.domain.errors import UsageError
from firstscan.selection.gate import Gate
from firstscan.selection.geometry import refuse_pairwise, squared_distances, standardise, unit_length
from firstscan.selection.protocol import Candidates, Outcome, Strategy
from firstscan.selection.signals import rank_normalise

BATCH = 64


@dataclass(frozen=True)
class MaxHerding(Strategy):
    """Greedy Σ wₙ max over picks of k(pick, n), k an RBF kernel on standardised, unit-length embeddings.

    Coverage has diminishing returns, so that gains found earlier bound later ones: only the scans that may still win
    are evaluated again, with the same picks as the full greedy search.

    Parameters
    ----------
    bandwidth : σ of exp(−d²/2σ²), above 0.
    weighted : weigh each scan of the pool by its rank-normalised uncertainty (uncertainty herding).

    References
    ----------
    Bae et al. 2024, ECCV (σ = 1 on unit-length features); Bae et al. 2025, ICLR for the weighted form.
    """

    name: ClassVar[str] = "maxherding"
    summary: ClassVar[str] = "covers the whole pool softly with a kernel; weighted=True favours covering hard scans"
    reference: ClassVar[str] = "Bae et al. 2024, ECCV"
    uses_uncertainty: ClassVar[bool] = True

    bandwidth: float = 1.0
    weighted: bool = False

    def __post_init__(self) -> None:
        if not self.bandwidth > 0:
            raise UsageError(f"bandwidth must be above 0; found {self.bandwidth}")

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take the scan that adds most to the coverage, until the gate is full."""
        refuse_pairwise("maxherding", *candidates.embeddings.shape)
        x = unit_length(standardise(candidates.embeddings))
        n = len(x)
        weights = rank_normalise(candidates.uncertainty) if self.weighted else np.ones(n)
        reached = np.zeros(n, dtype=x.dtype)
        for row in candidates.covered:
            np.maximum(reached, self._kernel(x, np.array([row]))[0], out=reached)
        bounds = np.concatenate(
            [self._gains(x, np.arange(s, min(s + BATCH, n)), reached, weights) for s in range(0, n, BATCH)]
        )
        first_gains = bounds / weights.sum()
        current = np.ones(n, dtype=bool)
        while gate.has_room():
            reachable = np.where(gate.open, bounds, -np.inf)
            best = int(reachable.argmax())
            if not current[best]:
                stale = np.flatnonzero(~current & gate.open)
                rows = stale[np.argsort(-bounds[stale], kind="stable")[:BATCH]]
                bounds[rows] = self._gains(x, rows, reached, weights)
                current[rows] = True
                continue
            share = bounds[best] / weights.sum()
            if gate.take(best, f"adds {100 * share:.1f} % to how much of the pool is covered", score=float(share)):
                np.maximum(reached, self._kernel(x, np.array([best]))[0], out=reached)
                current[:] = False
        coverage = float((weights * reached).sum() / weights.sum())
        return Outcome(scores=first_gains, diagnostics={"coverage": coverage, "bandwidth": self.bandwidth})

    def _kernel(self, x: Embeddings, rows: Int[np.ndarray, " row"]) -> Float[np.ndarray, "row case"]:
        kernel: np.ndarray = np.exp(squared_distances(x[rows], x) * (-0.5 / self.bandwidth**2))
        return kernel

    def _gains(self, x: Embeddings, rows: Int[np.ndarray, " row"], reached: np.ndarray, weights: PerCase) -> np.ndarray:
        gains: np.ndarray = np.maximum(self._kernel(x, rows) - reached, 0) @ weights
        return gains
