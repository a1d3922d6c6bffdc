"""Studies with rounds as the statistics see them: rule against rule, apart for each strategy of the first batch."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from firstscan.study.plan import CEILING, JOIN

COVERAGE = "coverage"
"""What rules are compared with besides a random draw: the rule that asks no model."""


def by_rule(table: pd.DataFrame, studies: Collection[str]) -> pd.DataFrame:
    """Return rows whose ``strategy`` is the rule alone, so that a rule stands beside random draws from the same batch.

    Where several strategies chose first batches, ``pool`` says whose it was: what began otherwise is not compared, and
    full supervision stands beside each.

    Parameters
    ----------
    table : rows with ``pool`` and ``strategy``, which joins the two as in ``coverage+entropy``.
    studies : the pools with rounds; rows of others stay as they are.
    """
    parts = [
        _of_study(group, str(pool)) if pool in studies else group for pool, group in table.groupby("pool", sort=False)
    ]
    return pd.concat(parts, ignore_index=True) if parts else table


def _of_study(rows: pd.DataFrame, pool: str) -> pd.DataFrame:
    split = rows["strategy"].str.split(JOIN, n=1, expand=True, regex=False).reindex(columns=[0, 1])
    whole = rows["strategy"] == CEILING
    firsts = list(dict.fromkeys(split.loc[~whole, 0]))
    named = rows.assign(strategy=split[1].where(~whole, CEILING))
    if len(firsts) < 2:
        return named
    parts = [named[(split[0] == f) | whole].assign(pool=f"{pool}, first batch by {f}") for f in firsts]
    return pd.concat(parts, ignore_index=True)


def begins_apart(strategies: pd.Series) -> bool:
    """Tell whether several strategies chose first batches."""
    return strategies[strategies != CEILING].str.split(JOIN, n=1, regex=False).str[0].nunique() > 1
