"""``features.parquet``: one row a case, readable by anything that reads Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.features import EMBEDDING, FeatureTable

from .atomic import atomic_write
from .shard_files import BATCH_ROWS
from .shards import ShardStore

SCHEMA_VERSION = 1
_GROUP_ROWS = 4 * BATCH_ROWS
_TRIES = 5
_KEY = b"firstscan"
_GROUP = "features_"
GEOMETRY = "geometry"
_ABSENT = "absent"
_OWN = ("case_id", "embedding", "uncertainty", "typicality", "geometry")
Layout = Mapping[str, slice]
"""Which columns of a wide matrix are the ``embedding``, and which are each further feature group."""


def write_features(path: str | Path, features: FeatureTable) -> None:
    """Write a feature table; embeddings become a fixed-size list column, covariates columns of their own.

    A covariate named like one of the table's own columns is stored as ``covariate_<name>``, a feature group as
    ``features_<name>``.
    """
    parts = {EMBEDDING: features.embeddings, **features.groups}
    ends = np.cumsum([0, *(p.shape[1] for p in parts.values())]).tolist()
    layout = {name: slice(a, b) for name, a, b in zip(parts, ends, ends[1:], strict=False)}

    measured = np.full(len(features), np.nan) if features.uncertainty is None else features.uncertainty

    def batch(start: int) -> tuple[np.ndarray, np.ndarray]:
        rows = slice(start, start + _GROUP_ROWS)
        wide = [p[rows] for p in parts.values()]
        return (wide[0] if len(wide) == 1 else np.concatenate(wide, axis=1)), measured[rows]

    stream_features(
        path,
        features.case_ids,
        (batch(i) for i in range(0, len(features), _GROUP_ROWS)),
        layout=layout,
        geometry=features.geometry,
        typicality=features.typicality,
        covariates=features.covariates,
        uncertain=features.uncertainty is not None,
    )


def stream_features(
    path: str | Path,
    case_ids: Sequence[str],
    measured: Iterable[tuple[np.ndarray, np.ndarray]],
    *,
    layout: Layout | None = None,
    geometry: np.ndarray | None = None,
    typicality: np.ndarray | None = None,
    covariates: Mapping[str, np.ndarray],
    uncertain: bool = True,
) -> None:
    """Write a feature table whose embeddings and uncertainties come a batch at a time: memory is that of a batch.

    The bytes are those of :func:`write_features` for the same table, however the rows were batched.
    ``measured`` yields (embeddings, uncertainty) in the order of ``case_ids``. With a ``layout`` the embeddings hold
    all feature groups side by side. Where it is not ``uncertain``, no uncertainty was measured, and none is written.
    """
    parts = layout or {EMBEDDING: slice(None)}
    lists = {name: name if name == EMBEDDING else f"{_GROUP}{name}" for name in parts}
    names = {name: f"covariate_{name}" if name in _OWN else name for name in covariates}
    whole = {"case_id": pa.array(case_ids, pa.string())}
    if typicality is not None:
        whole["typicality"] = pa.array(typicality)
    if geometry is not None:
        flat_geometry = pa.array(np.ascontiguousarray(geometry, dtype=np.float64).reshape(-1))
        whole[GEOMETRY] = pa.FixedSizeListArray.from_arrays(flat_geometry, geometry.shape[1])
    whole |= {names[name]: _to_arrow(values) for name, values in covariates.items()}
    meta = {"schema_version": SCHEMA_VERSION, "covariates": {stored: name for name, stored in names.items()}}
    if len(lists) > 1:
        meta["groups"] = {stored: name for name, stored in lists.items() if name != EMBEDDING}
    if not uncertain:
        meta[_ABSENT] = ["uncertainty"]
    described = {_KEY: json.dumps(meta, sort_keys=True).encode()}
    there = {*whole, *lists.values(), *(["uncertainty"] if uncertain else [])}
    order = [n for n in dict.fromkeys((*_OWN, *lists.values(), *whole)) if n in there]

    def content(file: object) -> None:
        done = 0
        with ExitStack() as stack:
            writer: Any = None
            for embeddings, uncertainty in _in_groups(measured):
                columns = {name: array.slice(done, len(uncertainty)) for name, array in whole.items()}
                for name, stored in lists.items():
                    part = embeddings[:, parts[name]]
                    flat = pa.array(np.ascontiguousarray(part).reshape(-1))
                    columns[stored] = pa.FixedSizeListArray.from_arrays(flat, part.shape[1])
                if uncertain:
                    columns["uncertainty"] = pa.array(uncertainty)
                table = pa.table({name: columns[name] for name in order}).replace_schema_metadata(described)
                if writer is None:
                    writer = pq.ParquetWriter(file, table.schema, compression="none", use_dictionary=False)
                    stack.enter_context(writer)
                writer.write_table(table, row_group_size=_GROUP_ROWS)
                done += len(uncertainty)
        if done != len(case_ids):
            raise ValueError(f"{done} rows for {len(case_ids)} cases")

    atomic_write(Path(path), content)


def _in_groups(measured: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cut or join batches so that each, but the last, makes one row group."""
    waiting: list[tuple[np.ndarray, np.ndarray]] = []
    for batch in measured:
        waiting.append(batch)
        while sum(len(u) for _, u in waiting) >= _GROUP_ROWS:
            embeddings, uncertainty = _joined(waiting)
            yield embeddings[:_GROUP_ROWS], uncertainty[:_GROUP_ROWS]
            rest = (embeddings[_GROUP_ROWS:], uncertainty[_GROUP_ROWS:])
            waiting = [rest] if len(rest[1]) else []
    if waiting:
        yield _joined(waiting)


