"""The signals and the pacing of METHOD §2: DCR, effective budget, γ, rank normalisation, composite score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firstscan.domain.arrays import Float, PerCase

RANK_FLOOR = 0.01
FULL_BOOTSTRAP_CASES = 2_000
BOOTSTRAP_DRAWS = 1_000


@dataclass(frozen=True, slots=True)
class Correlation:
    """A Spearman correlation in [−1, 1], its two-sided p-value, its 95 % interval and how that was found."""

    rho: float
    pvalue: float
    interval: tuple[float, float]
    method: str


def spearman(a: PerCase, b: PerCase, rng: np.random.Generator) -> Correlation:
    """Return Spearman's ρ of two signals with a 95 % interval.

    Up to 2,000 cases the interval is the percentile bootstrap over cases, ranks taken anew in each draw; above, Bonett
    and Wright's closed form, which agrees with it there. With fewer than 3 cases or a constant signal nothing can be
    said: ρ = 0, p = 1, interval [−1, 1].

    References
    ----------
    Bonett & Wright 2000, Psychometrika 65:23-28.
    """
    from scipy.stats import spearmanr

    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return Correlation(0.0, 1.0, (-1.0, 1.0), "undetermined")
    result = spearmanr(a, b)
    rho, pvalue = float(result.statistic), float(result.pvalue)
    if len(a) > FULL_BOOTSTRAP_CASES:
        return Correlation(rho, pvalue, _closed_form_interval(rho, len(a)), "Bonett-Wright")
    return Correlation(rho, pvalue, _bootstrap_interval(a, b, rng), f"bootstrap of {BOOTSTRAP_DRAWS} draws")


def _closed_form_interval(rho: float, cases: int) -> tuple[float, float]:
    half_width = 1.959964 * np.sqrt((1 + rho**2 / 2) / (cases - 3))
    centre = np.arctanh(np.clip(rho, -0.999999, 0.999999))
    return float(np.tanh(centre - half_width)), float(np.tanh(centre + half_width))


def _bootstrap_interval(a: PerCase, b: PerCase, rng: np.random.Generator) -> tuple[float, float]:
    rows = rng.integers(len(a), size=(BOOTSTRAP_DRAWS, len(a)))
    rhos = row_correlation(*(_centred_ranks(signal[rows]) for signal in (a, b)))
    low, high = np.percentile(rhos, [2.5, 97.5])
    return float(low), float(high)


def _centred_ranks(values: Float[np.ndarray, "draw case"]) -> Float[np.ndarray, "draw case"]:
    from scipy.stats import rankdata

    ranks = np.asarray(rankdata(values, axis=1), dtype=np.float64)
    centred: np.ndarray = ranks - ranks.mean(axis=1, keepdims=True)
    return centred


def row_correlation(a: Float[np.ndarray, "draw case"], b: Float[np.ndarray, "draw case"]) -> Float[np.ndarray, " draw"]:
    """Return the correlation of each row of ``a`` with that of ``b``; both centred; 0 where one is constant."""
    norm = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    rhos: np.ndarray = np.divide((a * b).sum(axis=1), norm, out=np.zeros(len(a)), where=norm > 0)
    return rhos


def effective_budget(budget: int, cases: int) -> float:
    """Return α = B/√N, the budget relative to the pool (METHOD §2.2)."""
    return float(budget / np.sqrt(cases))


def pacing(dcr: float, alpha_eff: float, bounds: tuple[float, float] = (0.3, 0.7)) -> float:
    """Return γ = clip(½ + DCR/4 · α/(1+α)): the weight of uncertainty against typicality (METHOD §2.2)."""
    return float(np.clip(0.5 + dcr / 4 * alpha_eff / (1 + alpha_eff), *bounds))


def rank_normalise(values: PerCase) -> PerCase:
    """Return rank/(n−1) clipped to [0.01, 1]; 1 for a single value. Ties rank in row order."""
    n = len(values)
    if n == 1:
        return np.ones(1)
    ranks = np.empty(n)
    ranks[np.argsort(values, kind="stable")] = np.arange(n) / (n - 1)
    return np.clip(ranks, RANK_FLOOR, 1.0)


def composite_score(typicality: PerCase, uncertainty: PerCase, gamma: float) -> PerCase:
    """Return S = T^(1−γ) · U^γ on rank-normalised signals, in (0, 1] (METHOD §2.4)."""
    score: np.ndarray = rank_normalise(typicality) ** (1 - gamma) * rank_normalise(uncertainty) ** gamma
    return score


def best_first(scores: PerCase) -> np.ndarray:
    """Return row numbers by falling score, ties to the lowest row."""
    return np.argsort(-scores, kind="stable")
