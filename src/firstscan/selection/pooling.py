"""From a feature table and constraints to canonical rows and an open gate."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable

from .gating.constraints import Constraints
from .gating.feasibility import ledger
from .gating.gate import Gate
from .gating.limits import Limits
from .geometry import twin_groups


def check_ids(features: FeatureTable, constraints: Constraints) -> None:
    """Raise where the constraints name a case that the pool does not hold.

    Raises
    ------
    UsageError : names the unknown ids.
    """
    named = {kind: set(getattr(constraints, kind)) for kind in ("exclude", "include", "labelled")}
    known = set(features.case_ids) if any(named.values()) else set()
    for kind, ids in named.items():
        unknown = sorted(ids - known)
        if unknown:
            raise UsageError(
                f"{kind}: {len(unknown)} id(s) are not in the pool: {', '.join(unknown[:5])}; correct or remove them"
            )


def canonical(features: FeatureTable, constraints: Constraints) -> FeatureTable:
    """Return the table sorted by case id, without the excluded cases."""
    excluded = set(constraints.exclude)
    order = sorted(range(len(features)), key=features.case_ids.__getitem__)
    rows = [i for i in order if features.case_ids[i] not in excluded]
    return features if rows == list(range(len(features))) else features.rows(rows)


def rows_of(table: FeatureTable, case_ids: Collection[str]) -> np.ndarray:
    """Return the row of each case id."""
    if not case_ids:
        return np.empty(0, dtype=np.intp)
    row_of = {c: i for i, c in enumerate(table.case_ids)}
    return np.array([row_of[c] for c in case_ids], dtype=np.intp)


def open_gate(table: FeatureTable, count: int, limits: Limits, labelled: np.ndarray, include: np.ndarray) -> Gate:
    """Return the gate for ``count`` new picks, the rows ``include`` taken already.

    Raises
    ------
    UsageError : no batch of that size satisfies the limits.
    """
    closed = np.zeros(len(table), dtype=bool)
    closed[labelled] = True
    unlimited = not limits.names and not np.isfinite(limits.minutes)
    rules = None if unlimited else ledger(limits, ~closed, count, include, table.case_ids)
    gate = Gate(closed, count, twin_groups(table.embeddings), rules, labelled.tolist())
    if len(include) > count:
        raise UsageError(
            f"{len(include)} cases must be included but the budget is {count}; raise it or shorten the list"
        )
    for row in include:
        gate.fix(int(row), "must be included")
    return gate
