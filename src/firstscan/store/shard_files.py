"""One file of the feature store: how its rows lie in Parquet, and how damage is told from a fault of the system."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from firstscan.domain.arrays import Float
from firstscan.domain.errors import DataError

from .atomic import atomic_write

SCHEMA_VERSION = 1
BATCH_ROWS = 1024
"""Rows of a batch and of a row group: three megabytes at 768 dimensions."""
_META = b"firstscan"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as they are stored; ``embeddings`` (row, dim) float32, ``uncertainty`` (row,) float64."""

    case_ids: tuple[str, ...]
    keys: tuple[str, ...]
    embeddings: Float[np.ndarray, "row dim"]
    uncertainty: Float[np.ndarray, " row"]


class DamagedError(DataError):
    """A shard that is not what was written."""


def write_shard(path: Path, dim: int, batches: Iterator[Rows]) -> None:
    """Write a shard of ``batches`` with embeddings of ``dim`` numbers, whole or not at all."""
    columns = [("case_id", pa.string()), ("key", pa.string())]
    columns += [("embedding", pa.list_(pa.float32(), dim)), ("uncertainty", pa.float64())]
    schema = pa.schema(columns, metadata={_META: json.dumps({"schema_version": SCHEMA_VERSION}).encode()})
    options: dict[str, Any] = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}

    def content(file: object) -> None:
        with pq.ParquetWriter(file, schema, **options) as writer:
            for rows in batches:
                flat = pa.array(np.ascontiguousarray(rows.embeddings).reshape(-1))
                names = [pa.array(rows.case_ids, pa.string()), pa.array(rows.keys, pa.string())]
                numbers = [pa.FixedSizeListArray.from_arrays(flat, dim), pa.array(rows.uncertainty)]
                writer.write_table(pa.table([*names, *numbers], schema=schema), row_group_size=BATCH_ROWS)

    atomic_write(path, content)


def row_groups(path: Path) -> Iterator[Rows]:
    """Yield the rows of a shard, a row group at a time.  Raises DataError where it is damaged."""
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    for number in range(file.num_row_groups):
        yield row_group(path, file, number)


def row_group(path: Path, file: pq.ParquetFile, number: int) -> Rows:
    """Return one row group of an open shard.  Raises DataError where it is damaged."""
    try:
        table = file.read_row_group(number)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    column = table["embedding"].combine_chunks()
    return Rows(
        tuple(table["case_id"].to_pylist()),
        tuple(table["key"].to_pylist()),
        np.asarray(column.flatten()).reshape(len(table), column.type.list_size),
        np.asarray(table["uncertainty"].to_numpy()),
    )


def group_sizes(path: Path) -> list[int]:
    """Return how many rows each row group of a shard holds.  Raises DataError where it is damaged."""
    try:
        meta = pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    return [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]


def keys_of(path: Path, *, whole: bool) -> list[str]:
    """Return the keys of a shard after a look at its schema and, with ``whole``, at every page."""
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        meta = json.loads((file.schema_arrow.metadata or {}).get(_META, b"{}"))
        if meta.get("schema_version", 0) > SCHEMA_VERSION:
            raise DataError(f"{path} was written by a newer firstscan; update firstscan, or remove {path.parent}.")
        keys: list[str] = []
        for number in range(file.num_row_groups):
            keys += file.read_row_group(number, columns=None if whole else ["key"])["key"].to_pylist()
        return keys
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> Exception:
    """Return what a failed read means: the system's own errors (no permission, a lost disk) stay what they are."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    return DamagedError(f"{path} is damaged ({error}). Remove it and run the same command again.")
