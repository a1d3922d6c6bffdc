"""What can be said of the Difficulty-Coverage Ratio of a pool: nothing of a few scans, an exact test of small pools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import factorial, isfinite
from typing import Any

import numpy as np

from firstscan.domain.arrays import PerCase

FEWEST = 10
"""Scans from which anything is said of DCR."""
COUNTED, SHUFFLED, SHUFFLES = 12, 200, 9_999
"""Up to so many scans every order is counted, up to so many ``SHUFFLES`` orders are drawn."""
PERMUTED = "dcr_permutation_pvalue"
"""The diagnostic that holds the p-value of small pools."""
LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Dcr:
    """DCR in [−1, 1] with its p-value, how that was found, and its 95 % interval; ``decided``: its sign is known."""

    value: float
    pvalue: float
    method: str
    interval: tuple[float, float] | None

    @property
    def decided(self) -> bool:
        """Tell whether test and interval both say that hardness and typicality are related."""
        apart = self.interval is None or not self.interval[0] <= 0 <= self.interval[1]
        return self.pvalue < LEVEL and apart


def permutation_pvalue(a: PerCase, b: PerCase, rng: np.random.Generator) -> tuple[float, str] | None:
    """Return the two-sided p-value of Spearman's ρ by permutation, and how it was found; None for large pools.

    Exact up to 12 scans, by counting all orders, ties included; up to 200 scans from 9,999 drawn orders, the observed
    one counted with them, so that its level is exact, too (Phipson & Smyth 2010).
    """
    from scipy.stats import rankdata

    n = len(a)
    if n > SHUFFLED:
        return None
    x, y = (np.round(2 * rankdata(values) - (n + 1)).astype(np.int64) for values in (a, b))
    if not x.any() or not y.any():
        return 1.0, "constant"
    observed = abs(int(x @ y))
    if n <= COUNTED:
        sums, counts = _all_sums(x, y)
        return float(counts[np.abs(sums) >= observed].sum() / factorial(n)), "all orders"
    drawn = rng.permuted(np.tile(y, (SHUFFLES, 1)), axis=1) @ x
    return float((1 + (np.abs(drawn) >= observed).sum()) / (1 + SHUFFLES)), f"{SHUFFLES:,} random orders"


def _all_sums(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values that Σ x·π(y) takes over all orders π, and how often: partners given one by one."""
    n = len(x)
    reach = int(np.abs(np.sort(x)) @ np.abs(np.sort(y))) + int(np.abs(x).max() * np.abs(y).sum())
    layer = {0: np.zeros(2 * reach + 1)}
    layer[0][reach] = 1.0
    for value in x.tolist():
        following: dict[int, np.ndarray] = {}
        for used, counts in layer.items():
            for j in range(n):
                if used >> j & 1:
                    continue
                moved = np.roll(counts, value * int(y[j]))
                key = used | 1 << j
                following[key] = following[key] + moved if key in following else moved
        layer = following
    return np.arange(-reach, reach + 1), layer[(1 << n) - 1]


def dcr_of(diagnostics: Mapping[str, Any], pool: int) -> Dcr | None:
    """Return what can be said of DCR in a pool of so many scans, or None: it was not measured, or they are too few."""
    value, pvalue = diagnostics.get("dcr"), diagnostics.get("dcr_pvalue")
    if pool < FEWEST or value is None or pvalue is None or not isfinite(float(value)):
        return None
    pair = diagnostics.get("dcr_interval")
    told = pair is not None and len(pair) == 2 and all(v is not None and isfinite(v) for v in pair)
    interval = (float(pair[0]), float(pair[1])) if pair is not None and told else None
    permuted = diagnostics.get(PERMUTED)
    if permuted is not None:
        return Dcr(float(value), float(permuted["p"]), f"by {permuted['method']}", interval)
    return Dcr(float(value), float(pvalue), "", interval)
