"""``scores.parquet``: one row a cell, test case and class; a failed cell is one row with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from firstscan.store import atomic_write

from .cells import WHOLE, WHOLE_POOL, Cell

SCHEMA = pa.schema(
    [
        ("pool", pa.string()),
        ("strategy", pa.string()),
        ("budget", pa.int64()),
        ("selection_seed", pa.int64()),
        ("training_seed", pa.int64()),
        ("subpool", pa.int64()),
        ("annotation", pa.string()),
        ("case_id", pa.string()),
        ("label", pa.int64()),
        ("class", pa.string()),
        ("dice", pa.float64()),
        ("hd95_mm", pa.float64()),
        ("nsd", pa.float64()),
        ("status", pa.string()),
        ("reason", pa.string()),
    ]
)


def score_rows(
    pool: str, results: Iterable[tuple[Cell, Mapping[str, Any]]], case_ids: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the rows of all cells; ``case_ids`` leads from file names back to case ids."""
    rows: list[dict[str, Any]] = []
    for cell, result in results:
        base = {
            "pool": pool,
            "strategy": cell.strategy,
            "budget": cell.budget,
            "selection_seed": cell.selection_seed,
            "training_seed": cell.training_seed,
            "subpool": cell.subpool,
            "annotation": cell.annotation,
        }
        if result["status"] != "ok":
            empty = {"case_id": "", "label": None, "class": "", "dice": None, "hd95_mm": None, "nsd": None}
            rows.append({**base, **empty, "status": "failed", "reason": result["reason"]})
        rows += [
            {
                **base,
                "case_id": case_ids[score["case_id"]],
                "label": score["label"],
                "class": score["name"],
                "dice": score["dice"],
                "hd95_mm": score["hd95_mm"],
                "nsd": score["nsd"],
                "status": score["status"],
                "reason": "",
            }
            for score in result["scores"]
        ]
    return rows


def write_scores(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write the rows; the same rows give the same bytes."""
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    atomic_write(path, lambda file: pq.write_table(table, file, compression="zstd"))


def read_scores(*paths: Path) -> pd.DataFrame:
    """Return the rows of one study, or of several together."""
    table: pd.DataFrame = pd.concat([_read(p) for p in paths], ignore_index=True)
    return table


def _read(path: Path) -> pd.DataFrame:
    """Return the rows of one file; those of firstscan 0.2 are of the whole pool and of whole scans."""
    there = pq.read_schema(path).names
    rows: pd.DataFrame = pq.read_table(path, schema=pa.schema([f for f in SCHEMA if f.name in there])).to_pandas()
    for name, value in (("subpool", WHOLE_POOL), ("annotation", WHOLE)):
        if name not in there:
            rows[name] = value
    ordered: pd.DataFrame = rows[SCHEMA.names]
    return ordered
