"""Constraints as numbers: which group each case is in, how many picks a group may have, what a pick costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from firstscan.domain.arrays import Bool, Int, PerCase
from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.selection.geometry import near_duplicate_groups

from .constraints import Constraints, Quota

NEAR_DUPLICATE = "near_duplicate"
EVERY_GROUP = "*"
"""In a quota: every group of the column that has no quota of its own."""
SLACK = 1e-6
"""Share of a limit in minutes by which a sum may exceed it: three times 7.3 minutes are 21.9, but not in binary."""
Rows = Int[np.ndarray, "_"]


@dataclass(frozen=True, eq=False)
class Limits:
    """Bounds on the new picks.

    ``groups`` (family, case) holds the number of the limit that a case falls under, −1 for none; ``lower`` and
    ``upper`` (limit,) bound the picks in each; ``names`` (limit,) say what they are called; ``cost`` (case,) in minutes
    sums to ``minutes`` at most.
    """

    groups: Int[np.ndarray, "family case"]
    lower: Int[np.ndarray, " limit"]
    upper: Int[np.ndarray, " limit"]
    names: tuple[str, ...]
    cost: PerCase
    minutes: float = np.inf

    def without_lower(self, limit: int) -> Limits:
        """Return the limits with no minimum on ``limit``."""
        lower = self.lower.copy()
        lower[limit] = 0
        return replace(self, lower=lower)

    def without_upper(self, limits: Rows) -> Limits:
        """Return the limits with no maximum on ``limits``."""
        upper = self.upper.copy()
        upper[limits] = self.groups.shape[1]
        return replace(self, upper=upper)


def read_limits(
    table: FeatureTable, constraints: Constraints, labelled: Rows, pool: FeatureTable | None = None
) -> Limits:
    """Turn ``constraints`` into limits on the rows of ``table``; ``labelled`` cases use up maxima and meet minima.

    ``pool`` is the table with the excluded cases: a maximum on a group that is excluded as a whole binds nobody.

    Raises
    ------
    UsageError : a column that the table lacks, a group that nobody is in, a minimum on a group whose scans are all
        excluded, a cost that is not above 0.
    """
    families: list[np.ndarray] = []
    lower: list[int] = []
    upper: list[int] = []
    names: list[str] = []
    for column in constraints.group_by:
        codes, values = _coded(table, column)
        families.append(np.where(codes >= 0, codes + len(lower), -1))
        taken = np.bincount(codes[labelled][codes[labelled] >= 0], minlength=len(values))
        lower += [0] * len(values)
        upper += np.maximum(1 - taken, 0).tolist()
        names += [f"at most one scan per {column}"] * len(values)
    for column in dict.fromkeys(q.column for q in constraints.quotas):
        codes, values = _coded(table, column)
        family = np.full(len(table), -1)
        for quota in _spelled_out([q for q in constraints.quotas if q.column == column], values):
            if quota.group not in values:
                _refuse_unless_free(quota, values, pool)
                continue
            members = codes == values.index(quota.group)
            family[members] = len(lower)
            done = int(members[labelled].sum())
            lower.append(max(quota.minimum - done, 0))
            upper.append(len(table) if quota.maximum is None else max(quota.maximum - done, 0))
            names.append(f"{column}={quota.group}")
        families.append(family)
    return Limits(
        groups=np.array(families, dtype=np.int64).reshape(len(families), len(table)),
        lower=np.array(lower, dtype=np.int64),
        upper=np.array(upper, dtype=np.int64),
        names=tuple(names),
        cost=_cost(table, constraints.cost_column),
        minutes=np.inf if constraints.minutes is None else constraints.minutes + SLACK * abs(constraints.minutes),
    )


def _refuse_unless_free(quota: Quota, there: list[str], pool: FeatureTable | None) -> None:
    """Raise unless the group of ``quota`` is excluded as a whole and no scan of it is asked for."""
    if pool is None or quota.column not in pool.covariates:
        out = []
    else:
        labels = map(plain, pool.covariates[quota.column])
        out = [case for case, label in zip(pool.case_ids, labels, strict=True) if label == quota.group]
    group = f"{quota.column}={quota.group}"
    if not out:
        raise UsageError(f"no case has {group}; the groups there are: {', '.join(there[:10])}")
    if quota.minimum:
        raise UsageError(
            f"quota on {group}: at least {quota.minimum} wanted, but all {len(out)} scan(s) of that group are excluded "
            f"({', '.join(out[:5])}); exclude fewer or drop the quota"
        )


def group_sizes(limits: Limits, usable: Bool[np.ndarray, " case"]) -> Int[np.ndarray, " limit"]:
    """Return how many usable cases fall under each limit (limit,)."""
    codes = limits.groups[:, usable]
    return np.bincount(codes[codes >= 0], minlength=len(limits.names))


def _spelled_out(quotas: list[Quota], groups: list[str]) -> list[Quota]:
    """Return the quotas of one column with that on every group as one for each group that has none of its own."""
    own = {q.group for q in _distinct(quotas)}
    each = [replace(q, group=group) for q in quotas if q.group == EVERY_GROUP for group in groups if group not in own]
    return [*(q for q in quotas if q.group != EVERY_GROUP), *each]


def _distinct(quotas: list[Quota]) -> list[Quota]:
    twice = [group for group, n in Counter(q.group for q in quotas).items() if n > 1]
    if twice:
        raise UsageError(f"two quotas on {quotas[0].column}={twice[0]}; give its minimum and maximum in one")
    return quotas


def _coded(table: FeatureTable, column: str) -> tuple[Int[np.ndarray, " case"], list[str]]:
    """Return the group number of every case, −1 where the value is missing, and the groups' names."""
    if column == NEAR_DUPLICATE and column not in table.covariates:
        labels = [str(g) for g in near_duplicate_groups(table.embeddings)]
    else:
        labels = [plain(v) for v in _column(table, column)]
    names = sorted(set(labels) - {""})
    number = {name: i for i, name in enumerate(names)} | {"": -1}
    return np.array([number[label] for label in labels], dtype=np.int64), names


def _column(table: FeatureTable, column: str) -> np.ndarray:
    if column not in table.covariates:
        known = ", ".join(table.covariates) or "none"
        raise UsageError(f"the feature table has no column {column!r}; its columns: {known}")
    return table.covariates[column]


def plain(value: object) -> str:
    """Return the group's name: whole floats without their point, missing values as an empty string."""
    if value is None or value != value:  # noqa: PLR0124 - NaN is the one value that differs from itself
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def _cost(table: FeatureTable, column: str | None) -> PerCase:
    if column is None:
        return np.zeros(len(table))
    values = _column(table, column)
    cost = numbers(values)
    bad = [table.case_ids[i] for i in np.flatnonzero(~(np.isfinite(cost) & (cost > 0)))]
    if bad:
        raise UsageError(
            f"column {column!r} must give minutes above 0; not so in {len(bad)} case(s): {', '.join(bad[:5])}"
        )
    return cost


def numbers(values: Iterable[object]) -> PerCase:
    """Return values as numbers, NaN where one is none."""
    return np.array([_number(v) for v in values], dtype=np.float64)


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")
