"""Coverage: the batch that stands for the whole pool best, over several kinds of features."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from firstscan.domain.arrays import Embeddings, Float
from firstscan.selection.gating.gate import Gate
from firstscan.selection.geometry import pairwise_distances
from firstscan.selection.geometry.medoids import BLOCK, Nearest, Points, assignment, greedy_order, likeness, swapped
from firstscan.selection.protocol import Candidates, Outcome, Strategy
from firstscan.selection.reasons import scans

LARGEST_EXCHANGED = 2_000
"""Scans up to which picks are exchanged: every pair of distances is at hand, and a round takes tenths of a second."""


@dataclass(frozen=True)
class Coverage(Strategy):
    """Minimise the mean distance of every scan to its nearest pick (k-medoids, or facility location).

    Picks are added one by one, each the scan that lowers the mean most; then picks are exchanged for other scans as
    long as that lowers it further. Labelled scans cover their surroundings. In pools of more than 2,000 scans, under
    constraints, and with picks fixed beforehand nothing is exchanged. Ranks are those in which the final picks lower
    the mean most, so that the first few are a good smaller batch.

    Parameters
    ----------
    references : scans of the pool, drawn with the seed, on which coverage is measured; all of them in smaller pools.
        Every scan can be picked.

    References
    ----------
    Kaufman & Rousseeuw, Finding Groups in Data, 1990; Schubert & Rousseeuw, Inf. Syst. 101 (2021) for the exchanges;
    Minoux 1978 for the lazy additions. Features: docs/method.md.
    """

    name: ClassVar[str] = "coverage"
    summary: ClassVar[str] = "the scans that stand for the whole pool best, over network, appearance, texture and shape"
    reference: ClassVar[str] = "Kaufman & Rousseeuw 1990 (k-medoids)"
    uses_uncertainty: ClassVar[bool] = False
    groups: ClassVar[tuple[str, ...]] = ("positions", "appearance", "texture", "shape")

    references: int = field(default=4_000, metadata={"least": 1})

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Rehearse the additions, exchange where that is free, and take the picks with their reasons."""
        x = candidates.embeddings.astype(np.float64)
        points = np.sort(np.random.default_rng(candidates.seed).permutation(len(x))[: self.references])
        apart = np.full(len(points), 2 * float(np.linalg.norm(x - x.mean(axis=0), axis=1).max()) + 1.0)
        covered = [int(r) for r in candidates.covered]
        nearest = np.minimum(apart, _nearest(x, points, covered)) if covered else apart
        picks = lazy_greedy(x, points, nearest, deepcopy(gate))
        if not (gate.limited or gate.rows) and len(x) == len(points) <= LARGEST_EXCHANGED:
            distances = pairwise_distances(x, x)
            picks = swapped(distances, picks, nearest, gate.open)
            picks = greedy_order(distances[:, picks], picks, nearest)
        return _taken(x, points, picks, gate, covered)


def lazy_greedy(x: Embeddings, points: Points, nearest: Nearest, gate: Gate) -> list[int]:
    """Fill ``gate`` with the rows of ``x`` that lower the summed distance of ``points`` to their nearest pick most.

    Gains only shrink as picks are added, so that one found earlier bounds a later one: only rows that may still win are
    measured again, with the same picks as measuring all. ``nearest`` (point,) is each point's distance to what covers
    it beforehand. Returns the rows taken, in order; ties go to the first row.

    References
    ----------
    Minoux, Accelerated greedy algorithms for maximizing submodular set functions, 1978.
    """
    nearest = nearest.copy()
    n, of = len(x), x[points]
    bounds = np.concatenate([_gains(of, x[s : s + BLOCK], nearest) for s in range(0, n, BLOCK)])
    current = np.ones(n, dtype=bool)
    before = len(gate.rows)
    while gate.has_room():
        best = int(np.where(gate.open, bounds, -np.inf).argmax())
        if not current[best]:
            stale = np.flatnonzero(~current & gate.open)
            rows = stale[np.argsort(-bounds[stale], kind="stable")[:BLOCK]]
            bounds[rows] = _gains(of, x[rows], nearest)
            current[rows] = True
        elif gate.take(best, ""):
            nearest = np.minimum(nearest, pairwise_distances(of, x[[best]])[:, 0])
            current[:] = False
    return gate.rows[before:]


def _gains(
    points: Float[np.ndarray, "point dim"], rows: Float[np.ndarray, "row dim"], nearest: Nearest
) -> Float[np.ndarray, " row"]:
    lowered: np.ndarray = np.maximum(nearest[:, None] - pairwise_distances(points, rows), 0.0).sum(axis=0)
    return lowered


def _nearest(x: Embeddings, points: Points, rows: list[int]) -> Nearest:
    distances: np.ndarray = pairwise_distances(x[points], x[rows]).min(axis=1)
    return distances


def _taken(x: Embeddings, points: Points, picks: list[int], gate: Gate, covered: list[int]) -> Outcome:
    """Take ``picks`` in order, each with what it stands for, and describe the pool by them."""
    labelled = [row for row in covered if row not in gate.rows]
    centres = [*gate.rows, *picks, *labelled]
    own, distance = assignment(x, centres)
    typical = float(np.median(distance[distance > 0])) if (distance > 0).any() else 1.0
    for place, row in enumerate(picks, start=len(gate.rows)):
        mine = distance[own == place]
        reach = f", the farthest at {mine.max() / typical:.1f} times the median distance" if len(mine) > 1 else ""
        gate.take(row, f"stands for {scans(max(len(mine), 1))} of the pool{reach}", stratum=place)
    scores = likeness(x, points, own, centres)
    facts = {"coverage": float(distance[points].mean()), "references": len(points)}
    return Outcome(strata=own, scores=scores, diagnostics=facts)