def _joined(batches: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    if len(batches) == 1:
        return batches[0]
    return np.concatenate([e for e, _ in batches]), np.concatenate([u for _, u in batches])


def read_features(path: str | Path) -> FeatureTable:
    """Return the table of a Parquet file, or of the ``features.parquet`` in a results folder.

    A folder of shards (``work/features/…`` of a run, even one under way) gives the scans measured so far, without
    covariates. Any Parquet file with the columns ``case_id``, ``embedding`` (lists of one length) and ``uncertainty``
    will do; ``typicality`` is optional and every other column becomes a covariate.

    Raises
    ------
    UsageError : no such file.  DataError : not a feature table, or written by a newer version.
    """
    file = Path(path)
    if file.is_dir() and next(file.glob("shard-*.parquet"), None) is not None:
        return _measured_so_far(file)
    file = file / "features.parquet" if file.is_dir() else file
    if not file.is_file():
        raise UsageError(f"No feature table at {file}. Make one with: firstscan extract SOURCE --out DIR")
    try:
        parquet = pq.ParquetFile(file)
        meta = _meta(file, parquet.schema_arrow.metadata or {})
        groups = meta.get("groups", {})
        wide = {EMBEDDING, GEOMETRY, *groups}
        table = parquet.read([n for n in parquet.schema_arrow.names if n not in wide])
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file} is not a readable Parquet file: {error}") from error
    absent = meta.get(_ABSENT, ())
    missing = [c for c in _OWN[:3] if c not in parquet.schema_arrow.names and c not in absent]
    if missing:
        raise DataError(f"{file} is not a feature table: it lacks the column(s) {', '.join(missing)}.")
    stored = meta.get("covariates", {})
    return FeatureTable(
        case_ids=tuple(table["case_id"].cast(pa.string()).to_pylist()),
        embeddings=_matrix(file, parquet, EMBEDDING),
        geometry=_matrix(file, parquet, GEOMETRY) if GEOMETRY in parquet.schema_arrow.names else None,
        groups={name: _matrix(file, parquet, stored) for stored, name in groups.items()},
        uncertainty=None if "uncertainty" in absent else _numbers(file, table, "uncertainty"),
        typicality=_numbers(file, table, "typicality") if "typicality" in table.column_names else None,
        covariates={stored.get(c, c): _from_arrow(table[c]) for c in table.column_names if c not in _OWN},
    )


def _measured_so_far(folder: Path) -> FeatureTable:
    """Return the rows that are in a folder of shards now; a scan that was measured twice counts as measured last."""
    for attempt in range(_TRIES):
        try:
            rows = list(ShardStore(folder).read())
            break
        except FileNotFoundError:  # the run has just joined the shard with others
            if attempt == _TRIES - 1:
                raise
    latest = {case_id: (k, i) for k, part in enumerate(rows) for i, case_id in enumerate(part.case_ids)}
    ids = tuple(sorted(latest))
    return FeatureTable(
        case_ids=ids,
        embeddings=np.stack([rows[k].embeddings[i] for k, i in map(latest.__getitem__, ids)]),
        uncertainty=np.array([rows[k].uncertainty[i] for k, i in map(latest.__getitem__, ids)]),
    )


def _meta(file: Path, metadata: dict[bytes, bytes]) -> dict[str, Any]:
    meta: dict[str, Any] = json.loads(metadata[_KEY]) if _KEY in metadata else {}
    if meta.get("schema_version", SCHEMA_VERSION) > SCHEMA_VERSION:
        raise DataError(f"{file} was written by a newer firstscan; update firstscan to read it.")
    return meta


def _matrix(file: Path, parquet: pq.ParquetFile, name: str) -> np.ndarray:
    """Read one list column a row group at a time into one array: memory is that of the array."""
    matrix: np.ndarray | None = None
    done = 0
    for number in range(parquet.num_row_groups):
        array = parquet.read_row_group(number, columns=[name])[name].combine_chunks()
        if len(array) == 0:
            continue
        values = array.flatten()
        if array.null_count or not pa.types.is_floating(values.type):
            break
        dim = len(values) // len(array) if matrix is None else matrix.shape[1]
        if len(values) != dim * len(array) or (
            not pa.types.is_fixed_size_list(array.type)
            and not pc.all(pc.equal(pc.list_value_length(array), dim)).as_py()
        ):
            raise DataError(f"{file}: the lists in column {name!r} differ in length; every case needs the same length.")
        if matrix is None:
            matrix = np.empty((parquet.metadata.num_rows, dim), values.type.to_pandas_dtype())
        matrix[done : done + len(array)] = values.to_numpy(zero_copy_only=False).reshape(-1, dim)
        done += len(array)
    if matrix is None or done != len(matrix):
        raise DataError(f"{file}: the column {name!r} must hold one list of numbers a case, all of one length.")
    return matrix


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
