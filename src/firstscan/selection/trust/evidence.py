"""What committed runs say of whole strategies against random draws: the only numbers that a verdict may name.

A run is entered here when its plan, scores and summary are in the repository and ``docs/results.md`` tells of it; a
test holds the numbers to ``benchmarks/results``.
"""

from __future__ import annotations

from dataclasses import dataclass

LINK = "docs/results.md"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A strategy against random draws of the same size, over several collections.

    ``difference`` is mean Dice with the strategy minus mean Dice with random draws, collections weighing alike, with
    its 95 % interval ``low`` to ``high`` for these collections. ``budgets`` are the numbers of scans that were chosen,
    ``collections`` how many sets of scans, ``better`` and ``worse`` in how many of them it differs significantly.
    """

    strategy: str
    budgets: tuple[int, ...]
    collections: int
    difference: float
    low: float
    high: float
    better: int
    worse: int
    segmenter: str

    def covers(self, budget: int) -> bool:
        """Tell whether a budget lies within those that were run."""
        return min(self.budgets) <= budget <= max(self.budgets)


RUNS: tuple[Evidence, ...] = (
    Evidence("coverage", (3, 5), 4, 0.029, 0.013, 0.045, 1, 0, "a small U-Net"),
    Evidence("cscs", (3, 5), 4, -0.005, -0.020, 0.009, 0, 1, "a small U-Net"),
)
"""The confirmation run: ``benchmarks/results/evidence/together``."""


def evidence_of(strategy: str) -> Evidence | None:
    """Return what was run with a strategy, or None."""
    return next((run for run in RUNS if run.strategy == strategy), None)
