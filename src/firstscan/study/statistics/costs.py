"""Dice against the work of annotating: what each arm reaches with how many slices, and what random whole scans need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from firstscan.metrics.ranking import labels_needed
from firstscan.study.cells import WHOLE
from firstscan.study.plan import CEILING, RANDOM

KINDS = ("slices", "minutes")
"""What work is counted in; minutes are those of the cost model (docs/slices.md)."""
COLUMNS = ("slices", "foreground_slices", "minutes")


@dataclass(frozen=True, slots=True)
class Needed:
    """How much work random whole scans take to reach a Dice; ``cost`` is at least 0 and in the unit that was asked for.

    ``bound``: ``""`` where it lies between measured budgets; ``at most`` where the smallest reaches it already, which
    ``cost`` then is; ``more than`` where the largest does not.
    """

    cost: float
    bound: str = ""


def work_curves(curves: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each pool, arm and budget with its mean Dice and mean work, in the order of ``curves``.

    Only where some arm annotates slices, or in studies with rounds, where the work of what rules pick differs and adds
    up: else the number of labels says the same. Columns: ``pool``,
    ``strategy``, ``sliced``, ``budget``, ``dice``, ``slices``, ``foreground_slices``, ``minutes``.

    Parameters
    ----------
    curves : of :class:`firstscan.study.statistics.summary.Summary`.
    costs : a row a cell, with the arm as ``strategy``; cells that failed, or whose slices are not known, have no number
        and are left out.
    """
    names = ["pool", "strategy", "sliced", "budget", "dice", *COLUMNS]
    if not {"annotation", *COLUMNS} <= set(costs.columns) or not _differs(costs):
        return pd.DataFrame(columns=names)
    known = costs.dropna(subset=["slices"]).assign(sliced=costs["annotation"] != WHOLE)
    key = ["pool", "strategy", "budget"]
    means = known.groupby(key, sort=False).agg({"sliced": "any", **dict.fromkeys(COLUMNS, "mean")}).reset_index()
    found = curves.loc[curves["strategy"] != CEILING, [*key, "dice"]].merge(means, on=key, how="inner")
    return found[names].reset_index(drop=True)


def _differs(costs: pd.DataFrame) -> bool:
    return bool((costs["annotation"] != WHOLE).any()) or ("round" in costs and bool(costs["round"].notna().any()))


def needed(work: pd.DataFrame, pool: str, dice: float, kind: str) -> Needed | None:
    """Return how much work random whole scans of ``pool`` take to reach ``dice``; None where none were trained on.

    Their curve is made monotone first (least squares), because more labels do not make a network worse and single
    budgets scatter; it is interpolated between measured budgets and never continued beyond them.
    """
    mine = work[(work["pool"] == pool) & (work["strategy"] == RANDOM)].groupby(kind)["dice"].mean().sort_index()
    if mine.empty:
        return None
    costs = mine.index.to_numpy(dtype=np.float64)
    rising = np.asarray(isotonic_regression(mine.to_numpy(dtype=np.float64)).x)
    cost = labels_needed(costs, rising, dice)
    if np.isnan(cost):
        return Needed(float(costs[-1]), "more than")
    return Needed(cost, "at most" if cost <= costs[0] and rising[0] > dice else "")
