"""Uniform random sampling: what every other strategy has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from firstscan.selection.gating.gate import Gate
from firstscan.selection.protocol import Candidates, Outcome, Strategy


@dataclass(frozen=True)
class Random(Strategy):
    """Draw scans uniformly without replacement: a seeded permutation of the pool, read from the front."""

    name: ClassVar[str] = "random"
    summary: ClassVar[str] = "uniform random sample, the yardstick for every other strategy"
    reference: ClassVar[str] = ""
    uses_uncertainty: ClassVar[bool] = False
    uses_embeddings: ClassVar[bool] = False

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take scans in the order of one seeded permutation."""
        order = np.random.default_rng(candidates.seed).permutation(len(candidates))
        while gate.has_room():
            gate.take_first(order, f"drawn at random from {len(candidates)} scans (seed {candidates.seed})")
        return Outcome()
