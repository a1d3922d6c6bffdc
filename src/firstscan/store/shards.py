"""A feature store that grows: immutable Parquet shards in a folder, each complete or absent.

Rows are named by what their values depend on (``key``), so scans with equal content share one. Shards are added a batch
at a time and joined in tens as they pile up, so that a hundred thousand cases are a few dozen files, and memory stays
that of a batch. Any program may read the folder while it grows, or open it as one Parquet data set.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from firstscan.domain.errors import DataError

from .shard_files import BATCH_ROWS, DamagedError, Rows, group_sizes, keys_of, row_group, row_groups, write_shard

FLUSH_S = 5.0
_JOINED = 10
_SMALL = (10, 100, 1_000, 10_000)
_NAME = re.compile(r"shard-(\d{8})-(\d{8})\.parquet")


@dataclass(frozen=True)
class Located:
    """Where the rows of some keys are: ``shard`` (key,) counts ``files`` and is −1 where a row is missing."""

    files: tuple[Path, ...]
    shard: np.ndarray
    row: np.ndarray

    @property
    def missing(self) -> list[int]:
        """Positions of the keys that have no row."""
        return np.flatnonzero(self.shard < 0).tolist()

    def read(self, rows: int = BATCH_ROWS) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (embeddings, uncertainty) in the order of the keys, ``rows`` at a time.

        Rows lie nearly in order, so a batch comes from few row groups and memory stays that of a batch.
        Raises DataError where a row is missing or its shard was damaged since it was located.
        """
        if self.missing:
            raise DataError(f"{len(self.missing)} scan(s) are not measured yet. Run the same command again.")
        opened: dict[int, _Shard] = {}
        groups: _Groups = {}
        for start in range(0, len(self.shard), rows):
            part = slice(start, start + rows)
            shard, row = self.shard[part], self.row[part]
            pieces = []
            for number in np.unique(shard):
                if number not in opened:
                    opened[number] = _Shard(self.files[number], groups)
                at = np.flatnonzero(shard == number)
                pieces.append((at, *opened[number].gather(row[at])))
            dim = pieces[0][1].shape[1]
            embeddings, uncertainty = np.empty((len(row), dim), np.float32), np.empty(len(row), np.float64)
            for at, mine, numbers in pieces:
                embeddings[at], uncertainty[at] = mine, numbers
            yield embeddings, uncertainty


class ShardStore:
    """The shards of one folder: one writer at a time, any number of readers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def shards(self) -> list[Path]:
        """Return the shards in the order in which their rows were written, without those that a join has replaced."""
        spans = [(*_span(path), path) for path in self.folder.iterdir() if _NAME.fullmatch(path.name)]
        kept: list[Path] = []
        reached = -1
        for _, last, path in sorted(spans, key=lambda span: (span[0], -span[1])):
            if last > reached:
                kept.append(path)
                reached = last
        return kept

    def locate(self, keys: Sequence[str], *, repair: bool = False) -> Located:
        """Return where the rows of ``keys`` are; with equal keys, the latest row counts for all.

        ``repair`` reads every page first and removes shards that are damaged, so that their cases count as missing;
        only the one writer may ask for it.

        Raises
        ------
        DataError : a newer firstscan wrote here, or (without ``repair``) a shard is damaged.
        """
        first: dict[str, int] = {}
        alias = np.array([first.setdefault(key, i) for i, key in enumerate(keys)], dtype=np.int64)
        shard, row = np.full(len(keys), -1, np.int32), np.zeros(len(keys), np.int32)
        files = tuple(self.shards())
        for number, path in enumerate(files):
            try:
                stored = keys_of(path, whole=repair)
            except DamagedError:
                if not repair:
                    raise
                path.unlink(missing_ok=True)
                continue
            for place, key in enumerate(stored):
                if key in first:
                    shard[first[key]], row[first[key]] = number, place
        return Located(files, shard[alias], row[alias])

    def read(self) -> Iterator[Rows]:
        """Yield every row that is there now, a row group at a time."""
        for path in self.shards():
            yield from row_groups(path)

    def writer(self, batch: int = BATCH_ROWS, flush_s: float = FLUSH_S) -> ShardWriter:
        """Return a writer that stores rows once ``batch`` have come or the first has waited ``flush_s`` seconds."""
        return ShardWriter(self, batch, flush_s)


@dataclass
class ShardWriter:
    """Adds rows; what has been flushed survives a crash. Used in a ``with`` block, which flushes however it ends."""

    store: ShardStore
    batch: int
    flush_s: float
    _waiting: list[tuple[str, str, np.ndarray, float]] = field(default_factory=list)
    _since: float = 0.0

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def append(self, case_id: str, key: str, embedding: np.ndarray, uncertainty: float) -> None:
        """Add one row; ``embedding`` (dim,) is stored as float32.  Raises DataError where the disk is full."""
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting.append((case_id, key, np.asarray(embedding, dtype=np.float32), float(uncertainty)))
        if len(self._waiting) >= self.batch or time.monotonic() - self._since >= self.flush_s:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting as a new shard, and join small ones."""
        if not self._waiting:
            return
        ids, keys, embeddings, uncertainty = zip(*self._waiting, strict=True)
        rows = Rows(ids, keys, np.stack(embeddings), np.array(uncertainty, dtype=np.float64))
        number = max((_span(path)[1] for path in self.store.shards()), default=-1) + 1
        write_shard(self.store.folder / _name(number, number), rows.embeddings.shape[1], iter([rows]))
        self._waiting.clear()
        _join(self.store)


