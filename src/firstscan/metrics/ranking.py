"""Sums over a budget curve, and where one strategy stands among random draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.integrate import trapezoid

from firstscan.domain.arrays import Float
from firstscan.domain.errors import UsageError

Curve = Float[np.ndarray, "budget"]
Scores = Float[np.ndarray, "score"]
Draws = Float[np.ndarray, "draw"]
ROUNDING = 1e-12
"""What two means of the same scores may differ by; nothing smaller is a difference."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The mean score of one trained model: a strategy at a budget with its two seeds, in a sub-pool (−1: the pool)."""

    strategy: str
    budget: int
    selection_seed: int
    training_seed: int
    score: float
    subpool: int = -1


@dataclass(frozen=True, slots=True)
class Harm:
    """A cell that falls below the median of the random draws at its budget, by ``loss`` (> 0)."""

    cell: Cell
    random_median: float
    loss: float


def percentile_in(value: float, reference: Draws) -> float:
    """Return the percentile (0–100) of ``value`` among ``reference``; ties, up to rounding, count half."""
    if reference.size == 0:
        raise UsageError("a percentile needs at least one random draw")
    ties = np.isclose(reference, value, rtol=0, atol=ROUNDING)
    return float(100.0 * (((reference < value) & ~ties).sum() + 0.5 * ties.sum()) / reference.size)


def aubc(budgets: Curve, scores: Scores) -> float:
    """Return the area under the budget curve by trapezoids, divided by the budget range: a mean score.

    ``budgets`` strictly increasing; one budget gives its score.
    """
    _check_curve(budgets, scores)
    if len(budgets) == 1:
        return float(scores[0])
    return float(trapezoid(scores, budgets) / (budgets[-1] - budgets[0]))


def labels_needed(budgets: Curve, scores: Scores, target: float) -> float:
    """Return the smallest budget at which the curve reaches ``target``, interpolated; NaN if it never does.

    A curve that starts at or above the target returns its first budget: fewer labels were not measured.
    """
    _check_curve(budgets, scores)
    reached = np.flatnonzero(scores >= target)
    if reached.size == 0:
        return float("nan")
    i = int(reached[0])
    if i == 0:
        return float(budgets[0])
    share = (target - scores[i - 1]) / (scores[i] - scores[i - 1])
    return float(budgets[i - 1] + share * (budgets[i] - budgets[i - 1]))


def labels_saved(budgets: Curve, scores: Scores, random_scores: Scores, *, budget: int) -> float:
    """Return 2B less the labels needed to reach random's score at 2B.

    ``budget`` is B; random's curve is read at 2B by interpolation. NaN where 2B lies outside the measured budgets
    or the target is never reached.
    """
    _check_curve(budgets, random_scores)
    double = 2.0 * budget
    if not budgets[0] <= double <= budgets[-1]:
        return float("nan")
    target = float(np.interp(double, budgets, random_scores))
    return double - labels_needed(budgets, scores, target)


def harms(cells: Iterable[Cell], random_medians: Mapping[int, float]) -> tuple[Harm, ...]:
    """Return every cell below the random median of its budget, worst first."""
    found = [
        Harm(c, random_medians[c.budget], random_medians[c.budget] - c.score)
        for c in cells
        if c.budget in random_medians and c.score < random_medians[c.budget]
    ]

    def worst_first(harm: Harm) -> tuple[float, str, int, int, int]:
        cell = harm.cell
        return -harm.loss, cell.strategy, cell.budget, cell.subpool, cell.selection_seed

    return tuple(sorted(found, key=worst_first))


def _check_curve(budgets: np.ndarray, scores: np.ndarray) -> None:
    if len(budgets) != len(scores) or len(budgets) == 0:
        raise UsageError(f"a budget curve needs one score a budget; found {len(budgets)} budgets, {len(scores)} scores")
    if (np.diff(budgets) <= 0).any():
        raise UsageError(f"budgets must increase strictly; found {budgets.tolist()}")
