"""``features.parquet``: one row a case, readable by anything that reads Parquet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.features import FeatureTable

from .atomic import atomic_write

SCHEMA_VERSION = 1
_KEY = b"firstscan"
_OWN = ("case_id", "embedding", "uncertainty", "typicality")


def write_features(path: str | Path, features: FeatureTable) -> None:
    """Write a feature table; embeddings become a fixed-size list column, covariates columns of their own.

    A covariate named like one of the table's own columns is stored as ``covariate_<name>``.
    """
    embeddings = np.ascontiguousarray(features.embeddings)
    columns: dict[str, pa.Array] = {
        "case_id": pa.array(features.case_ids, pa.string()),
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(embeddings.reshape(-1)), features.dim),
        "uncertainty": pa.array(features.uncertainty),
    }
    if features.typicality is not None:
        columns["typicality"] = pa.array(features.typicality)
    names = {name: f"covariate_{name}" if name in _OWN else name for name in features.covariates}
    for name, values in features.covariates.items():
        columns[names[name]] = _to_arrow(values)
    meta = {"schema_version": SCHEMA_VERSION, "covariates": {stored: name for name, stored in names.items()}}
    table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(meta, sort_keys=True).encode()})
    atomic_write(
        Path(path),
        lambda file: pq.write_table(table, file, compression="none", use_dictionary=False, row_group_size=65536),
    )


def read_features(path: str | Path) -> FeatureTable:
    """Return the table of a Parquet file, or of the ``features.parquet`` in a results folder.

    Any Parquet file with the columns ``case_id``, ``embedding`` (lists of one length) and ``uncertainty`` will do;
    ``typicality`` is optional and every other column becomes a covariate.

    Raises
    ------
    UsageError : no such file.  DataError : not a feature table, or written by a newer version.
    """
    file = Path(path)
    file = file / "features.parquet" if file.is_dir() else file
    if not file.is_file():
        raise UsageError(f"No feature table at {file}. Make one with: firstscan extract SOURCE --out DIR")
    try:
        table = pq.read_table(file, memory_map=True)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file} is not a readable Parquet file: {error}") from error
    meta = _meta(file, table.schema.metadata or {})
    missing = [c for c in _OWN[:3] if c not in table.column_names]
    if missing:
        raise DataError(f"{file} is not a feature table: it lacks the column(s) {', '.join(missing)}.")
    stored = meta.get("covariates", {})
    return FeatureTable(
        case_ids=tuple(table["case_id"].cast(pa.string()).to_pylist()),
        embeddings=_matrix(file, table["embedding"]),
        uncertainty=_numbers(file, table, "uncertainty"),
        typicality=_numbers(file, table, "typicality") if "typicality" in table.column_names else None,
        covariates={stored.get(c, c): _from_arrow(table[c]) for c in table.column_names if c not in _OWN},
    )


def _meta(file: Path, metadata: dict[bytes, bytes]) -> dict[str, Any]:
    meta: dict[str, Any] = json.loads(metadata[_KEY]) if _KEY in metadata else {}
    if meta.get("schema_version", SCHEMA_VERSION) > SCHEMA_VERSION:
        raise DataError(f"{file} was written by a newer firstscan; update firstscan to read it.")
    return meta


def _matrix(file: Path, column: pa.ChunkedArray) -> np.ndarray:
    array = column.combine_chunks()
    n = len(array)
    values = array.flatten()
    if array.null_count or n == 0 or len(values) % n or not pa.types.is_floating(values.type):
        raise DataError(f"{file}: the column 'embedding' must hold one list of numbers a case, all of one length.")
    dim = len(values) // n
    if not pa.types.is_fixed_size_list(array.type) and not pc.all(pc.equal(pc.list_value_length(array), dim)).as_py():
        raise DataError(f"{file}: the lists in column 'embedding' differ in length; every case needs the same length.")
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(n, dim)


def _numbers(file: Path, table: pa.Table, name: str) -> np.ndarray:
    column = table[name]
    if column.null_count or not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise DataError(f"{file}: the column {name!r} must hold one number a case; found {column.type} with gaps.")
    return np.asarray(column.to_numpy())


def _to_arrow(values: np.ndarray) -> pa.Array:
    if values.dtype.kind in "fiub":
        return pa.array(values)
    return pa.array([None if v is None else str(v) for v in values.tolist()], pa.string())


def _from_arrow(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_boolean(column.type) and not column.null_count:
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=bool)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return np.asarray(column.to_numpy())
    return np.asarray(["" if v is None else str(v) for v in column.to_pylist()], dtype=np.str_)
