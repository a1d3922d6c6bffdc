"""A cache of very many small rows: Parquet pieces in a folder, each complete or absent.

A row's key stands for all that its texts depend on. So it does not matter which piece holds a row, or how many do, and
a piece that is damaged costs no more than its rows: they are made again. Rows that are no longer asked for go when the
pieces are joined. Only the one run that holds the folder writes; anybody may read meanwhile.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .atomic import atomic_write, write_error

Row = tuple[str, str]
"""A text that many rows have in common, and one of the row's own."""

_SCHEMA = pa.schema(
    [("key", pa.string()), ("common", pa.dictionary(pa.int32(), pa.string())), ("own", pa.string())],
)
_BATCH_ROWS = 8192
_FLUSH_S = 5.0
_PILED_UP = 10


@dataclass(frozen=True)
class Pieces:
    """The rows of one folder, which is made when the first are written."""

    folder: Path

    def find(self, keys: Collection[str]) -> dict[str, Row]:
        """Return the rows of ``keys`` that are there; equal common texts are one object."""
        wanted = frozenset(keys)
        return {key: row for path in self._paths() for key, row in _read(path) if key in wanted}

    def writer(self, asked: Collection[str]) -> PieceWriter:
        """Return a writer, for use in a ``with`` block, which flushes however it ends, then joins; see ``join``."""
        return PieceWriter(self, asked)

    def add(self, rows: Iterable[tuple[str, Row]]) -> Path:
        """Write rows as a new piece.  Raises DataError where the disk is full."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(self.folder, error) from error
        last = max((int(path.stem) for path in self._paths()), default=-1)
        return atomic_write(self.folder / f"{last + 1:08d}.parquet", lambda file: _write(file, iter(rows)))

    def join(self, asked: Collection[str]) -> None:
        """Put one piece with the rows of ``asked`` in the place of all.

        That is done where pieces have piled up, or where half of their rows, or more, are not asked for.
        """
        before, wanted = self._paths(), frozenset(asked)
        told = [key in wanted for path in before for key, _ in _read(path)]
        if len(before) <= _PILED_UP and 2 * sum(told) > len(told):
            return
        if any(told):
            self.add((key, row) for path in before for key, row in _read(path) if key in wanted)
        for path in before:
            path.unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("*.parquet") if path.stem.isdecimal())


@dataclass
class PieceWriter:
    """Adds rows; what has been flushed, which happens every few seconds, survives a crash."""

    pieces: Pieces
    asked: Collection[str]
    _waiting: list[tuple[str, Row]] = field(default_factory=list)
    _since: float = 0.0

    def __enter__(self) -> PieceWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self.pieces.join(self.asked)

    def append(self, key: str, row: Row) -> None:
        """Add one row.  Raises DataError where the disk is full."""
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting.append((key, row))
        if len(self._waiting) >= _BATCH_ROWS or time.monotonic() - self._since >= _FLUSH_S:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self.pieces.add(self._waiting)
            self._waiting = []


def _write(file: object, rows: Iterator[tuple[str, Row]]) -> None:
    with pq.ParquetWriter(file, _SCHEMA, compression="zstd", write_page_checksum=True) as writer:
        while batch := list(islice(rows, _BATCH_ROWS)):
            keys = pa.array([key for key, _ in batch], pa.string())
            common = pa.array([common for _, (common, _) in batch], pa.string()).dictionary_encode()
            own = pa.array([own for _, (_, own) in batch], pa.string())
            writer.write_table(pa.Table.from_arrays([keys, common, own], schema=_SCHEMA))


def _read(path: Path) -> Iterator[tuple[str, Row]]:
    """Yield the rows of a piece up to where it is damaged, or is not one of ours."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if not file.schema_arrow.equals(_SCHEMA):
                return
            for batch in file.iter_batches(_BATCH_ROWS):
                keys, common, own = batch.columns
                texts = [sys.intern(text) for text in common.dictionary.to_pylist()]
                rows = zip((texts[i] for i in common.indices.to_pylist()), own.to_pylist(), strict=True)
                yield from zip(keys.to_pylist(), rows, strict=True)
    except (pa.ArrowException, OSError, ValueError):
        return
