"""What goes with Dice: properties of every batch that need no label, and how random batches' go with their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from firstscan.domain.errors import UsageError
from firstscan.domain.features import EMBEDDING, FeatureTable
from firstscan.metrics.association import Draws, coded, relation
from firstscan.metrics.significance import holm
from firstscan.selection.groups import joined
from firstscan.selection.trust.properties import NAMES, PoolView
from firstscan.study.cells import WHOLE_POOL, Cell
from firstscan.study.plan import CEILING, RANDOM

ALL = "all"
"""All feature groups together, each reduced and scaled alike."""
UNCERTAINTY = "uncertainty"
KEY = ["pool", "strategy", "budget", "selection_seed", "subpool", "annotation"]
NOTE = (
    "Random batches only. ρ: Spearman’s rank correlation of a property with mean Dice over all budgets, both freed of "
    "the mean of their sub-pool and ranked within their budget. Interval and p: from the variance under permutation "
    "of whole draws within their sub-pool. Batches: different ones, and in brackets how many independent ones they are "
    "worth. p (Holm): over all rows of a pool. Of distances to the nearest pick and of discrepancy, less is better: ρ "
    "below 0 means that covering the pool goes with Dice. This relates batches of one pool and does not show what "
    "causes what; a rule that is made of it has to be tried on other scans."
)
COLUMNS = [
    "pool",
    "property",
    "group",
    "rho",
    "low",
    "high",
    "pvalue",
    "pvalue_holm",
    "batches",
    "effective",
    "left_out",
]
CONSTANT = "the same in all scans"
WORDS: Mapping[str, str] = {
    "coverage": "distance to the nearest pick",
    "discrepancy": "discrepancy from the pool (MMD)",
    "diversity": "distance between picks",
    "closest": "distance of the closest picks",
    "typicality": "typicality of picks",
    UNCERTAINTY: "uncertainty of picks",
}
"""Properties in words."""


def batch_properties(
    name: str, cells: Sequence[Cell], table: FeatureTable, subpools: Sequence[Sequence[str]]
) -> pd.DataFrame:
    """Return one row a batch: what it is for, its picks, and its properties by feature group, in the pool it is from.

    Columns are called ``coverage_texture`` and so on; a group that is the same in all scans of a pool has no numbers
    there. Typicality and distances are over the sub-pool, where one was drawn.

    Parameters
    ----------
    name : the study's.
    table : features of the pool; batches with picks outside of it are left out.
    """
    groups = [EMBEDDING, *table.groups]
    if table.uncertainty is None and table.groups:  # preset instant: the embedding is all groups together
        groups = list(table.groups)
    names = [*groups, ALL] if len(groups) > 1 else groups
    columns = [f"{p}_{g}" for g in names for p in NAMES]
    columns += [UNCERTAINTY] if table.uncertainty is not None else []
    rows: list[dict[str, Any]] = []
    batches = {(c.strategy, c.budget, c.selection_seed, c.subpool, c.annotation): c for c in cells if c.picks}
    for number in sorted({c.subpool for c in batches.values()}):
        pool = table if number == WHOLE_POOL else table.only(subpools[number])
        views = {g: _view(pool, groups if g == ALL else [g]) for g in names}
        row_of = {case_id: i for i, case_id in enumerate(pool.case_ids)}
        for cell in batches.values():
            if cell.subpool != number or cell.strategy == CEILING or not row_of.keys() >= set(cell.picks):
                continue
            at = np.array([row_of[i] for i in cell.picks], dtype=np.intp)
            found = {f"{p}_{g}": v for g, view in views.items() if view for p, v in asdict(view.of(at)).items()}
            if pool.uncertainty is not None:
                found[UNCERTAINTY] = float(pool.uncertainty[at].mean())
            own = (name, cell.strategy, cell.budget, cell.selection_seed, cell.subpool, cell.annotation)
            rows.append({**dict(zip(KEY, own, strict=True)), "picks": " ".join(cell.picks), **found})
    return pd.DataFrame(rows, columns=[*KEY, "picks", *columns])


def no_batches() -> pd.DataFrame:
    """Return the table of batches of a study that picked nothing."""
    return pd.DataFrame(columns=[*KEY, "picks"])


def with_scores(batches: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return batches with their mean ``dice`` over classes, test cases and training seeds; NaN where there is none."""
    good = scores[scores["status"] != "failed"]
    means = good.groupby([*KEY, "case_id"], sort=False)["dice"].mean().groupby(level=KEY, sort=False).mean()
    joined_ = batches.merge(means.rename("dice").reset_index(), on=KEY, how="left")
    own = [*KEY, "picks", "dice"]
    return joined_[[*own, *(c for c in joined_.columns if c not in own)]]


