"""MaxHerding: picks whose kernel covers the whole pool softly, optionally its hard scans first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from firstscan.domain.arrays import Float
from firstscan.domain.errors import UsageError
from firstscan.selection.gating.gate import Gate
from firstscan.selection.geometry import squared_distances, standardise, unit_length
from firstscan.selection.protocol import Candidates, Outcome, Strategy
from firstscan.selection.signals import rank_normalise

BATCH = 256
LARGEST_KERNEL_BYTES = 2**30


@dataclass(frozen=True)
class MaxHerding(Strategy):
    """Greedy Σ wₙ max over picks of k(pick, n), k an RBF kernel on standardised, unit-length embeddings.

    Coverage has diminishing returns, so that gains found earlier bound later ones: only the scans that may still win
    are evaluated again, with the same picks as the full greedy search.

    Parameters
    ----------
    bandwidth : σ of exp(−d²/2σ²), above 0.
    references : scans of the pool, drawn with the seed, on which coverage is measured; all of them in smaller pools.
    weighted : weigh each scan of the pool by its rank-normalised uncertainty (uncertainty herding).

    References
    ----------
    Bae et al. 2024, ECCV (σ = 1 on unit-length features); Bae et al. 2025, ICLR for the weighted form.
    """

    name: ClassVar[str] = "maxherding"
    summary: ClassVar[str] = "covers the whole pool softly with a kernel; weighted=True favours covering hard scans"
    reference: ClassVar[str] = "Bae et al. 2024, ECCV"
    uses_uncertainty: ClassVar[bool] = True

    bandwidth: float = field(default=1.0, metadata={"above": 0})
    references: int = field(default=4_000, metadata={"least": 1})
    weighted: bool = False

    def needs_uncertainty(self) -> bool:
        """Return whether scans are weighed by their uncertainty."""
        return self.weighted

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take the scan that adds most to the coverage, until the gate is full."""
        n, few = len(candidates), min(self.references, len(candidates))
        if 4 * n * few > LARGEST_KERNEL_BYTES:
            raise UsageError(
                f"maxherding needs the kernel of {n} cases with {few} references, {4 * n * few / 2**30:.1f} GiB; give "
                f"fewer references (option references) or fewer cases, or choose cscs, random or kcenter"
            )
        x = unit_length(standardise(candidates.embeddings)).astype(np.float32)
        references = np.sort(np.random.default_rng(candidates.seed).permutation(n)[:few])
        kernel = self._kernel(x, x[references])
        hardness = rank_normalise(candidates.uncertainty) if self.weighted else np.ones(n)
        weights = (hardness[references] / hardness[references].sum()).astype(np.float32)
        reached = np.zeros(few, dtype=np.float32)
        for row in candidates.covered:
            np.maximum(reached, kernel[row], out=reached)
        bounds = np.concatenate([_gains(kernel[s : s + BATCH], reached, weights) for s in range(0, n, BATCH)])
        first_gains = bounds.copy()
        current = np.ones(n, dtype=bool)
        what = "pool, unsure scans counting more," if self.weighted else "pool"
        while gate.has_room():
            best = int(np.where(gate.open, bounds, -np.inf).argmax())
            if not current[best]:
                stale = np.flatnonzero(~current & gate.open)
                rows = stale[np.argsort(-bounds[stale], kind="stable")[:BATCH]]
                bounds[rows] = _gains(kernel[rows], reached, weights)
                current[rows] = True
                continue
            gain = float(bounds[best])
            if gate.take(best, f"adds {100 * gain:.1f} % to how much of the {what} is covered", score=gain):
                np.maximum(reached, kernel[best], out=reached)
                current[:] = False
        facts = {"coverage": float(weights @ reached), "references": few}
        return Outcome(scores=first_gains, diagnostics=facts)

    def _kernel(
        self, x: Float[np.ndarray, "case dim"], references: Float[np.ndarray, "reference dim"]
    ) -> Float[np.ndarray, "case reference"]:
        kernel = np.empty((len(x), len(references)), dtype=np.float32)
        for start in range(0, len(x), BATCH):
            rows = slice(start, start + BATCH)
            kernel[rows] = np.exp(squared_distances(x[rows], references) * np.float32(-0.5 / self.bandwidth**2))
        return kernel


def _gains(
    kernel: Float[np.ndarray, "row reference"],
    reached: Float[np.ndarray, " reference"],
    weights: Float[np.ndarray, " reference"],
) -> Float[np.ndarray, " row"]:
    """Return what each row would add to the weighted coverage, in double precision."""
    gains: np.ndarray = np.maximum(kernel - reached, 0) @ weights
    return gains.astype(np.float64)
