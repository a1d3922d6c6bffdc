"""Signal audit: do U, T and the leading components follow what should not matter, and selection without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from firstscan.domain.arrays import Float, Int, PerCase
from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.selection.gating.limits import plain
from firstscan.selection.geometry import standardise, typicality
from firstscan.selection.signals import spearman

from .collinearity import collinear

STATED_SHARE = 0.1
COMPONENTS = 3
COMPONENT = "component"
DRAWS, LARGEST_DRAW = 200, 20_000
FEWEST_CASES = 5


@dataclass(frozen=True, slots=True)
class Association:
    """How much of a signal one covariate explains.

    ``share`` in [0, 1]: ρ² for numbers, the rank analogue of adjusted η² for categories, with its 95 % ``interval``.
    ``rho`` in [−1, 1] is None for categories. ``cases`` had a value.
    """

    signal: str
    covariate: str
    kind: Literal["number", "category"]
    rho: float | None
    share: float
    interval: tuple[float, float]
    cases: int


@dataclass(frozen=True, slots=True)
class SignalAudit:
    """Every association, the largest share first, the share above which a warning is due, and the warnings.

    ``together`` holds groups of columns with a warning that say much the same of the scans.
    """

    associations: tuple[Association, ...]
    stated_share: float
    warnings: tuple[str, ...]
    together: tuple[tuple[str, ...], ...] = ()


def signal_audit(features: FeatureTable, seed: int = 0, stated_share: float = STATED_SHARE) -> SignalAudit:
    """Correlate U, T and three leading components of the embeddings with every covariate of the table, by rank.

    A warning names a covariate that explains at least ``stated_share`` of a signal, its interval clear of 0. Left out
    are constant columns, those that give most cases a category of their own, and those with fewer than 5 values.
    """
    rng = np.random.default_rng(seed)
    columns = {name: _read(column) for name, column in features.covariates.items()}
    found = [
        association
        for signal, values in _signals(features).items()
        for name, column in columns.items()
        if (association := _associate(signal, values, name, column, rng)) is not None
    ]
    found.sort(key=lambda a: (-a.share, a.signal, a.covariate))
    flagged = [a for a in found if is_flagged(a, stated_share)]
    together = collinear({a.covariate: columns[a.covariate] for a in flagged})
    return SignalAudit(tuple(found), stated_share, tuple(map(_warning, flagged)), together)


def is_flagged(a: Association, stated_share: float) -> bool:
    """Tell whether a column explains at least the stated share of a signal, its interval clear of 0."""
    return a.share >= stated_share and a.interval[0] > 0


def adjust(features: FeatureTable, columns: Sequence[str]) -> FeatureTable:
    """Return the table with U and T replaced by their ranks after a regression on ``columns`` has been taken off.

    Numbers enter as ranks, categories as indicators, a missing number as the mean rank and an indicator of its own. T
    is computed over the pool first where the table holds none. Embeddings, and the strata they give, stay as they are.

    Raises
    ------
    UsageError : a column that the table lacks, or as many indicators as cases.
    """
    unknown = [c for c in columns if c not in features.covariates]
    if unknown:
        known = ", ".join(features.covariates) or "none"
        raise UsageError(f"cannot adjust for {', '.join(unknown)}: no such column; the table's columns: {known}")
    design = np.column_stack([np.ones(len(features)), *(_design(features.covariates[c]) for c in columns)])
    if design.shape[1] >= len(features):
        raise UsageError(
            f"{', '.join(columns)} make {design.shape[1]} groups for {len(features)} cases; adjust for fewer columns"
        )
    dense = typicality(features.embeddings).values if features.typicality is None else features.typicality
    hard = None if features.uncertainty is None else _residual(features.uncertainty, design)
    return replace(features, uncertainty=hard, typicality=_residual(dense, design))


def _signals(features: FeatureTable) -> Mapping[str, PerCase]:
    from sklearn.decomposition import PCA

    dense = typicality(features.embeddings).values if features.typicality is None else features.typicality
    signals = {} if features.uncertainty is None else {"uncertainty": features.uncertainty}
    signals["typicality"] = dense
    scaled = standardise(features.embeddings)
    count = min(COMPONENTS, *scaled.shape)
    if scaled.any():
        scores = PCA(count, svd_solver="auto", random_state=0).fit_transform(scaled)
        signals |= {f"{COMPONENT} {i + 1}": scores[:, i].astype(np.float64) for i in range(count)}
    return signals


def _read(column: np.ndarray) -> np.ndarray:
    """Return the column as numbers (NaN where missing) or as labels (empty where missing)."""
    numbers = _numbers(column)
    return np.array([plain(v) for v in column], dtype=np.str_) if numbers is None else numbers


def _associate(
    signal: str, values: PerCase, name: str, column: np.ndarray, rng: np.random.Generator
) -> Association | None:
    if column.dtype.kind == "f":
        numbers, known = column, np.isfinite(column)
        if known.sum() < FEWEST_CASES or np.ptp(numbers[known]) == 0 or np.ptp(values[known]) == 0:
            return None
        found = spearman(values[known].astype(np.float64), numbers[known], rng)
        low, high = found.interval
        edges = sorted((low**2, high**2))
        interval = (0.0 if low <= 0 <= high else edges[0], edges[1])
        return Association(signal, name, "number", found.rho, found.rho**2, interval, int(known.sum()))
    known = column != ""
    groups = np.unique(column[known], return_inverse=True)[1]
    count = len(np.unique(groups))
    if len(groups) < FEWEST_CASES or count < 2 or count > len(groups) / 2 or np.ptp(values[known]) == 0:
        return None
    ranks = _ranks(values[known])
    share = _share_between(ranks, groups)
    return Association(signal, name, "category", None, share, _share_interval(ranks, groups, share, rng), len(ranks))


def _share_interval(
    ranks: PerCase, groups: Int[np.ndarray, " case"], share: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the 95 % interval of ``share`` by the bootstrap; of large pools from smaller draws, narrowed to size."""
    size = min(len(ranks), LARGEST_DRAW)
    draws = (rng.integers(len(ranks), size=size) for _ in range(DRAWS))
    shares = np.array([_share_between(ranks[d], groups[d]) for d in draws])
    low, high = np.percentile(shares, [2.5, 97.5])
    if size < len(ranks):
        low, high = share + (np.array([low, high]) - shares.mean()) * np.sqrt(size / len(ranks))
    return float(max(low, 0.0)), float(min(high, 1.0))


