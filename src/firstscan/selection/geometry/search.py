"""Nearest neighbours of every case of a large pool, in float32: all pairs, or among the cells that lie near."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from firstscan.domain.arrays import Embeddings, Float, Int, PerCase

from .best import Best
from .cells import partition
from .parallel import side_by_side

BLOCK = 2048
QUERIES = 256  # cases whose true neighbours are found: so many to set the search, and so many others to measure it
FEWEST_COMPONENTS = 32
SAMPLE_PER_DIMENSION, WIDEST = 8, 256  # at most 2,048 cases, from which principal components are taken
KEPT_BY_COMPONENTS, KEPT_BY_CELLS = 0.985, 0.97  # of the true neighbours, each step by itself
WANTED_RECALL = 0.96  # on the sample, to be at least 0.95 on the pool
LARGEST_COST = 1e13  # N·candidates·components that two cores measure in a few minutes
STRIDES = (2, 4, 8)  # cells looked through at a time, the first few alone to know early what is too far

Found = tuple[Float[np.ndarray, "row k"], Int[np.ndarray, "row k"]]


def all_pairs(x: Embeddings, rows: Int[np.ndarray, " row"], k: int) -> Found:
    """Return distances and rows of the ``k`` nearest other cases of ``rows``, nearest first, measured on every pair."""
    half = _half_norms(x)

    def search(some: Int[np.ndarray, " row"]) -> Found:
        best = Best(x[some], k + 1)
        for start in range(0, len(x), BLOCK):
            stop = min(start + BLOCK, len(x))
            best.offer(x[start:stop], half[start:stop], np.arange(start, stop))
        return _measured(x, some, best.which, k)

    parts = list(side_by_side(search, [rows[s : s + QUERIES] for s in range(0, len(rows), QUERIES)]))
    return np.concatenate([d for d, _ in parts]), np.concatenate([r for _, r in parts])


def _half_norms(x: Embeddings) -> PerCase:
    half: np.ndarray = np.einsum("ij,ij->i", x, x) / 2
    return half


def _measured(x: Embeddings, rows: Int[np.ndarray, " row"], candidates: Int[np.ndarray, "row few"], k: int) -> Found:
    """Return the ``k`` nearest of each row's ``candidates``, measured in full, the row itself left out."""
    import faiss

    cases, others = np.repeat(rows, candidates.shape[1]), np.ascontiguousarray(candidates).reshape(-1)
    flat = np.empty(len(cases), dtype=np.float32)
    at, one, other, out = (faiss.swig_ptr(a) for a in (x, cases, others, flat))
    faiss.pairwise_indexed_L2sqr(x.shape[1], len(cases), at, one, at, other, out)  # type: ignore[attr-defined]
    flat[others == cases] = np.inf
    squared = flat.reshape(candidates.shape)
    best = np.lexsort((candidates, squared), axis=1)[:, :k]
    return np.sqrt(np.take_along_axis(squared, best, axis=1)), np.take_along_axis(candidates, best, axis=1)


def _principal(sample: Embeddings) -> Float[np.ndarray, "dim component"]:
    """Return the principal directions, the leading one first, by whichever side of the sample is shorter."""
    about = sample - sample.mean(axis=0)
    wide = about.shape[1] > len(about)
    vectors = np.linalg.eigh(about @ about.T if wide else about.T @ about)[1][:, ::-1]
    if wide:
        vectors = about.T @ vectors
        vectors /= np.maximum(np.linalg.norm(vectors, axis=0), np.finfo(np.float64).tiny)
    directions: np.ndarray = vectors.astype(np.float32)
    return directions


def _projected(x: Embeddings, directions: Float[np.ndarray, "dim component"]) -> Float[np.ndarray, "case component"]:
    blocks = (x[start : start + BLOCK] for start in range(0, len(x), BLOCK))
    return np.concatenate(list(side_by_side(lambda block: block @ directions, blocks)))


@dataclass(frozen=True, eq=False)
class _Truth:
    """The true neighbours of some ``rows``: ``distances`` and ``neighbours``, both (row, k)."""

    rows: Int[np.ndarray, " row"]
    distances: Float[np.ndarray, "row k"]
    neighbours: Int[np.ndarray, "row k"]

    def share_within(self, distances: Float[np.ndarray, "row k"]) -> float:
        """Return the share of the neighbours that is matched at these distances; ties with the last of them count."""
        return float((distances <= self.distances[:, -1:] * (1 + 1e-5)).mean())