def goes_with_dice(batches: pd.DataFrame) -> pd.DataFrame:
    """Return how each property of random batches goes with their Dice: a row a pool, property and group.

    ``rho`` as :func:`firstscan.metrics.association.relation` defines it, p-values Holm-adjusted over the rows of a
    pool. ``left_out`` says why a row has no number.
    """
    rows: list[dict[str, Any]] = []
    random = batches[batches["strategy"] == RANDOM] if len(batches) else batches
    for pool, mine in random.groupby("pool", sort=False) if len(random) else ():
        told = [_related(str(pool), column, mine) for column in _properties(mine)]
        adjusted = holm([row["pvalue"] for row in told])
        rows += [{**row, "pvalue_holm": p} for row, p in zip(told, adjusted, strict=True)]
    return pd.DataFrame(rows, columns=COLUMNS)


def in_words(found: pd.DataFrame) -> str:
    """Return how the numbers were made, and which feature groups are left out because they are constant."""
    out = found[found["left_out"] == CONSTANT]
    several = found["pool"].nunique() > 1
    named = [
        ", ".join(dict.fromkeys(mine["group"])) + (f" ({pool})" if several else "")
        for pool, mine in out.groupby("pool", sort=False)
    ]
    return NOTE + (f" Left out, because the same in all scans: {'; '.join(named)}." if named else "")


def _view(pool: FeatureTable, groups: Sequence[str]) -> PoolView | None:
    """Return the pool by some groups together; None where they are the same in all its scans."""
    if len(pool) < 2:
        return None
    try:
        return PoolView(joined(pool, groups).table.embeddings)
    except UsageError:
        return None


def _properties(mine: pd.DataFrame) -> list[str]:
    """Return the columns of properties, by property and then by group."""
    names = [c for c in mine.columns if c == UNCERTAINTY or c.partition("_")[0] in NAMES]
    kept = [c for c in names if c != UNCERTAINTY or mine[c].notna().any()]  # of another study, where several are joined
    order = [*NAMES, UNCERTAINTY]
    return sorted(kept, key=lambda c: order.index(c.partition("_")[0]))


def _related(pool: str, column: str, mine: pd.DataFrame) -> dict[str, Any]:
    name, _, group = column.partition("_")
    values = mine[column].to_numpy(dtype=np.float64)
    draws = Draws(
        subpool=coded(mine["subpool"].tolist()),
        draw=coded(mine["selection_seed"].tolist()),
        budget=coded(list(zip(mine["annotation"], mine["budget"], strict=True))),
        picks=coded([frozenset(str(p).split()) for p in mine["picks"]]),
    )
    found = relation(values, mine["dice"].to_numpy(dtype=np.float64), draws)
    row = {"pool": pool, "property": name, "group": group, "left_out": ""}
    nothing = dict.fromkeys(("rho", "low", "high", "pvalue", "effective"), np.nan)
    if found is None:
        constant = group and not np.isfinite(mine[f"coverage_{group}"].to_numpy(dtype=np.float64)).any()
        return {**row, **nothing, "batches": 0, "left_out": CONSTANT if constant else "it does not vary"}
    told = asdict(found)
    told["batches"] = told.pop("distinct")
    return {**row, **told, "left_out": "" if np.isfinite(found.low) else "too few batches for an interval"}
