"""Paired tests that a reviewer would accept: Wilcoxon with Holm, Friedman with Conover's post-hoc."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from firstscan.domain.arrays import Float
from firstscan.domain.errors import UsageError

Pairs = Float[np.ndarray, "pair"]
PairedWith = Float[np.ndarray, "reference_pair"]
PerStrategy = Float[np.ndarray, "strategy"]

PAIRS_NEEDED = 6
"""The fewest pairs whose two-sided Wilcoxon test can reach p < 0.05: 2^(1−6) = 0.031."""
ROUNDING = 1e-12
"""What two means of the same scores may differ by; nothing smaller is a difference."""


@dataclass(frozen=True, slots=True)
class PairedTest:
    """A two-sided Wilcoxon signed-rank test: ``pvalue`` is NaN where ``pairs`` cannot reach 0.05."""

    pairs: int
    median_difference: float
    pvalue: float
    smallest_pvalue: float


@dataclass(frozen=True, eq=False)
class RankTest:
    """Friedman's test over blocks, mean ranks (1 = best) and Conover's pairwise p-values (Holm-adjusted)."""

    names: tuple[str, ...]
    blocks: int
    statistic: float
    pvalue: float
    mean_ranks: PerStrategy
    pairwise: Float[np.ndarray, "strategy strategy"]


def wilcoxon_paired(scores: Pairs, reference: PairedWith, *, pairs_needed: int = PAIRS_NEEDED) -> PairedTest:
    """Test whether paired ``scores`` and ``reference`` differ; a pair is one test case.

    With n pairs the smallest two-sided p is 2^(1−n), so below ``pairs_needed`` no p-value is given (NaN).
    Zero differences are split between both signs (Pratt's ranks without dropping pairs: ``zsplit``).
    """
    n = scores.shape[0]
    if reference.shape[0] != n:
        raise UsageError(f"a paired test needs pairs; found {n} and {reference.shape[0]} values")
    if n == 0:
        raise UsageError("a paired test needs at least one pair")
    difference = scores - reference
    difference = np.where(np.abs(difference) < ROUNDING, 0.0, difference)
    smallest = float(2.0 ** (1 - n))
    if n < pairs_needed:
        pvalue = float("nan")
    elif not difference.any():
        pvalue = 1.0
    else:
        pvalue = float(stats.wilcoxon(difference, zero_method="zsplit").pvalue)
    return PairedTest(n, float(np.median(difference)), pvalue, smallest)


def holm(pvalues: Sequence[float]) -> tuple[float, ...]:
    """Return Holm's step-down adjusted p-values, in the given order; NaN stays NaN and is not counted.

    References
    ----------
    Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979).
    """
    values = np.asarray(pvalues, dtype=np.float64)
    adjusted = np.full(values.shape, np.nan)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    steps = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * steps), 1.0)
    return tuple(float(p) for p in adjusted)


def friedman_conover(scores: Float[np.ndarray, "block strategy"], names: Sequence[str]) -> RankTest:
    """Rank strategies within blocks (a pool at a budget) and test whether their ranks differ.

    ``scores`` (block, strategy), higher is better; ties are ties up to rounding. All strategies alike in every block
    gives statistic 0 and p 1. No pairwise p lies below k!^(1−b), the share of all rankings of k strategies in b blocks
    that agree as fully as can be: from two blocks Conover's formula would give 0.

    Raises
    ------
    UsageError : fewer than three strategies or two blocks, NaN, or names that do not fit.

    References
    ----------
    Conover & Iman, On multiple-comparisons procedures, LA-7677-MS (1979); scikit-posthocs.
    """
    blocks, strategies = scores.shape
    if len(names) != strategies:
        raise UsageError(f"{strategies} columns of scores but {len(names)} names")
    if strategies < 3 or blocks < 2:
        raise UsageError(
            f"Friedman's test needs at least 3 strategies and 2 blocks (pool × budget); found {strategies} and {blocks}"
        )
    if not np.isfinite(scores).all():
        raise UsageError("Friedman's test needs a score for every strategy in every block; leave incomplete blocks out")
    scores = np.round(scores / ROUNDING) * ROUNDING
    ranks = stats.rankdata(-scores, axis=1)
    if np.ptp(ranks) == 0:
        statistic, pvalue, pairwise = 0.0, 1.0, np.ones((strategies, strategies))
    else:
        result = stats.friedmanchisquare(*scores.T)
        statistic, pvalue = float(result.statistic), float(result.pvalue)
        pairwise = _conover(scores, ranks)
    return RankTest(tuple(names), blocks, statistic, pvalue, ranks.mean(axis=0), pairwise)


def _conover(scores: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Return Conover's Holm-adjusted p-values, none below what so many blocks can support."""
    blocks, strategies = ranks.shape
    smallest = float(math.factorial(strategies)) ** (1 - blocks)
    if (ranks == ranks[0]).all():  # no residual is left
        means = ranks[0]
        return np.where(means[:, None] == means[None, :], 1.0, smallest)
    import scikit_posthocs

    table = scikit_posthocs.posthoc_conover_friedman(scores, p_adjust="holm")
    pairwise: np.ndarray = np.maximum(np.asarray(table, dtype=np.float64), smallest)
    return pairwise
