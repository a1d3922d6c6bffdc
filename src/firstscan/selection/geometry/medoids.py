"""k-medoids: the scans whose mean distance to the rest of the pool is smallest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from firstscan.domain.arrays import Bool, Embeddings, Float, Int

from .distances import pairwise_distances

Distances = Float[np.ndarray, "point candidate"]
Nearest = Float[np.ndarray, " point"]
Points = Int[np.ndarray, " point"]
BLOCK = 512
_WORTH = 1e-9
"""The share of the mean distance that an exchange has to gain: what is less is rounding."""


def swapped(
    distances: Distances, medoids: Sequence[int], fixed: Nearest, free: Bool[np.ndarray, " candidate"]
) -> list[int]:
    """Exchange medoids for free candidates, always the best pair, until no exchange lowers the summed distance.

    Parameters
    ----------
    medoids : columns of ``distances``.
    fixed : each point's distance to the nearest medoid that stays whatever happens, or a bound above all distances.
    free : candidates that may come in.

    References
    ----------
    Kaufman & Rousseeuw, Finding Groups in Data, 1990 (PAM); Schubert & Rousseeuw, Inf. Syst. 101 (2021), by whose
    removal losses one round costs points × candidates.
    """
    chosen = list(medoids)
    worth = _WORTH * float(distances.sum()) / max(len(distances), 1)
    while True:
        gain, leaves, comes = _best_exchange(distances, chosen, fixed, free)
        if not gain > worth:
            return chosen
        chosen[leaves] = comes


def _best_exchange(
    distances: Distances, chosen: Sequence[int], fixed: Nearest, free: Bool[np.ndarray, " candidate"]
) -> tuple[float, int, int]:
    """Return (gain, place among ``chosen``, candidate) of the best exchange; ties go to the first."""
    coming = np.flatnonzero(free & ~np.isin(np.arange(distances.shape[1]), chosen))
    if not coming.size or not chosen:
        return 0.0, 0, 0
    mine = np.concatenate([distances[:, list(chosen)], fixed[:, None]], axis=1)
    order = np.argsort(mine, axis=1, kind="stable")[:, :2]
    first, second = (np.take_along_axis(mine, order[:, [i]], axis=1)[:, 0] for i in (0, 1))
    to = distances[:, coming]
    with_newcomer = np.minimum(to, first[:, None])
    common = (first[:, None] - with_newcomer).sum(axis=0)
    best = (0.0, 0, 0)
    for place in range(len(chosen)):
        own = order[:, 0] == place
        lost = np.minimum(to[own], second[own, None]) - with_newcomer[own]
        gain = common - lost.sum(axis=0)
        at = int(np.argmax(gain))
        if gain[at] > best[0]:
            best = (float(gain[at]), place, int(coming[at]))
    return best


def greedy_order(distances: Distances, rows: Sequence[int], nearest: Nearest) -> list[int]:
    """Return ``rows`` in the order in which they lower the summed distance most; ``distances`` (point, row) to them."""
    left, ordered = list(range(len(rows))), []
    while left:
        gain = np.maximum(nearest[:, None] - distances[:, left], 0.0).sum(axis=0)
        best = left.pop(int(np.argmax(gain)))
        ordered.append(rows[best])
        nearest = np.minimum(nearest, distances[:, best])
    return ordered


def assignment(x: Embeddings, centres: Sequence[int]) -> tuple[Int[np.ndarray, " case"], Float[np.ndarray, " case"]]:
    """Return for every case the place of its nearest centre in ``centres``, and the distance to it."""
    own, distance = np.empty(len(x), dtype=np.int64), np.empty(len(x))
    at = x[list(centres)]
    for start in range(0, len(x), BLOCK):
        to = pairwise_distances(x[start : start + BLOCK], at)
        own[start : start + BLOCK] = to.argmin(axis=1)
        distance[start : start + BLOCK] = to.min(axis=1)
    own[list(centres)] = np.arange(len(centres))
    distance[list(centres)] = 0.0
    return own, distance


def likeness(x: Embeddings, points: Points, own: Int[np.ndarray, " case"], centres: Sequence[int]) -> np.ndarray:
    """Return how well each case would stand for its group: minus the mean distance to the group's ``points``."""
    worth = np.zeros(len(x))
    for place in range(len(centres)):
        members = np.flatnonzero(own == place)
        of = points[own[points] == place]
        for start in range(0, len(members) if len(of) else 0, BLOCK):
            rows = members[start : start + BLOCK]
            worth[rows] = -pairwise_distances(x[rows], x[of]).mean(axis=1)
    return worth
