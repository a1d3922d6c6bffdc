"""Whether a property of random batches goes with their scores: a rank correlation that other causes cannot feign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from firstscan.domain.arrays import Float, Int

LEAST = 6.0
"""Batches, as effectively independent ones, from which an interval is given."""

Codes = Int[np.ndarray, " batch"]
Values = Float[np.ndarray, " batch"]


@dataclass(frozen=True, slots=True)
class Relation:
    """Spearman's ρ in [−1, 1] with its 95 % interval and two-sided p.

    ``distinct`` batches were different, and tell as much as ``effective`` independent ones; NaN for interval and p
    where these are too few.
    """

    rho: float
    low: float
    high: float
    pvalue: float
    distinct: int
    effective: float


@dataclass(frozen=True, slots=True)
class Draws:
    """Random batches: what each was drawn from and for, one entry a batch.

    ``subpool``: the pool it was drawn from. ``draw``: which draw of that pool; batches of one draw at several budgets
    are nested in each other. ``budget``: batches are compared with others of theirs. ``picks``: equal for equal ones.
    """

    subpool: Codes
    draw: Codes
    budget: Codes
    picks: Codes


def coded(labels: Sequence[object]) -> Codes:
    """Return labels as whole numbers from 0, equal for equal labels."""
    seen: dict[object, int] = {}
    return np.array([seen.setdefault(label, len(seen)) for label in labels], dtype=np.int64)


def relation(values: Values, scores: Values, draws: Draws) -> Relation | None:
    """Return how ``values`` of random batches go with their ``scores``; None where either does not vary.

    The mean of the sub-pool at that budget is taken off both, so that an easy sub-pool does not count as good batches,
    and the rest becomes ranks within the budget, so that more scans do not either; ρ is the correlation of these ranks
    over all budgets, once more less their means by sub-pool. Equal batches of a sub-pool are counted once. Where every
    sub-pool was drawn from once there is no mean to take off, and the sub-pools are taken for one.

    The null variance is the exact one under permutation of whole draws within their sub-pool: batches of one draw at
    several budgets are nested and stay together. It gives the effective number of batches, at most the distinct ones
    less what was adjusted for, for the interval (Bonett and Wright) and the test.

    References
    ----------
    Bonett & Wright, Sample size requirements for estimating correlations, Psychometrika 65 (2000).
    """
    known = np.isfinite(values) & np.isfinite(scores)
    keep = np.flatnonzero(known)
    if not len(keep):
        return None
    subpool, budget = draws.subpool[keep], draws.budget[keep]
    if not _repeated(subpool, draws.draw[keep]):
        subpool = np.zeros_like(subpool)
    first = np.unique(np.column_stack([subpool, budget, draws.picks[keep]]), axis=0, return_index=True)[1]
    keep, subpool, budget = keep[first], subpool[first], budget[first]
    cells = coded(list(zip(subpool.tolist(), budget.tolist(), strict=True)))
    x, y = (_centred(_ranked(_centred(v[keep], cells), budget), cells) for v in (values, scores))
    total = float((x**2).sum() * (y**2).sum())
    if total < 1e-12:
        return None
    distinct = len(np.unique(draws.picks[keep]))
    units = coded(list(zip(draws.subpool[keep].tolist(), draws.draw[keep].tolist(), strict=True)))
    variance = _permuted_variance(x, y, subpool, units, coded(budget.tolist())) / total
    free = float(min(1 / variance if variance > 0 else 0.0, distinct - len(np.unique(cells))))
    rho = float(np.clip((x * y).sum() / np.sqrt(total), -1, 1))
    return _told(rho, distinct, free + 1)


def smallest(effective: float, power: float = 0.8, level: float = 0.05) -> float:
    """Return the true ρ that so many independent batches find with that power; infinite where they are too few."""
    if effective < LEAST:
        return float("inf")
    needed = float(stats.norm.ppf(1 - level / 2) + stats.norm.ppf(power))
    return float(np.tanh(needed / np.sqrt(effective - 3)))


def _told(rho: float, distinct: int, effective: float) -> Relation:
    if effective < LEAST:
        return Relation(rho, np.nan, np.nan, np.nan, distinct, effective)
    near = float(np.clip(rho, -0.999999, 0.999999))
    df = effective - 2
    pvalue = 2 * float(stats.t.sf(abs(near) * np.sqrt(df / (1 - near**2)), df))
    half = float(stats.t.ppf(0.975, df)) * np.sqrt((1 + near**2 / 2) / (effective - 3))
    low, high = np.tanh(np.arctanh(near) + np.array([-half, half]))
    return Relation(rho, float(low), float(high), pvalue, distinct, effective)


def _repeated(subpool: Codes, draw: Codes) -> bool:
    """Tell whether any sub-pool was drawn from more than once."""
    drawn = np.unique(np.column_stack([subpool, draw]), axis=0)
    return bool((np.unique(drawn[:, 0], return_counts=True)[1] > 1).any())


def _ranked(values: Values, budget: Codes) -> Values:
    """Return ranks within each budget, with mean 0 and standard deviation 1; 0 where all are alike."""
    ranks = np.zeros(len(values))
    for at in np.unique(budget):
        mine = budget == at
        found = stats.rankdata(values[mine])
        spread = found.std()
        ranks[mine] = (found - found.mean()) / spread if spread > 0 else 0.0
    return ranks


def _centred(values: Values, cells: Codes) -> Values:
    means = np.bincount(cells, weights=values) / np.maximum(np.bincount(cells), 1)
    centred: np.ndarray = values - means[cells]
    return centred


def _permuted_variance(x: Values, y: Values, subpool: Codes, units: Codes, budget: Codes) -> float:
    """Return the variance of Σ x·y where whole draws change places within their sub-pool."""
    variance = 0.0
    for pool in np.unique(subpool):
        mine = subpool == pool
        drawn = np.unique(units[mine], return_inverse=True)[1]
        count = int(drawn.max()) + 1
        if count < 2:
            continue
        grid = np.zeros((2, count, int(budget.max()) + 1))
        grid[0, drawn, budget[mine]], grid[1, drawn, budget[mine]] = x[mine], y[mine]
        variance += float(((grid[0].T @ grid[0]) * (grid[1].T @ grid[1])).sum()) / (count - 1)
    return variance
