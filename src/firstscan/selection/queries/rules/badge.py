"""BADGE: scans whose labels would move the model far, and in different directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from firstscan.domain.arrays import Float
from firstscan.selection.gating.gate import Gate
from firstscan.selection.geometry import squared_distances_to, standardise
from firstscan.selection.protocol import Candidates, Outcome
from firstscan.selection.queries.protocol import POOL_GROUPS, Query


@dataclass(frozen=True)
class Badge(Query):
    """Draw scans by k-means++ on the gradients that the model's own predictions would have as labels.

    The gradient of a scan is the outer product of its mean residual (p − onehot of the prediction, by predicted class,
    over its likely foreground) with its features: long where the model is unsure, and pointing elsewhere for other
    classes and other kinds of scans. The first pick is the longest; each further one is drawn with a probability that
    grows with the squared distance to the nearest pick.

    References
    ----------
    Ash et al. 2020, ICLR. Deviations: the last layer's input is stood for by the scan's features of the pool, joined
    and scaled as for strategy coverage, so that predictions of any program serve; one gradient a scan, averaged over
    its voxels; gradients of labelled scans are not known and repel nothing.
    """

    name: ClassVar[str] = "badge"
    summary: ClassVar[str] = "scans whose predictions would move the model far and in different directions (BADGE)"
    reference: ClassVar[str] = "Ash et al. 2020, ICLR"
    groups: ClassVar[tuple[str, ...]] = POOL_GROUPS

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take scans by k-means++ on their gradients until the gate is full."""
        measures = self.measures(candidates)
        gradients = gradients_of(measures.residuals, candidates.embeddings)
        rng = np.random.default_rng(candidates.seed)
        length = np.einsum("ij,ij->i", gradients, gradients)
        nearest = length.copy()
        for row in gate.rows:
            nearest = np.minimum(nearest, squared_distances_to(gradients, gradients[row]))
        lengths = np.sqrt(length)
        while gate.has_room():
            first = not gate.rows
            row = _drawn(np.where(gate.open, nearest, 0.0), gate, rng, longest=first)
            if gate.take(row, _reason(lengths, measures.known, row, first=first), score=float(lengths[row])):
                nearest = np.minimum(nearest, squared_distances_to(gradients, gradients[row]))
        return Outcome(scores=lengths)


def gradients_of(
    residuals: Float[np.ndarray, "case class class"], x: Float[np.ndarray, "case dim"]
) -> Float[np.ndarray, "case direction"]:
    """Return the gradient embedding of every scan: residuals times (1, features)."""
    scaled = standardise(x.astype(np.float64)) / np.sqrt(x.shape[1])
    features = np.concatenate([np.ones((len(x), 1)), scaled], axis=1)
    outer: np.ndarray = np.einsum("nij,nd->nijd", residuals, features)
    return outer.reshape(len(x), -1)


def _drawn(share: np.ndarray, gate: Gate, rng: np.random.Generator, *, longest: bool) -> int:
    total = share.sum()
    if longest or total <= 0:
        return int(np.where(gate.open, share, -1.0).argmax())
    return int(rng.choice(len(share), p=share / total))


def _reason(length: np.ndarray, known: np.ndarray, row: int, *, first: bool) -> str:
    below = int(100 * np.count_nonzero(length[known] < length[row]) // max(int(known.sum()) - 1, 1))
    how = "the longest of all" if below >= 100 else f"longer than {below} % of the others"
    return f"its gradient is {how}" + ("" if first else ", and points elsewhere than those of the picks before")
