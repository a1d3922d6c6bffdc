"""One scan a stratum, largest stratum first, and the rest from a ranking of the whole pool."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np

from firstscan.domain.arrays import Int, PerCase, Strata

from . import reasons
from .gating.gate import Gate
from .signals import best_first

Members = Int[np.ndarray, "_"]
Ranker = Callable[[int, Members], Iterable[tuple[int, str]]]


def members_of(strata: Strata) -> list[Members]:
    """Return the rows of every stratum 0 … max, rising."""
    return np.split(np.argsort(strata, kind="stable"), np.cumsum(np.bincount(strata))[:-1])


def largest_first(strata: Strata) -> list[int]:
    """Return the numbers of the strata that hold a scan, largest first, ties to the lowest number."""
    sizes = np.bincount(strata)
    return [int(s) for s in np.argsort(-sizes, kind="stable") if sizes[s]]


def serve(gate: Gate, strata: Strata, skipped: Collection[int], rank: Ranker, scores: PerCase | None = None) -> None:
    """Take the first admitted scan of each stratum that is not ``skipped``.

    ``rank`` gets a stratum and its rows, and yields (row, reason), best first. ``scores`` (case,) go with the picks.
    """
    members = members_of(strata)
    for stratum in largest_first(strata):
        if not gate.has_room():
            return
        if stratum in skipped:
            continue
        for row, reason in rank(stratum, members[stratum]):
            if gate.take(row, reason, stratum=stratum, score=None if scores is None else float(scores[row])):
                break


def fill(gate: Gate, strata: Strata, scores: PerCase, causes: Sequence[str] = ()) -> None:
    """Take the remaining picks in the order of ``scores`` (case,); pick n names the n-th of ``causes`` as reason."""
    ranking = best_first(scores)
    waiting = list(causes)
    while gate.has_room():  # a second round only where scans with identical features are all that is left
        for row in ranking:
            if not gate.has_room():
                return
            why = waiting[0] if waiting else "no further stratum to draw from"
            reason = reasons.by_global_rank(why)
            if gate.take(int(row), reason, stratum=int(strata[row]), score=float(scores[row])):
                waiting = waiting[1:]
