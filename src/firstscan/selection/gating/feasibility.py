"""Whether a batch can still be completed, and which constraints stand in each other's way when it cannot."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from firstscan.domain.arrays import Bool, PerCase
from firstscan.domain.errors import UsageError

from .gate import Verdict
from .limits import SLACK, Limits, Rows, group_sizes

CaseMask = Bool[np.ndarray, " case"]


def complete(limits: Limits, usable: CaseMask, count: int) -> Rows | None:
    """Return ``count`` usable rows within ``limits``, cheapest in all; None where there are none.

    An integer programme over the usable rows; of rows that are alike only the ``count`` cheapest are kept.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    if count == 0:
        return np.empty(0, dtype=np.int64) if (limits.lower <= 0).all() and limits.minutes >= 0 else None
    rows = _cheapest_of_each_kind(limits, usable, count)
    if len(rows) < count:
        return None
    family, position = np.nonzero(limits.groups[:, rows] >= 0)
    limit = limits.groups[:, rows][family, position]
    membership = csr_array((np.ones(len(limit)), (limit, position)), shape=(len(limits.names), len(rows)))
    conditions = [LinearConstraint(csr_array(np.ones((1, len(rows)))), count, count)]
    if len(limits.names):
        conditions.append(LinearConstraint(membership, limits.lower, limits.upper))
    if np.isfinite(limits.minutes):
        conditions.append(LinearConstraint(csr_array(limits.cost[None, rows]), -np.inf, limits.minutes))
    found = milp(
        limits.cost[rows], constraints=conditions, integrality=np.ones(len(rows), dtype=np.int64), bounds=Bounds(0, 1)
    )
    if not found.success:
        return None
    chosen: Rows = rows[found.x > 0.5]
    return chosen


def _cheapest_of_each_kind(limits: Limits, usable: CaseMask, count: int) -> Rows:
    rows = np.flatnonzero(usable)
    if not len(limits.groups):
        return rows[np.argsort(limits.cost[rows], kind="stable")[:count]]
    kind = np.unique(limits.groups[:, rows], axis=1, return_inverse=True)[1].ravel()
    order = np.lexsort((limits.cost[rows], kind))
    starts = np.flatnonzero(np.diff(kind[order], prepend=-1))
    place = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    kept: Rows = np.sort(rows[order[place < count]])
    return kept


class Ledger:
    """Rules for the gate: admits a row only if a valid batch of the full size still contains it.

    A completion is kept at hand as proof; taking one of its rows, or swapping one for a row outside, keeps the proof,
    and only where no swap does is a new completion searched for.
    """

    def __init__(self, limits: Limits, usable: CaseMask, completion: Rows) -> None:
        self._limits = limits
        self._lower, self._upper = limits.lower.copy(), limits.upper.copy()
        self._minutes = limits.minutes
        self._usable = usable.copy()
        self._completion = completion

    def judge(self, row: int) -> Verdict:
        """Admit ``row`` and record it, or refuse it together with every row that is alike and costs no less."""
        completion = self._without(row)
        if completion is None:
            closes = self._alike(row)
        else:
            self._completion = completion
            self._usable[row] = False
            self._record(row)
            closes = self._exhausted()
        self._usable &= ~closes
        return Verdict(completion is not None, closes)

    def _without(self, row: int) -> Rows | None:
        """Return rows that complete a batch holding ``row``, or None."""
        inside = self._completion == row
        if inside.any():
            kept: Rows = self._completion[~inside]
            return kept
        swapped = self._swap(row)
        if swapped is not None:
            return swapped
        mine = self._limits.groups[:, row]
        mine = mine[mine >= 0]
        if (self._upper[mine] < 1).any() or self._limits.cost[row] > self._minutes:
            return None
        lower, upper = self._lower.copy(), self._upper.copy()
        np.subtract.at(lower, mine, 1)
        np.subtract.at(upper, mine, 1)
        usable = self._usable.copy()
        usable[row] = False
        rest = Limits(
            self._limits.groups,
            np.maximum(lower, 0),
            upper,
            self._limits.names,
            self._limits.cost,
            self._minutes - self._limits.cost[row],
        )
        return complete(rest, usable, len(self._completion) - 1)

    def _swap(self, row: int) -> Rows | None:
        """Return the completion with one of its rows left out in favour of ``row``, or None where no swap is valid."""
        rows, groups, cost = self._completion, self._limits.groups, self._limits.cost
        inside = groups[:, rows]
        count = np.bincount(inside[inside >= 0], minlength=len(self._lower))
        possible = cost[row] + cost[rows].sum() - cost[rows] <= self._minutes
        for mine, theirs in zip(groups[:, row], inside, strict=True):
            same = theirs == mine
            if mine >= 0 and count[mine] + 1 > self._upper[mine]:
                possible &= same
            spare = np.where(theirs >= 0, count[theirs] - 1 >= self._lower[theirs], True)
            possible &= same | spare
        out = np.flatnonzero(possible)
        return np.delete(rows, out[-1]) if len(out) else None

    def _record(self, row: int) -> None:
        mine = self._limits.groups[:, row]
        for limit in mine[mine >= 0]:
            self._upper[limit] -= 1
            self._lower[limit] = max(self._lower[limit] - 1, 0)
        self._minutes -= self._limits.cost[row]

    def _exhausted(self) -> CaseMask:
        groups = self._limits.groups
        closed = self._limits.cost > self._minutes
        if len(groups):
            closed |= ((groups >= 0) & (self._upper[groups] < 1)).any(axis=0)
        return closed

    def _alike(self, row: int) -> CaseMask:
        groups, cost = self._limits.groups, self._limits.cost
        alike: CaseMask = (groups == groups[:, [row]]).all(axis=0) & (cost >= cost[row])
        return alike


