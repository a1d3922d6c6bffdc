"""What should not drive a selection, by name."""

from __future__ import annotations

import math

import numpy as np

from firstscan.domain.case import MetadataValue

from .check import Checked


def covariates(checked: Checked) -> dict[str, np.ndarray]:
    """Return what should not drive a selection, by name: size, air, spacing, … and every column of the source's table.

    A column of the table that has the name of one of ours is kept as ``<name>_given``.
    """
    rows = [checked.summaries[i] for i in checked.pool.case_ids]
    spacings = np.array([r.spacing_mm for r in rows], dtype=np.float64)
    columns: dict[str, np.ndarray] = {
        "voxel_count": np.array([r.voxel_count for r in rows], dtype=np.int64),
        "air_share": np.array([r.air_share for r in rows], dtype=np.float64),
        "spacing_mm": np.exp(np.log(spacings).mean(axis=1)),
        "anisotropy": spacings.max(axis=1) / spacings.min(axis=1),
        "foreground_ml": np.array([r.foreground_ml for r in rows], dtype=np.float64),
        "intensity_scale": np.array([r.intensity_scale for r in rows], dtype=np.float64),
        "file_type": np.array([r.file_type for r in rows], dtype=np.str_),
        "modality": np.array([r.modality for r in rows], dtype=np.str_),
    }
    names = dict.fromkeys(name for case in checked.pool for name in case.metadata)
    for name in names:
        given = [case.metadata.get(name) for case in checked.pool]
        columns[f"{name}_given" if name in columns else name] = _column(given)
    return columns


def _column(values: list[MetadataValue]) -> np.ndarray:
    known = [v for v in values if v is not None]
    if known and len(known) == len(values) and all(isinstance(v, bool) for v in known):
        return np.array(values, dtype=bool)
    if known and all(isinstance(v, int | float) and not isinstance(v, bool) for v in known):
        return np.array([math.nan if v is None else float(v) for v in values], dtype=np.float64)
    return np.array(["" if v is None else str(v) for v in values], dtype=np.str_)
