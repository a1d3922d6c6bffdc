"""One pool's arms against its random draws: at each budget, and over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from firstscan.metrics.ranking import percentile_in
from firstscan.metrics.resampled import Estimate, correlation, one_pool, overlap, paired, these
from firstscan.metrics.significance import holm
from firstscan.study.cells import WHOLE, WHOLE_POOL
from firstscan.study.plan import CEILING

CELL = ["pool", "strategy", "budget", "selection_seed", "training_seed", "subpool"]
BATCH = ["subpool", "selection_seed"]
METRICS = ("dice", "hd95_mm", "nsd")
LEAST_DRAWS = 3
HARM = 0.005
Picks = Mapping[tuple[Any, ...], frozenset[str]]
"""The picks of (pool, arm, budget, sub-pool, selection seed)."""


@dataclass(frozen=True)
class Design:
    """What a pool's comparison rests on: ``subpools`` (0: one pool) and random ``draws`` in each; ``cases`` tested.

    Up to the budget ``shared`` all arms have the same batch, and nothing is compared.
    """

    subpools: int
    draws: int
    cases: int
    shared: int = 0


@dataclass(frozen=True)
class Sizes:
    """Scans of a pool, of one of its sub-pools, and of a first batch that all arms share, as far as they are known."""

    collection: int = 0
    subpool: int = 0
    shared: int = 0


def arm_of(strategy: str, annotation: str) -> str:
    """Return how a strategy with what is annotated of its picks is called."""
    return strategy if annotation == WHOLE else f"{strategy} ({annotation})"


def with_arms(scores: pd.DataFrame) -> pd.DataFrame:
    """Return rows whose ``strategy`` names the arm; tables of firstscan 0.2 are of whole scans of one pool."""
    given = scores.assign(
        subpool=scores.get("subpool", WHOLE_POOL),
        annotation=scores.get("annotation", WHOLE),
    )
    return given.assign(
        strategy=[arm_of(str(s), str(a)) for s, a in zip(given["strategy"], given["annotation"], strict=True)]
    )


@dataclass(frozen=True)
class PoolFound:
    """What one pool tells: rows by arm and budget, rows by arm, and the estimates behind these."""

    curves: list[dict[str, Any]]
    primary: list[dict[str, Any]]
    estimates: dict[str, Estimate]
    design: Design


def of_pool(
    pool: str, per_case: pd.DataFrame, good: pd.DataFrame, *, reference: str, picks: Picks, sizes: Sizes
) -> PoolFound:
    """Compare every arm of one pool with random, at each budget and over all of them."""
    tables = {
        (str(arm), int(str(budget))): _batches(group)
        for (arm, budget), group in per_case.groupby(["strategy", "budget"], sort=False)
    }
    resampled = bool((per_case["subpool"] != WHOLE_POOL).any())
    empty = good.assign(both_empty=good["status"] == "both_empty", one_empty=good["status"] == "one_empty")
    counts = empty.groupby(["strategy", "budget"], sort=False)[["both_empty", "one_empty"]].sum()
    curves: list[dict[str, Any]] = []
    by_arm: dict[str, dict[int, Estimate | None]] = {}
    for (arm, budget), dice in tables.items():
        group = per_case[(per_case["strategy"] == arm) & (per_case["budget"] == budget)]
        other = tables.get((reference, budget))
        estimate = None
        if other is not None and budget > sizes.shared and arm not in {reference, CEILING}:
            estimate = _compared(dice, other, resampled=resampled, distinct=_distinct(dice, picks, (pool, arm, budget)))
        by_arm.setdefault(arm, {})[budget] = estimate
        curves.append(
            {
                "pool": pool, "strategy": arm, "budget": budget,
                **_described(dice, group, _distinct(dice, picks, (pool, arm, budget))),
                **_against(dice, other, estimate),
                **{k: int(str(counts.loc[(arm, budget), k])) for k in ("both_empty", "one_empty")},
            }
        )  # fmt: skip
    random = [t for (arm, budget), t in tables.items() if arm == reference and budget > sizes.shared]
    subpools = len({s for t in random for s in t.index.get_level_values("subpool")}) if resampled else 0
    draws = min((len(t) for t in random), default=0)
    design = Design(subpools, draws // max(subpools, 1), int(per_case["case_id"].nunique()), sizes.shared)
    compared = {(arm, budget): table for (arm, budget), table in tables.items() if budget > sizes.shared}
    primary, estimates = _primary(pool, compared, by_arm, reference, resampled=resampled)
    nothing = dict.fromkeys(("overlap", "kind_low", "kind_high"), np.nan)
    primary = [
        {**row, **(_kind(row, compared, picks, sizes, reference=reference) if resampled else nothing)}
        for row in primary
    ]
    adjusted = holm([row["pvalue"] for row in primary])
    told = [
        {**row, "pvalue_holm": p, "verdict": _verdict(row["difference"], p)}
        for row, p in zip(primary, adjusted, strict=True)
    ]
    return PoolFound(curves, told, estimates, design)


def _batches(group: pd.DataFrame, metric: str = "dice") -> pd.DataFrame:
    """Return a metric by (sub-pool, selection seed) and test case: means over training seeds, complete rows only."""
    table = group.pivot_table(index=BATCH, columns="case_id", values=metric, aggfunc="mean", sort=True)
    return table.dropna(axis=0)


def _distinct(dice: pd.DataFrame, picks: Picks, key: tuple[Any, ...]) -> list[Any]:
    """Return one row label of ``dice`` for each distinct batch: equal batches are one."""
    seen: dict[Any, Any] = {}
    for label, values in zip(dice.index, dice.to_numpy(), strict=True):
        seen.setdefault(picks.get((*key, *label)) or tuple(values), label)
    return list(seen.values())


def _compared(dice: pd.DataFrame, other: pd.DataFrame, *, resampled: bool, distinct: list[Any]) -> Estimate | None:
    shared = [c for c in dice.columns if c in set(other.columns)]
    if not shared:
        return None
    if resampled:
        differences = _differences(dice[shared], other[shared])
        return paired(differences.to_numpy()) if len(differences) > 1 else None
    if len(other) < LEAST_DRAWS:
        return None
    return one_pool(dice.loc[distinct, shared].mean(axis=1).to_numpy(), other[shared].mean(axis=1).to_numpy())


def _differences(dice: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Return (sub-pool, case): the arm's mean less that of the random draws of the same sub-pool."""
    ours, theirs = dice.groupby(level="subpool").mean(), other.groupby(level="subpool").mean()
    return (ours - theirs).dropna(axis=0)