def ledger(limits: Limits, usable: CaseMask, count: int, fixed: Rows, case_ids: tuple[str, ...]) -> Ledger:
    """Return the rules for a batch of ``count`` usable rows that holds ``fixed``.

    Raises
    ------
    UsageError : no such batch exists; the message names a smallest set of constraints that cannot hold together.
    """
    found = _complete_with(limits, usable, count, fixed)
    if found is None:
        clash = list(_smallest_conflict(limits, usable, count, fixed, case_ids))
        raise UsageError(
            f"no batch of {count} scans satisfies all of these at once: {'; '.join(clash)}. Loosen one of them"
        )
    return Ledger(limits, usable, found)


def _complete_with(limits: Limits, usable: CaseMask, count: int, fixed: Rows) -> Rows | None:
    codes = limits.groups[:, fixed]
    used = np.bincount(codes[codes >= 0], minlength=len(limits.names))
    minutes = limits.minutes - float(limits.cost[fixed].sum())
    if (used > limits.upper).any() or minutes < 0 or len(fixed) > count:
        return None
    rest = Limits(
        limits.groups, np.maximum(limits.lower - used, 0), limits.upper - used, limits.names, limits.cost, minutes
    )
    free = usable.copy()
    free[fixed] = False
    rows = complete(rest, free, count - len(fixed))
    return None if rows is None else np.concatenate([fixed, rows])


def _smallest_conflict(
    limits: Limits, usable: CaseMask, count: int, fixed: Rows, case_ids: tuple[str, ...]
) -> Iterator[str]:
    """Drop one constraint after the other; yield those without which the rest can hold."""
    sizes = group_sizes(limits, usable)
    for name in dict.fromkeys(limits.names):
        same = np.array([i for i, n in enumerate(limits.names) if n == name])
        if (limits.upper[same] < len(usable)).any():
            looser = limits.without_upper(same)
            if _complete_with(looser, usable, count, fixed) is None:
                limits = looser
            else:
                yield name if name.startswith("at most") else f"at most {limits.upper[same[0]]} more of {name}"
        if (limits.lower[same] > 0).any():
            looser = limits.without_lower(int(same[0]))
            if _complete_with(looser, usable, count, fixed) is None:
                limits = looser
            else:
                there = f"{sizes[same[0]]} usable"
                yield f"at least {limits.lower[same[0]]} more of {name} ({there})"
    if np.isfinite(limits.minutes):
        cheapest: PerCase = np.sort(limits.cost[usable])[:count]
        looser = Limits(limits.groups, limits.lower, limits.upper, limits.names, limits.cost)
        if _complete_with(looser, usable, count, fixed) is None:
            limits = looser
        else:
            most = limits.minutes / (1 + SLACK)
            yield f"at most {most:g} minutes (the {count} cheapest scans take {cheapest.sum():g})"
    if len(fixed) and _complete_with(limits, usable, count, fixed[:0]) is not None:
        yield f"include {', '.join(case_ids[i] for i in fixed[:5])}"
    yield f"a budget of {count} from {int(usable.sum())} usable scans"
