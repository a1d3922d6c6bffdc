"""The nearest candidates of some cases, kept while block after block of the pool is looked through."""

from __future__ import annotations

import numpy as np

from firstscan.domain.arrays import Float, Int


class Best:
    """The ``wanted`` nearest candidates of each of ``queries`` (row, dim) so far, by squared distances in float32.

    Nearness is q·y − |y|²/2, one matrix product a block. Once the first block has been ranked, what is farther than
    the worst that is kept is left out by one comparison, and only the rest is ranked again.
    """

    def __init__(self, queries: Float[np.ndarray, "row dim"], wanted: int) -> None:
        self._queries, self._wanted = queries, wanted
        self._extended = np.column_stack([queries, np.full(len(queries), -1, dtype=queries.dtype)])
        self._room = np.empty(0, dtype=np.float32)
        self._nearness = np.empty((len(queries), 0), dtype=np.float32)
        self.which: Int[np.ndarray, "row few"] = np.empty((len(queries), 0), dtype=np.int64)

    def offer(
        self,
        block: Float[np.ndarray, "other dim"],
        half_norms: Float[np.ndarray, " other"],
        which: Int[np.ndarray, " other"],
    ) -> None:
        """Look through ``block``, whose cases are named ``which``; ``half_norms`` are half their squared lengths."""
        nearness = self._nearness_of(block, half_norms)
        if self.which.shape[1] < self._wanted:
            named = np.broadcast_to(which, nearness.shape)
            self._keep(np.hstack([self._nearness, nearness]), np.hstack([self.which, named]))
            return
        hits = np.flatnonzero(nearness > self._nearness.min(axis=1, keepdims=True))
        row, column = np.divmod(hits, len(which))
        counts = np.bincount(row, minlength=len(nearness))
        width = int(counts.max(initial=0))
        if not width:
            return
        place = self._wanted + np.arange(len(hits)) - np.repeat(np.cumsum(counts) - counts, counts)
        found = np.full((len(nearness), self._wanted + width), -np.inf, dtype=np.float32)
        names = np.zeros(found.shape, dtype=np.int64)
        found[:, : self._wanted], names[:, : self._wanted] = self._nearness, self.which
        found[row, place], names[row, place] = nearness.reshape(-1)[hits], which[column]
        self._keep(found, names)

    def _nearness_of(
        self, block: Float[np.ndarray, "other dim"], half_norms: Float[np.ndarray, " other"]
    ) -> Float[np.ndarray, "row other"]:
        shape = len(self._queries), len(block)
        if len(self._room) < shape[0] * shape[1]:
            self._room = np.empty(shape[0] * shape[1], dtype=np.float32)
        nearness = self._room[: shape[0] * shape[1]].reshape(shape)
        if block.shape[1] < len(self._queries):  # a column more costs less than going over the product again
            return np.matmul(self._extended, np.column_stack([block, half_norms]).T, out=nearness)
        np.matmul(self._queries, block.T, out=nearness)
        nearness -= half_norms
        return nearness

    def _keep(self, nearness: Float[np.ndarray, "row few"], which: Int[np.ndarray, "row few"]) -> None:
        spare = nearness.shape[1] - self._wanted
        if spare > 0:
            kept = np.argpartition(nearness, spare - 1, axis=1)[:, spare:]
            nearness, which = np.take_along_axis(nearness, kept, axis=1), np.take_along_axis(which, kept, axis=1)
        self._nearness, self.which = nearness, which