class CellSearch:
    """Looks for neighbours in the cells nearest to a case's own, by leading components, and measures the best in full.

    How many components and how many cells it takes is read off the true neighbours of 256 cases; ``recall`` is the
    share found of those of 256 others. Neither grows with a pool that keeps its shape, so that the work grows like N.
    ``cost`` is N · candidates · components.
    """

    def __init__(self, x: Embeddings, k: int) -> None:
        self._x, self._k = x, k
        rng = np.random.default_rng(0)
        sample = rng.permutation(len(x))[: 2 * QUERIES]
        distances, rows = all_pairs(x, sample, k)
        setting, measuring = (_Truth(sample[i::2], distances[i::2], rows[i::2]) for i in (0, 1))
        screen = self._screen(setting, rng)
        self._cells = partition(screen)
        self._cell_of = self._cells.of_rows()
        self._screened = screen[self._cells.order]
        self._half = _half_norms(self._screened)
        whole = float(len(x)) ** 2 * screen.shape[1]
        most = max(1, min(len(self._cells), int(len(self._cells) * LARGEST_COST / whole)))
        self._probes = min(self._needed(setting), most)
        self.recall = self._recall(measuring)
        while self.recall < WANTED_RECALL and self._probes < most:
            self._probes = min(self._probes + -(-self._probes // 2), most)
            self.recall = self._recall(measuring)

    @property
    def cost(self) -> float:
        """Multiplications that the search takes."""
        looked_at = len(self._x) * self._probes / len(self._cells)
        return float(len(self._x)) * looked_at * int(self._screened.shape[1])

    def everywhere(self) -> Found:
        """Return distances and rows of the neighbours of every case, nearest first."""
        distances = np.empty((len(self._x), self._k), dtype=np.float32)
        rows = np.empty((len(self._x), self._k), dtype=np.int64)
        for cell, found in self._search(np.arange(len(self._cells))):
            cases = self._members(cell)
            distances[cases], rows[cases] = found
        return distances, rows

    @property
    def _wide(self) -> int:
        """Candidates that are measured in full: twice those wanted, and the case itself."""
        return 2 * self._k + 1

    def _screen(self, truth: _Truth, rng: np.random.Generator) -> Embeddings:
        """Return the cases' leading components (case, component): as few as keep the neighbours ahead."""
        few = self._x[np.sort(rng.permutation(len(self._x))[: SAMPLE_PER_DIMENSION * min(self._x.shape[1], WIDEST)])]
        directions = _principal(few.astype(np.float64))
        components = FEWEST_COMPONENTS
        while components < directions.shape[1]:
            screen = _projected(self._x, np.ascontiguousarray(directions[:, :components]))
            ahead = all_pairs(screen, truth.rows, min(self._wide, len(screen)) - 1)[1]
            if truth.share_within(_measured(self._x, truth.rows, ahead, self._k)[0]) >= KEPT_BY_COMPONENTS:
                return screen
            components *= 2
        return self._x

    def _needed(self, truth: _Truth) -> int:
        """Return how many of the nearest cells hold the wanted share of the true neighbours."""
        import faiss

        own, theirs = self._cell_of[truth.rows], self._cell_of[truth.neighbours]
        by_distance = faiss.knn(self._cells.centres[own], self._cells.centres, len(self._cells))[1]
        place = np.argsort(by_distance, axis=1)
        return int(np.quantile(np.take_along_axis(place, theirs, axis=1), KEPT_BY_CELLS, method="higher")) + 1

    def _recall(self, truth: _Truth) -> float:
        """Return the share of the true neighbours that the search finds."""
        distances = np.full((len(truth.rows), self._k), np.inf, dtype=np.float32)
        own = self._cell_of[truth.rows]
        for cell, found in self._search(np.unique(own)):
            members = self._members(cell)
            for place in np.flatnonzero(own == cell):
                distances[place] = found[0][members == truth.rows[place]]
        return truth.share_within(distances)

    def _members(self, cell: int) -> Int[np.ndarray, " row"]:
        return self._cells.order[self._cells.starts[cell] : self._cells.starts[cell + 1]]

    def _search(self, wanted: Int[np.ndarray, " cell"]) -> Iterator[tuple[int, Found]]:
        """Yield each wanted cell with what was found for its members."""
        import faiss

        centres = self._cells.centres
        probes = min(len(centres), max(self._probes, self._wide))  # a cell holds a case at least
        around = faiss.knn(centres[wanted], centres, probes)[1]
        yield from zip(wanted.tolist(), side_by_side(self._search_cell, zip(wanted, around, strict=True)), strict=True)

    def _search_cell(self, task: tuple[np.int64, Int[np.ndarray, " probe"]]) -> Found:
        """Return the neighbours of the members of one cell, from the nearest of the cells around it."""
        cell, around = task
        starts = self._cells.starts
        enough = int(np.searchsorted(np.cumsum(self._cells.sizes[around]), self._wide)) + 1
        near = around[: max(self._probes, enough)]
        best = Best(self._screened[starts[cell] : starts[cell + 1]], min(self._wide, len(self._x)))
        done, strides = 0, iter(STRIDES)
        while done < len(near):
            stride = next(strides, STRIDES[-1])
            spans = [slice(starts[c], starts[c + 1]) for c in near[done : done + stride]]
            block, half = (np.concatenate([a[s] for s in spans]) for a in (self._screened, self._half))
            best.offer(block, half, np.concatenate([np.arange(s.start, s.stop) for s in spans]))
            done += stride
        return _measured(self._x, self._members(int(cell)), self._cells.order[best.which], self._k)