def _primary(
    pool: str,
    tables: Mapping[tuple[str, int], pd.DataFrame],
    by_arm: Mapping[str, Mapping[int, Estimate | None]],
    reference: str,
    *,
    resampled: bool,
) -> tuple[list[dict[str, Any]], dict[str, Estimate]]:
    """Return a row and an estimate for each arm that was compared at every budget of random's."""
    budgets = [b for arm, b in tables if arm == reference]
    rows, estimates = [], {}
    for arm, at in by_arm.items():
        known = [at.get(b) for b in budgets]
        complete = [e for e in known if e is not None]
        if arm in {reference, CEILING} or not complete or len(complete) < len(budgets):
            continue
        estimate, subpools = these(complete), 0
        if resampled:
            means = [_differences(*_shared(tables[arm, b], tables[reference, b])) for b in budgets]
            together = sum(means[1:], means[0]).dropna(axis=0) / len(means)
            subpools = len(together)
            if subpools < 2:
                continue
            estimate = paired(together.to_numpy())
        estimates[arm] = estimate
        rows.append(
            {
                "pool": pool, "strategy": arm, "difference": estimate.estimate, "low": estimate.low,
                "high": estimate.high, "pvalue": estimate.pvalue, "subpools": subpools,
            }
        )  # fmt: skip
    return rows, estimates


def _shared(a: pd.DataFrame, b: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    columns = [c for c in a.columns if c in set(b.columns)]
    return a[columns], b[columns]


def _kind(
    row: Mapping[str, Any],
    tables: Mapping[tuple[str, int], pd.DataFrame],
    picks: Picks,
    sizes: Sizes,
    *,
    reference: str,
) -> dict[str, float]:
    """Return the measured overlap of an arm's batches, and the interval for collections of this kind."""
    arm, budgets = row["strategy"], [b for a, b in tables if a == reference]
    shares, rhos = [], []
    for budget in budgets:
        mine = [picks.get((row["pool"], arm, budget, *label)) for label in tables[arm, budget].index]
        batches = [b for b in mine if b]
        if len(batches) < 2 or not sizes.subpool:
            return {"overlap": np.nan, "kind_low": np.nan, "kind_high": np.nan}
        size = len(batches[0])
        draws = len(tables[reference, budget]) / max(
            tables[reference, budget].index.get_level_values("subpool").nunique(), 1
        )
        shares.append(overlap(batches))
        rhos.append(
            correlation(
                shares[-1], budget=size, subpool=sizes.subpool, collection=sizes.collection, draws=max(round(draws), 1)
            )
        )
    means = [_differences(*_shared(tables[arm, b], tables[reference, b])) for b in budgets]
    together = sum(means[1:], means[0]).dropna(axis=0) / len(means)
    wide = paired(together.to_numpy(), rho=float(np.mean(rhos)))
    return {"overlap": float(np.mean(shares)), "kind_low": wide.low, "kind_high": wide.high}


def _verdict(difference: float, pvalue: float) -> str:
    if not pvalue < 0.05:
        return "cannot tell"
    return "better" if difference > 0 else "worse"


def _described(dice: pd.DataFrame, group: pd.DataFrame, distinct: list[Any]) -> dict[str, Any]:
    means = dice.loc[distinct].mean(axis=1).to_numpy()
    spread = float(means.std(ddof=1)) if len(means) > 1 else np.nan
    half = spread * 1.96 / np.sqrt(len(means)) if len(means) > 1 else np.nan
    mean = float(dice.to_numpy().mean())
    measured = {m: _batches(group, m).to_numpy() for m in METRICS[1:] if group[m].notna().any()}
    others = {m: float(measured[m].mean()) if m in measured else np.nan for m in METRICS[1:]}
    return {
        "cells": int(group.groupby(CELL, sort=False).ngroups), "batches": len(dice), "distinct": len(distinct),
        "cases": dice.shape[1], "dice": mean, "dice_low": mean - half, "dice_high": mean + half, "sd_batches": spread,
        "tenth": float(np.quantile(means, 0.1)) if len(means) > 1 else np.nan, **others,
    }  # fmt: skip


def _against(dice: pd.DataFrame, other: pd.DataFrame | None, estimate: Estimate | None) -> dict[str, float]:
    nothing = dict.fromkeys(("difference", "difference_low", "difference_high", "percentile", "below_median"), np.nan)
    if other is None or estimate is None:
        return nothing
    ours, theirs = dice.mean(axis=1), other.mean(axis=1)
    return {
        "difference": estimate.estimate, "difference_low": estimate.low, "difference_high": estimate.high,
        "percentile": percentile_in(float(ours.mean()), theirs.to_numpy()),
        "below_median": float((ours < theirs.median() - HARM).mean()),
    }  # fmt: skip