_Groups = dict[tuple[Path, int], Rows]
"""The row groups that were read last, of all shards."""
_KEPT = 8


class _Shard:
    """One open shard; what it reads it leaves in ``groups``, from which the oldest go."""

    def __init__(self, path: Path, groups: _Groups) -> None:
        self._path, self._groups = path, groups
        self._file = pq.ParquetFile(path, page_checksum_verification=True)
        self._starts = np.cumsum([0, *group_sizes(path)])

    def gather(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the embeddings and uncertainties of ``rows``, in that order."""
        group = np.searchsorted(self._starts, rows, side="right") - 1
        found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for number in np.unique(group).tolist():
            place = (self._path, number)
            if place not in self._groups:
                self._groups[place] = row_group(self._path, self._file, number)
            at = np.flatnonzero(group == number)
            inside = rows[at] - self._starts[number]
            found.append((at, self._groups[place].embeddings[inside], self._groups[place].uncertainty[inside]))
            while len(self._groups) > _KEPT:
                del self._groups[next(iter(self._groups))]
        order = np.argsort(np.concatenate([at for at, _, _ in found]))
        return np.concatenate([e for _, e, _ in found])[order], np.concatenate([u for _, _, u in found])[order]


def _name(first: int, last: int) -> str:
    return f"shard-{first:08d}-{last:08d}.parquet"


def _span(path: Path) -> tuple[int, int]:
    """Return the first and the last flush whose rows a shard holds."""
    _, first, last = path.stem.split("-")
    return int(first), int(last)


def _join(store: ShardStore) -> None:
    """Replace the latest shards by one where ten small ones have piled up; clear what a crash left of an old join."""
    while True:
        shards = store.shards()
        for path in {p for p in store.folder.iterdir() if _NAME.fullmatch(p.name)} - set(shards):
            path.unlink(missing_ok=True)
        group = _piled_up(shards)
        if not group:
            return
        rows = (rows for path in group for rows in row_groups(path))
        name = _name(_span(group[0])[0], _span(group[-1])[1])
        try:
            write_shard(store.folder / name, int(pq.read_schema(group[0]).field("embedding").type.list_size), rows)
        except DamagedError:
            return  # the next run finds it and measures its cases again
        for path in group:
            path.unlink(missing_ok=True)


def _piled_up(shards: Sequence[Path]) -> list[Path]:
    """Return the latest ten or more neighbours that are all below one of the sizes; empty where there are none."""
    sizes: list[int] = []
    for path in reversed(shards):
        sizes.append(sum(group_sizes(path)))
        if sizes[-1] >= _SMALL[-1]:
            break
    for small in _SMALL:
        count = next((i for i, size in enumerate(sizes) if size >= small), len(sizes))
        if count >= _JOINED:
            return list(shards[len(shards) - count :])
    return []
