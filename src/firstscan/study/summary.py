"""Scores → what a reviewer asks for: means with intervals, percentiles in random, tests, variances, harm."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from firstscan.metrics.intervals import Variances, bootstrap_difference, bootstrap_mean, variance_components
from firstscan.metrics.ranking import Cell, Harm, aubc, harms, labels_saved, percentile_in
from firstscan.metrics.significance import RankTest, friedman_conover, holm, wilcoxon_paired

from .plan import CEILING, RANDOM

CELL = ["pool", "strategy", "budget", "selection_seed", "training_seed"]
RESAMPLES = 2000
CURVE_COLUMNS = [
    "pool", "strategy", "budget", "cells", "cases", "dice", "dice_low", "dice_high", "hd95_mm", "nsd", "difference",
    "difference_low", "difference_high", "percentile", "wilcoxon_p", "variance_selection", "variance_training",
    "both_empty", "one_empty",
]  # fmt: skip
METRICS = ("dice", "hd95_mm", "nsd")


@dataclass(frozen=True)
class Summary:
    """The tables of a study.

    ``curves``: one row a pool, strategy and budget; ``areas``: AUBC and labels saved; ``cell_means``: one row a cell;
    ``ranks``: Friedman and Conover over complete blocks, or why there is none in ``no_ranks``.
    """

    curves: pd.DataFrame
    areas: pd.DataFrame
    cell_means: pd.DataFrame
    harmful: tuple[tuple[str, Harm], ...]
    ranks: RankTest | None
    no_ranks: str
    failures: pd.DataFrame


def summarise(scores: pd.DataFrame, *, reference: str = RANDOM, seed: int = 0) -> Summary:
    """Summarise the rows of ``scores.parquet`` against the strategy labelled ``reference``.

    Intervals come from a bootstrap with generator ``seed``. Failed cells are listed and left out of every mean.
    """
    good = scores[scores["status"] != "failed"]
    failures = scores[scores["status"] == "failed"][[*CELL, "reason"]].reset_index(drop=True)
    per_case = good.groupby([*CELL, "case_id"], sort=False)[list(METRICS)].mean().reset_index()
    cell_means = per_case.groupby(CELL, sort=False)[list(METRICS)].mean().reset_index()
    curves = _curves(per_case, good, reference, np.random.default_rng(seed))
    areas = _areas(curves, reference)
    ranks, no_ranks = _ranks(curves)
    return Summary(curves, areas, cell_means, _harmful(cell_means, reference), ranks, no_ranks, failures)


def _curves(per_case: pd.DataFrame, good: pd.DataFrame, reference: str, rng: np.random.Generator) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    empty = good.assign(both_empty=good["status"] == "both_empty", one_empty=good["status"] == "one_empty")
    counts = empty.groupby(["pool", "strategy", "budget"], sort=False)[["both_empty", "one_empty"]].sum().T.to_dict()
    references = {
        key: _draws(group, "dice")
        for key, group in per_case[per_case["strategy"] == reference].groupby(["pool", "budget"], sort=False)
    }
    for key, group in per_case.groupby(["pool", "strategy", "budget"], sort=False):
        pool, strategy, budget = key
        dice = _draws(group, "dice")
        mean = bootstrap_mean(dice.to_numpy(), rng=rng, resamples=RESAMPLES)
        variances = _variances(group)
        row: dict[str, Any] = {
            "pool": pool, "strategy": strategy, "budget": budget, "cells": _cells(group), "cases": dice.shape[1],
            "dice": mean.estimate, "dice_low": mean.low, "dice_high": mean.high,
            "hd95_mm": float(_draws(group, "hd95_mm").to_numpy().mean()),
            "nsd": float(_draws(group, "nsd").to_numpy().mean()),
            "variance_selection": variances.selection, "variance_training": variances.training,
            "both_empty": int(counts[key]["both_empty"]), "one_empty": int(counts[key]["one_empty"]),
        }  # fmt: skip
        others = references.get((pool, budget))
        if others is not None and strategy not in {reference, CEILING}:
            row |= _against(dice, others, rng)
        rows.append(row)
    table = pd.DataFrame(rows, columns=CURVE_COLUMNS)
    table["wilcoxon_p_holm"] = holm(table["wilcoxon_p"].tolist())
    return table


def _against(dice: pd.DataFrame, others: pd.DataFrame, rng: np.random.Generator) -> dict[str, float]:
    """Compare (draw, case) tables on the cases that both scored."""
    shared = [c for c in dice.columns if c in set(others.columns)]
    ours, theirs = dice[shared].to_numpy(), others[shared].to_numpy()
    difference = bootstrap_difference(ours, theirs, rng=rng, resamples=RESAMPLES)
    test = wilcoxon_paired(ours.mean(axis=0), theirs.mean(axis=0))
    return {
        "difference": difference.estimate,
        "difference_low": difference.low,
        "difference_high": difference.high,
        "percentile": percentile_in(float(ours.mean()), theirs.mean(axis=1)),
        "wilcoxon_p": test.pvalue,
    }


def _draws(group: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return scores as (draw, case): a draw is one selection seed, averaged over its training seeds."""
    table = group.pivot_table(index="selection_seed", columns="case_id", values=metric, aggfunc="mean", sort=True)
    return table.dropna(axis=0)


