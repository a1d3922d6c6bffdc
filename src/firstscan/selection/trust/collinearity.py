"""Which columns of the scans say much the same, so that they are told as one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

SHARED = 0.5
"""Share of the variance that one column explains of another from which they count as one."""
MOST_ROWS = 2_000


def collinear(columns: Mapping[str, np.ndarray], shared: float = SHARED) -> tuple[tuple[str, ...], ...]:
    """Return groups of at least two columns that explain at least half of each other, in the order given.

    Columns hold numbers (NaN where missing) or labels (empty where missing), a value a case. Numbers are compared by
    ρ², labels and numbers by the share of the ranks' variance between labels, labels by Cramér's V².
    """
    names = list(columns)
    group = {name: i for i, name in enumerate(names)}
    step = {name: max(len(columns[name]) // MOST_ROWS, 1) for name in names}
    for a, b in combinations(names, 2):
        if group[a] != group[b] and _shared(columns[a][:: step[a]], columns[b][:: step[b]]) >= shared:
            old, new = group[b], group[a]
            group = {name: new if number == old else number for name, number in group.items()}
    members: dict[int, list[str]] = {}
    for name, number in group.items():
        members.setdefault(number, []).append(name)
    return tuple(tuple(found) for found in members.values() if len(found) > 1)


def _shared(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.stats import rankdata

    known = _known(a) & _known(b)
    a, b = a[known], b[known]
    if len(a) < 3 or len(np.unique(a)) < 2 or len(np.unique(b)) < 2:
        return 0.0
    if a.dtype.kind == "f" and b.dtype.kind == "f":
        return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1] ** 2)
    if a.dtype.kind != "f" and b.dtype.kind != "f":
        return _cramer(a, b)
    labels, numbers = (a, rankdata(b)) if a.dtype.kind != "f" else (b, rankdata(a))
    codes = np.unique(labels, return_inverse=True)[1]
    sums, sizes = np.bincount(codes, weights=numbers), np.bincount(codes)
    between = float((sums**2 / sizes).sum() - numbers.sum() ** 2 / len(numbers))
    return between / float(((numbers - numbers.mean()) ** 2).sum())


def _cramer(a: np.ndarray, b: np.ndarray) -> float:
    rows, columns = (np.unique(labels, return_inverse=True)[1] for labels in (a, b))
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), 1)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / len(a)
    return float(((table - expected) ** 2 / expected).sum() / len(a) / (min(table.shape) - 1))


def _known(column: np.ndarray) -> np.ndarray:
    known: np.ndarray = np.isfinite(column) if column.dtype.kind == "f" else column != ""
    return known
