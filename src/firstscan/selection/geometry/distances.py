"""Scaling of embeddings, and distances block by block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8, UInt64

from firstscan.domain.arrays import Embeddings, Float, Int, PerCase, Strata
from firstscan.domain.errors import UsageError

BLOCK = 1024
LARGEST_COPIED = 10_000_000  # numbers that scikit-learn's scaler may copy in double precision
LARGEST_PAIR_CASES = 130_000  # at one bit a pair: 2 GiB
LARGEST_PAIR_COST = 2e12  # N·N·dim up to which all pairs take about a minute on two cores


def standardise(x: Embeddings) -> Embeddings:
    """Return ``x`` with zero mean and unit variance per column; constant columns become 0.

    Small pools: scikit-learn. Large ones: the same block by block, in the precision of ``x`` and without its copies.
    """
    if x.size <= LARGEST_COPIED:
        from sklearn.preprocessing import StandardScaler

        scaled: np.ndarray = StandardScaler().fit_transform(x)
        return scaled
    mean = x.mean(axis=0, dtype=np.float64)
    variance = np.zeros(x.shape[1])
    for start in range(0, len(x), BLOCK):
        block = x[start : start + BLOCK] - mean
        variance += np.einsum("ij,ij->j", block, block)
    deviation = np.sqrt(variance / len(x))
    deviation[deviation <= 10 * np.finfo(x.dtype).eps * np.abs(mean)] = 1  # constant but for rounding
    scaled = np.empty_like(x)
    for start in range(0, len(x), BLOCK):
        scaled[start : start + BLOCK] = (x[start : start + BLOCK] - mean) / deviation
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
    sums = checksums(x)
    _, first, groups = np.unique(sums, return_index=True, return_inverse=True)
    unlike = [r for r in np.flatnonzero(first[groups] != np.arange(len(x))) if (x[r] != x[first[groups[r]]]).any()]
    known: dict[bytes, int] = {}
    for row in unlike:  # checksums that agree by chance
        groups[row] = known.setdefault((x[row] + 0.0).tobytes(), len(first) + len(known))
    return groups.astype(np.int64)


def checksums(x: Embeddings) -> UInt64[np.ndarray, " case"]:
    """Return a number per row that equal rows share (case,), others only by chance, once in about 10¹⁹ pairs."""
    weights: np.ndarray = np.random.default_rng(0).integers(2**64, size=(2, x.shape[1]), dtype=np.uint64)
    first, second = weights | np.uint64(1)
    sums = np.empty(len(x), dtype=np.uint64)
    for start in range(0, len(x), BLOCK):
        block = x[start : start + BLOCK]
        plain = (block.astype(np.float64) if block.itemsize > 8 else block) + block.dtype.type(0)  # −0 becomes 0
        mixed = plain.view(f"u{plain.itemsize}").astype(np.uint64) * first
        mixed ^= mixed >> np.uint64(32)
        sums[start : start + BLOCK] = (mixed * second).sum(axis=1)
    return sums
