"""What a query rule is: a strategy that is shown what a model predicts."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from firstscan.domain.arrays import Bool, PerCase
from firstscan.domain.errors import UsageError
from firstscan.selection.protocol import Candidates, Strategy
from firstscan.selection.strategies.coverage import Coverage

from .measures import Measures

POOL_GROUPS = Coverage.groups
"""The feature groups that rules which spread their picks over the pool are shown."""
FULL_SHARE = 0.4
"""Labelled share of the pool at which schedules end: budgets beyond 40 % of a pool are hardly ever asked for."""
TINY = float(np.finfo(np.float64).tiny)


class Query(Strategy):
    """Base of every rule: a strategy whose candidates come with ``measures``.

    A frozen dataclass whose fields are its parameters, as every strategy is; the same gate holds its picks.
    ``aggregate``, where a rule has it, says how voxels count for a scan (:mod:`.measures`). ``least_members`` is how
    many predictions of each scan it needs: what members of an ensemble disagree on takes two.
    """

    least_members: ClassVar[int] = 1
    uses_uncertainty: ClassVar[bool] = False
    """U of the cold start decides nothing any more."""

    def measures(self, candidates: Candidates) -> Measures:
        """Return what was predicted.

        Raises
        ------
        UsageError : nothing was, or by fewer members of an ensemble than the rule needs.
        """
        found = candidates.measures
        if found is None:
            raise UsageError(
                f"rule {self.name!r} needs predictions of the pool; it cannot choose before a model is trained"
            )
        if found.members < self.least_members:
            raise UsageError(
                f"rule {self.name!r} compares the members of an ensemble and needs at least {self.least_members} "
                f"predictions of each scan; there is {found.members}. Train more members (--members 3), or choose "
                "another rule"
            )
        return found


def labelled_share(candidates: Candidates) -> float:
    """Return which share of the pool is labelled, 0 … 1; fixed picks that come first do not count."""
    return candidates.labelled / len(candidates)


def progress(candidates: Candidates) -> float:
    """Return how far the rounds have come, 0 (no label) … 1 (:data:`FULL_SHARE` of the pool is labelled)."""
    return min(1.0, labelled_share(candidates) / FULL_SHARE)


def higher_than(values: PerCase, among: Bool[np.ndarray, " case"], row: int) -> str:
    """Say how the value of ``row`` compares with the other scans in ``among``."""
    others = values[among]
    below = int(100 * np.count_nonzero(others < values[row]) // max(len(others) - 1, 1))
    return "the highest of all" if below >= 100 else f"higher than {below} % of the scans that are not labelled"


def power_noised(values: PerCase, power: float, rng: np.random.Generator) -> PerCase:
    """Return log(values) + Gumbel noise of scale 1/power: the best one is drawn with probability ∝ value^power.

    References
    ----------
    Kirsch et al. 2023, TMLR, Stochastic Batch Acquisition: its power acquisition, applied to any value. Values of 0
    count as the smallest number there is.
    """
    noise = rng.gumbel(0.0, 1.0 / power, size=len(values))
    noised: PerCase = np.log(np.maximum(values, TINY)) + noise
    return noised
