"""Scores → what a reviewer asks for: differences to random with honest intervals, spread between batches, harm.

An *arm* is a strategy with what is annotated of its picks: ``coverage``, or ``coverage (every 4)``. Where a study draws
sub-pools they are the unit of replication; else random's draws on the one pool are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from firstscan.metrics.ranking import Cell, Harm, aubc, harms, labels_saved
from firstscan.metrics.resampled import KIND_NEEDED, Estimate, KindEstimate, of_this_kind, these
from firstscan.metrics.significance import holm
from firstscan.study.plan import CEILING, RANDOM

from .arms import CELL, HARM, METRICS, Design, Picks, Sizes, of_pool, with_arms

CURVE_COLUMNS = [
    "pool", "strategy", "budget", "cells", "batches", "distinct", "cases", "dice", "dice_low", "dice_high",
    "sd_batches", "tenth", "hd95_mm", "nsd", "difference", "difference_low", "difference_high", "percentile",
    "below_median", "both_empty", "one_empty",
]  # fmt: skip
PRIMARY_COLUMNS = [
    "pool", "strategy", "difference", "low", "high", "pvalue", "pvalue_holm", "subpools", "overlap", "kind_low",
    "kind_high", "verdict",
]  # fmt: skip


@dataclass(frozen=True)
class Summary:
    """The tables of a study.

    ``primary``: one row a pool and arm, the mean difference to random over all budgets, Holm-adjusted over the arms
    of the pool; ``curves``: one row a pool, arm and budget; ``areas``: AUBC and labels saved; ``cell_means``: one row a
    cell.
    ``across``: by arm, over several pools: these, and where there are five others of their kind.
    """

    primary: pd.DataFrame
    curves: pd.DataFrame
    areas: pd.DataFrame
    cell_means: pd.DataFrame
    harmful: tuple[tuple[str, Harm], ...]
    failures: pd.DataFrame
    designs: Mapping[str, Design] = field(default_factory=dict)
    across: Mapping[str, tuple[Estimate, KindEstimate | None]] = field(default_factory=dict)
    across_holm: Mapping[str, float] = field(default_factory=dict)


def summarise(
    scores: pd.DataFrame,
    *,
    picks: Picks | None = None,
    sizes: Mapping[str, tuple[int, ...]] | None = None,
    reference: str = RANDOM,
    independent: bool = True,
) -> Summary:
    """Summarise the rows of ``scores.parquet`` against the arm ``reference``. Failed cells are listed and left out.

    Parameters
    ----------
    picks : the picks of (pool, arm, budget, sub-pool, selection seed): batches are told apart by them, else by scores.
    sizes : of each pool, as in :class:`Sizes`, for what may be said of other collections and what is not compared.
    independent : whether pools hold different scans; else nothing is said over several of them.
    """
    scores = with_arms(scores)
    good = scores[scores["status"] != "failed"]
    failures = scores[scores["status"] == "failed"][[*CELL, "reason"]].reset_index(drop=True)
    per_case = good.groupby([*CELL, "case_id"], sort=False)[list(METRICS)].mean().reset_index()
    cell_means = per_case.groupby(CELL, sort=False)[list(METRICS)].mean().reset_index()
    curve_rows, primary_rows, designs = [], [], {}
    parts: dict[str, list[Estimate]] = {}
    for pool, mine in per_case.groupby("pool", sort=False):
        name = str(pool)
        told = Sizes(*(sizes or {}).get(name, ()))
        own = good[good["pool"] == pool]
        found = of_pool(name, mine, own, reference=reference, picks=picks or {}, sizes=told)
        curve_rows += found.curves
        primary_rows += found.primary
        designs[name] = found.design
        for arm, estimate in found.estimates.items():
            parts.setdefault(arm, []).append(estimate)
    curves = pd.DataFrame(curve_rows, columns=CURVE_COLUMNS)
    everywhere = {a: p for a, p in parts.items() if independent and len(p) == len(designs) > 1}
    across = {a: (these(p), of_this_kind(p) if len(p) >= KIND_NEEDED else None) for a, p in everywhere.items()}
    adjusted = holm([a.pvalue for a, _ in across.values()])
    return Summary(
        pd.DataFrame(primary_rows, columns=PRIMARY_COLUMNS),
        curves,
        _areas(curves, reference),
        cell_means,
        _harmful(cell_means, reference, designs),
        failures,
        designs,
        across,
        dict(zip(across, adjusted, strict=True)),
    )


def _areas(curves: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Sum up each curve; one that lacks a budget of its pool (every cell failed there) has no area to compare."""
    rows: list[dict[str, Any]] = []
    kept = curves[curves["strategy"] != CEILING]
    for pool, mine in kept.groupby("pool", sort=False):
        budgets = np.unique(mine["budget"].to_numpy(float))
        by_strategy = {n: g.sort_values("budget") for n, g in mine.groupby("strategy", sort=False)}
        other = by_strategy.get(reference)
        for strategy, group in by_strategy.items():
            whole = len(group) == len(budgets)
            dice = group["dice"].to_numpy()
            row = {"pool": pool, "strategy": strategy, "aubc": aubc(budgets, dice) if whole else np.nan}
            if whole and other is not None and len(other) == len(budgets):
                for budget in (int(b) for b in budgets if 2 * b <= budgets[-1]):
                    saved = labels_saved(budgets, dice, other["dice"].to_numpy(), budget=budget)
                    row[f"saved_at_{budget}"] = saved
            rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else ["pool", "strategy", "aubc"])


def _harmful(cell_means: pd.DataFrame, reference: str, designs: Mapping[str, Design]) -> tuple[tuple[str, Harm], ...]:
    """Return the cells that lie below random's median at their budget, over all sub-pools, by more than 0.005."""
    found: list[tuple[str, Harm]] = []
    for pool, group in cell_means.groupby("pool", sort=False):
        medians = group[group["strategy"] == reference].groupby("budget")["dice"].median()
        others = group[~group["strategy"].isin([reference, CEILING]) & (group["budget"] > designs[str(pool)].shared)]
        cells = [
            Cell(
                str(r["strategy"]),
                int(r["budget"]),
                int(r["selection_seed"]),
                int(r["training_seed"]),
                float(r["dice"]),
                int(r["subpool"]),
            )
            for r in others.to_dict("records")
        ]
        listed = {int(str(k)): float(v) for k, v in medians.items()}
        found += [(str(pool), h) for h in harms(cells, listed) if h.loss > HARM]
    return tuple(found)