def _cells(group: pd.DataFrame) -> int:
    return int(group.groupby(CELL, sort=False).ngroups)


def _variances(group: pd.DataFrame) -> Variances:
    means = group.groupby(["selection_seed", "training_seed"])["dice"].mean().unstack().dropna(axis=0)
    return Variances(np.nan, np.nan) if means.empty else variance_components(means.to_numpy())


def _areas(curves: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Sum up each curve; one that lacks a budget of its pool (every cell failed there) has no area to compare."""
    rows: list[dict[str, Any]] = []
    kept = curves[curves["strategy"] != CEILING]
    for pool, of_pool in kept.groupby("pool", sort=False):
        budgets = np.unique(of_pool["budget"].to_numpy(float))
        by_strategy = {n: g.sort_values("budget") for n, g in of_pool.groupby("strategy", sort=False)}
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


def _harmful(cell_means: pd.DataFrame, reference: str) -> tuple[tuple[str, Harm], ...]:
    found: list[tuple[str, Harm]] = []
    for pool, group in cell_means.groupby("pool", sort=False):
        medians = group[group["strategy"] == reference].groupby("budget")["dice"].median()
        others = group[~group["strategy"].isin([reference, CEILING])]
        cells = [
            Cell(
                str(r["strategy"]),
                int(r["budget"]),
                int(r["selection_seed"]),
                int(r["training_seed"]),
                float(r["dice"]),
            )
            for r in others.to_dict("records")
        ]
        listed = {_whole(k): float(v) for k, v in medians.items()}
        found += [(str(pool), h) for h in harms(cells, listed)]
    return tuple(found)


def _whole(key: Hashable) -> int:
    return int(str(key))


def _ranks(curves: pd.DataFrame) -> tuple[RankTest | None, str]:
    """Rank the strategies that every pool knows, within the blocks (pool × budget) that all of them completed."""
    kept = curves[curves["strategy"] != CEILING]
    pools = kept.groupby("strategy", sort=False)["pool"].nunique()
    names = [str(n) for n in pools.index[pools == kept["pool"].nunique()]]
    table = kept.pivot_table(index=["pool", "budget"], columns="strategy", values="dice", sort=False)
    complete = table.reindex(columns=names).dropna()
    if len(names) < 3 or len(complete) < 2:
        return None, (
            f"Friedman's test needs at least 3 strategies in 2 blocks (pool × budget); "
            f"here are {len(names)} strategies, and blocks that all of them completed: {len(complete)}."
        )
    return friedman_conover(complete.to_numpy(), names), ""
