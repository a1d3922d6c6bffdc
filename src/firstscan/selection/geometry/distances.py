"""Scaling of embeddings, and distances block by block."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

import numpy as np
from jaxtyping import UInt8

from firstscan.domain.arrays import Embeddings, Float, Int, PerCase, Strata
from firstscan.domain.errors import UsageError

BLOCK = 1024
LARGEST_PAIR_CASES = 130_000  # at one bit a pair: 2 GiB
LARGEST_PAIR_COST = 2e12  # N·N·dim up to which all pairs take about a minute on two cores


def standardise(x: Embeddings) -> Embeddings:
    """Return ``x`` with zero mean and unit variance per column; constant columns become 0."""
    from sklearn.preprocessing import StandardScaler

    scaled: np.ndarray = StandardScaler().fit_transform(x)
    return scaled


def unit_length(x: Embeddings) -> Embeddings:
    """Return ``x`` with every row scaled to length 1; zero rows stay zero."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    scaled: np.ndarray = x / np.where(length > 0, length, 1).astype(x.dtype)
    return scaled


def refuse_pairwise(strategy: str, cases: int, dim: int) -> None:
    """Raise where a strategy that measures all pairs would take too long.

    Raises
    ------
    UsageError : names the time it would take and the way out.
    """
    cost = float(cases) * cases * dim
    if cost > LARGEST_PAIR_COST or cases > LARGEST_PAIR_CASES:
        minutes, gib = max(1, round(cost / LARGEST_PAIR_COST)), cases**2 / 2**33
        raise UsageError(
            f"{strategy} measures every pair of scans: about {minutes} min and {gib:.1f} GiB for {cases} cases of "
            f"{dim} dimensions on two cores; give fewer cases, reduce the dimensions, or choose cscs, random or kcenter"
        )


def pairwise_distances(a: Float[np.ndarray, "row dim"], b: Float[np.ndarray, "other dim"]) -> np.ndarray:
    """Return Euclidean distances (row, other)."""
    from sklearn.metrics.pairwise import euclidean_distances

    distances: np.ndarray = euclidean_distances(a, b)
    return distances


def squared_distances(a: Float[np.ndarray, "row dim"], b: Float[np.ndarray, "other dim"]) -> np.ndarray:
    """Return squared Euclidean distances (row, other) by one matrix product, never below 0."""
    squared: np.ndarray = a @ b.T
    squared *= -2
    squared += np.einsum("ij,ij->i", a, a)[:, None]
    squared += np.einsum("ij,ij->i", b, b)
    squared[squared < 0] = 0
    return squared


def squared_distances_to(x: Embeddings, point: Float[np.ndarray, " dim"]) -> PerCase:
    """Return the squared Euclidean distance of every case to one point (case,)."""
    squared = np.empty(len(x))
    for start in range(0, len(x), BLOCK):
        difference = x[start : start + BLOCK] - point
        squared[start : start + BLOCK] = np.einsum("ij,ij->i", difference, difference)
    return squared


def _blocks(x: Embeddings, others: Float[np.ndarray, "other dim"]) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (rows of x, their distances to ``others``), in the precision of ``x`` as ProbCover's own code has it."""
    for start in range(0, len(x), BLOCK):
        rows = slice(start, min(start + BLOCK, len(x)))
        yield rows, np.sqrt(squared_distances(x[rows], others))


def balls(x: Embeddings, radius: float) -> UInt8[np.ndarray, "case byte"]:
    """Return for every case, one bit a case and packed, which cases are nearer than ``radius``, itself included."""
    packed = np.empty((len(x), -(-len(x) // 8)), dtype=np.uint8)
    for block, distances in _blocks(x, x):
        near = distances < radius
        near[np.arange(len(near)), np.arange(block.start, block.stop)] = True
        packed[block] = np.packbits(near, axis=1)
    return packed


def nearest_of_other_group(x: Embeddings, groups: Strata) -> PerCase:
    """Return each case's distance to the nearest case of another group (case,); infinity where there is none."""
    gaps = np.empty(len(x))
    for block, distances in _blocks(x, x):
        gaps[block] = np.where(groups[block, None] == groups[None, :], np.inf, distances).min(axis=1)
    return gaps


def twin_groups(x: Embeddings) -> Int[np.ndarray, " case"]:
    """Return a number per case that cases with identical embeddings share (case,)."""
    numbers: dict[bytes, int] = {}
    groups = np.empty(len(x), dtype=np.int64)
    for case, row in enumerate(x):
        digest = blake2b((row + 0.0).tobytes(), digest_size=16).digest()  # + 0.0: −0 becomes 0
        groups[case] = numbers.setdefault(digest, len(numbers))
    return groups


def near_duplicate_groups(x: Embeddings, share: float = 0.05) -> Int[np.ndarray, " case"]:
    """Return a number per case that near-duplicates share (case,).

    Near means: closer than ``share`` of the pool's median distance to the tenth neighbour, directly or in a chain.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    from .neighbours import nearest

    if len(x) < 2:
        return np.zeros(len(x), dtype=np.int64)
    found = nearest(x, min(10, len(x) - 1))
    near = found.distances <= share * np.median(found.distances[:, -1])
    case, place = np.nonzero(near)
    links = coo_array((np.ones(len(case)), (case, found.rows[case, place])), shape=(len(x), len(x)))
    return connected_components(links, directed=False)[1].astype(np.int64)
