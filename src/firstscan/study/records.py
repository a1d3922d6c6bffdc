"""What a study records of every cell: cells.csv and costs.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from firstscan.selection.slices.planning import minutes_of
from firstscan.store import atomic_write

from .cells import Cell
from .publishing.publish import CELLS, COSTS

KEYS = ("strategy", "budget", "selection_seed", "training_seed", "subpool", "annotation")
"""What tells the cells of a study apart."""


def write_tables(out: Path, told: Sequence[tuple[Cell, Mapping[str, Any]]]) -> None:
    """Write what every cell picked and lacks, and what it cost; costs hold times: no part of the result's bytes.

    In studies with rounds a column tells them, and costs are those of all that is labelled after the round.
    """
    in_rounds = any(c.round for c, _ in told)
    cells = pd.DataFrame(
        [
            {
                **{k: getattr(c, k) for k in KEYS},
                **({"round": c.round} if in_rounds else {}),
                "status": r["status"],
                "reason": r["reason"],
                "absent_classes": "; ".join(r.get("absent_classes", ())),
                "device": r.get("device", ""),
                "picks": " ".join(c.picks),
            }
            for c, r in told
        ]
    )
    costs = pd.DataFrame(
        [
            {
                **{k: getattr(c, k) for k in KEYS},
                **({"round": c.round} if in_rounds else {}),
                "cases": len(c.picks),
                "foreground_voxels": r.get("foreground_voxels"),
                "slices": r.get("slices"),
                "foreground_slices": r.get("foreground_slices"),
                "minutes": None if r.get("slices") is None else minutes_of(len(c.picks), r["slices"]),
                **{f"{part}_s": r["seconds"].get(part) for part in ("train", "predict", "score", "all")},
            }
            for c, r in told
        ]
    )
    atomic_write(out / CELLS, cells.to_csv(index=False, lineterminator="\n"))
    atomic_write(out / COSTS, costs.to_csv(index=False, lineterminator="\n"))