def _share_between(ranks: PerCase, groups: Int[np.ndarray, " case"]) -> float:
    """Return the share of the variance of ranks that lies between groups, corrected for their number (ε²)."""
    sizes = np.bincount(groups)
    sums = np.bincount(groups, weights=ranks)
    live = sizes > 0
    total = float(((ranks - ranks.mean()) ** 2).sum())
    free = len(ranks) - int(live.sum())
    if total == 0 or free < 1:
        return 0.0
    between = float((sums[live] ** 2 / sizes[live]).sum() - ranks.sum() ** 2 / len(ranks))
    return float(np.clip(1 - (total - between) / free * (len(ranks) - 1) / total, 0, 1))


def _warning(a: Association) -> str:
    how = f"ρ = {a.rho:+.2f}, " if a.rho is not None else ""
    low, high = a.interval
    return (
        f"{a.covariate} explains {a.share:.0%} of {a.signal} ({how}95 % interval {low:.0%} to {high:.0%}, {a.cases} "
        f"cases): {remedy_of(a)}"
    )


def remedy_of(a: Association) -> str:
    """Return what to do about a signal that follows a covariate; adjustment leaves embeddings as they are."""
    if a.signal.startswith(COMPONENT):
        bounds = f", or bound them with --quota {a.covariate}=…" if a.kind == "category" else ""
        return f"look whether the strata are groups of {a.covariate}{bounds}, or select each group by itself"
    return f"select with --adjust {a.covariate}, bring the scans to one protocol, or select each group by itself"


def _numbers(column: np.ndarray) -> Float[np.ndarray, " case"] | None:
    """Return the column as numbers, NaN where missing, or None where it holds categories."""
    if column.dtype.kind in "fiu":
        numbers: np.ndarray = column.astype(np.float64)
        return numbers
    if column.dtype.kind != "O":
        return None
    missing = [plain(v) == "" for v in column]
    if all(missing) or not all(m or isinstance(v, float | int) for v, m in zip(column, missing, strict=True)):
        return None
    return np.array([np.nan if m else float(v) for v, m in zip(column, missing, strict=True)])


def _ranks(values: np.ndarray) -> Float[np.ndarray, " case"]:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values), dtype=np.float64)


def _design(column: np.ndarray) -> Float[np.ndarray, "case column"]:
    numbers = _numbers(column)
    if numbers is None:
        labels = np.array([plain(v) for v in column])
        indicators: np.ndarray = labels[:, None] == np.unique(labels)[None, 1:]
        return indicators.astype(np.float64)
    known = np.isfinite(numbers)
    ranks = np.zeros(len(numbers))
    if known.any():
        ranks[known] = _ranks(numbers[known]) - (known.sum() + 1) / 2
    return ranks[:, None] if known.all() else np.column_stack([ranks, ~known])


def _residual(values: PerCase, design: Float[np.ndarray, "case column"]) -> PerCase:
    ranks = _ranks(values)
    fit = np.linalg.lstsq(design, ranks, rcond=None)[0]
    residual: np.ndarray = ranks - design @ fit
    return residual
