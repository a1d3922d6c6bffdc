"""A strategy against random draws: on resampled sub-pools, on one pool, and over several collections of scans."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from firstscan.domain.arrays import Float
from firstscan.domain.errors import UsageError

Differences = Float[np.ndarray, "subpool case"]
KIND_NEEDED = 5
"""Collections from which something can be said of others of their kind."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean difference with its standard error, degrees of freedom, two-sided p and interval (``low``, ``high``)."""

    estimate: float
    se: float
    df: float
    pvalue: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class KindEstimate:
    """A mean over collections of one kind: ``tau`` their true spread, ``new_*`` bounds of another one's difference."""

    mean: Estimate
    tau: float
    new_low: float
    new_high: float


def overlap(batches: Sequence[Collection[str]]) -> float:
    """Return the mean share of picks that two batches of equal size have in common, over all pairs, in [0, 1].

    Raises
    ------
    UsageError : fewer than two batches.
    """
    n = len(batches)
    if n < 2:
        raise UsageError(f"an overlap needs at least 2 batches; found {n}")
    size = len(batches[0])
    shared = sum(c * (c - 1) for c in Counter(scan for batch in batches for scan in set(batch)).values())
    return shared / (n * (n - 1) * size)


def correlation(shared: float, *, budget: int, subpool: int, collection: int, draws: int) -> float:
    """Return the largest correlation of two sub-pools' differences over collections of a kind, given no effect.

    Parameters
    ----------
    shared : :func:`overlap` of the strategy's batches; random ones share budget / collection, only the excess counts.
    budget, subpool, collection : scans picked, in a sub-pool, and in the collection.
    draws : random draws of a sub-pool.
    """
    excess = max(shared - budget / collection, 0.0)
    room = (1 + 1 / draws) * (1 - budget / subpool)
    return min(excess / room, 0.999) if room > 0 else 0.0


def paired(differences: Differences, *, rho: float = 0.0, level: float = 0.95) -> Estimate:
    """Return the mean of ``differences`` (sub-pool, test case) between a strategy and the mean random draw.

    Variance: MS_subpools/(R m) · (1 + R ρ/(1 − ρ)) + (MS_cases − MS_residual)⁺/(R m); the first term for sub-pools, the
    second because others could have been the test cases. Satterthwaite's degrees of freedom.

    Parameters
    ----------
    rho : 0 asks about this collection, from which sub-pools were drawn independently; :func:`correlation` about
        collections of its kind.

    Raises
    ------
    UsageError : fewer than two sub-pools, or values that are not finite.

    References
    ----------
    Nadeau & Bengio, Mach. Learn. 52 (2003), for correlated resamples; Satterthwaite, Biometrics Bull. 2 (1946).
    """
    subpools, cases = differences.shape
    if subpools < 2 or cases < 1 or not np.isfinite(differences).all():
        raise UsageError(f"a paired estimate needs 2 sub-pools and finite differences; found shape {differences.shape}")
    mean, by_pool, by_case = float(differences.mean()), differences.mean(axis=1), differences.mean(axis=0)
    of_pools = cases * float(by_pool.var(ddof=1)) / (subpools * cases) * (1 + subpools * rho / (1 - rho))
    of_cases = 0.0
    if cases > 1:
        rest = differences - by_pool[:, None] - by_case + mean
        residual = float((rest**2).sum()) / ((subpools - 1) * (cases - 1))
        of_cases = max(subpools * float(by_case.var(ddof=1)) - residual, 0.0) / (subpools * cases)
    total = of_pools + of_cases
    df = float(subpools - 1)
    if total > 0 and cases > 1:
        df = total**2 / (of_pools**2 / (subpools - 1) + of_cases**2 / (cases - 1))
    return _estimate(mean, total, df, level)


def one_pool(
    scores: Float[np.ndarray, " batch"], random: Float[np.ndarray, " draw"], *, level: float = 0.95
) -> Estimate:
    """Return mean(scores) − mean(random) on one pool, the variance between batches borrowed from the random draws.

    Parameters
    ----------
    scores : mean score of each *distinct* batch of the strategy: equal batches are one.
    random : mean score of each random draw, at least 3.

    Raises
    ------
    UsageError : no batch, or fewer than three draws: there is nothing to take a variance from.
    """
    if len(scores) < 1 or len(random) < 3:
        raise UsageError(
            f"a comparison on one pool needs a batch and 3 random draws; found {len(scores)}, {len(random)}"
        )
    variance = float(random.var(ddof=1)) * (1 / len(scores) + 1 / len(random))
    return _estimate(float(scores.mean() - random.mean()), variance, float(len(random) - 1), level)


def these(parts: Sequence[Estimate], *, level: float = 0.95) -> Estimate:
    """Return the equal-weight mean over these collections (or budgets); nothing is said about others."""
    values = np.array([(p.estimate, p.se**2, p.df) for p in parts], dtype=np.float64)
    variance = values[:, 1] / len(parts) ** 2
    total = float(variance.sum())
    df = total**2 / float((variance**2 / values[:, 2]).sum()) if total > 0 else float(values[:, 2].min())
    return _estimate(float(values[:, 0].mean()), total, df, level)


def of_this_kind(parts: Sequence[Estimate], *, level: float = 0.95) -> KindEstimate:
    """Return the random-effects mean over at least five collections, and where a new one's difference would lie.

    Raises
    ------
    UsageError : fewer than five.

    References
    ----------
    Paule & Mandel, J. Res. NBS 87 (1982), for τ²; Hartung & Knapp, Stat. Med. 20 (2001), for the interval.
    """
    k = len(parts)
    if k < KIND_NEEDED:
        raise UsageError(f"other collections of this kind can be spoken of from {KIND_NEEDED} on; found {k}")
    y, v = np.array([p.estimate for p in parts]), np.array([p.se**2 for p in parts])

    def excess(tau2: float) -> float:
        weight = 1 / (v + tau2)
        return float((weight * (y - np.average(y, weights=weight)) ** 2).sum()) - (k - 1)

    low, high = 0.0, float(16 * (np.ptp(y) ** 2 + v.max()))
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    weight = 1 / (v + high)
    mean = float((weight * y).sum() / weight.sum())
    found = _estimate(mean, float((weight * (y - mean) ** 2).sum() / ((k - 1) * weight.sum())), float(k - 1), level)
    half = float(stats.t.ppf(0.5 + level / 2, k - 2)) * math.sqrt(high + found.se**2)
    return KindEstimate(found, math.sqrt(high), mean - half, mean + half)


def subpools_needed(effect: float, deviation: float, *, power: float = 0.8, alpha: float = 0.05) -> int:
    """Return how many sub-pools find a true ``effect`` with ``power``; ``deviation``: SD of one paired difference."""
    reach = float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)) * deviation / effect
    return math.ceil(reach**2) + 2


def smallest_effect(subpools: int, deviation: float, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return the true difference that so many sub-pools find with ``power``; infinity below three."""
    if subpools < 3:
        return math.inf
    return float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)) * deviation / math.sqrt(subpools - 2)


def _estimate(mean: float, variance: float, df: float, level: float) -> Estimate:
    se = math.sqrt(variance)
    half = float(stats.t.ppf(0.5 + level / 2, df)) * se
    pvalue = float(2 * stats.t.sf(abs(mean) / se, df)) if se > 0 else float(mean == 0)
    return Estimate(mean, se, float(df), pvalue, mean - half, mean + half)
