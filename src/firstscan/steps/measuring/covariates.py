"""What should not drive a selection, by name."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from firstscan.domain.case import MetadataValue
from firstscan.domain.features import FeatureTable
from firstscan.domain.finding import Finding
from firstscan.domain.pool import Pool
from firstscan.imaging.sources.tabular import Columns

from .check import Checked

MEASURED = (
    "voxel_count", "air_share", "spacing_mm", "anisotropy", "foreground_ml", "intensity_scale", "file_type", "modality",
)  # fmt: skip
"""Covariates that are measured; a column of that name, which a table gives, is kept as ``<name>_given``."""


def covariates(checked: Checked) -> dict[str, np.ndarray]:
    """Return what should not drive a selection, by name: ``MEASURED`` and every column that is known of the scans."""
    rows = [checked.summaries[i] for i in checked.pool.case_ids]
    spacings = np.array([r.spacing_mm for r in rows], dtype=np.float64)
    measured: tuple[np.ndarray, ...] = (
        np.array([r.voxel_count for r in rows], dtype=np.int64),
        np.array([r.air_share for r in rows], dtype=np.float64),
        np.exp(np.log(spacings).mean(axis=1)),
        spacings.max(axis=1) / spacings.min(axis=1),
        np.array([r.foreground_ml for r in rows], dtype=np.float64),
        np.array([r.intensity_scale for r in rows], dtype=np.float64),
        np.array([r.file_type for r in rows], dtype=np.str_),
        np.array([r.modality for r in rows], dtype=np.str_),
    )
    columns = dict(zip(MEASURED, measured, strict=True))
    names = dict.fromkeys(name for case in checked.pool for name in case.metadata)
    for name in names:
        given = [case.metadata.get(name) for case in checked.pool]
        columns[_named(name)] = _column(given)
    return columns


def known_columns(pool: Pool) -> tuple[str, ...]:
    """Return the names that :func:`covariates` will give, before any scan is read."""
    return (*MEASURED, *dict.fromkeys(_named(name) for case in pool for name in case.metadata))


def stored(checked: Checked) -> np.ndarray:
    """Return how usable scans are stored, (case, 24); see :class:`firstscan.domain.slices.ScanGeometry`."""
    rows = [checked.summaries[i].geometry for i in checked.pool.case_ids]
    return np.array(rows, dtype=np.float64).reshape(len(rows), -1)


def with_columns(features: FeatureTable, columns: Columns) -> tuple[FeatureTable, tuple[Finding, ...]]:
    """Return the features with a spreadsheet's columns among their covariates, and where it says other things.

    Where both tell something the spreadsheet counts, where its cell is empty what was known does.
    """
    before = {name: features.covariates.get(_named(name)) for name in columns.names}
    known = [
        (case_id, {name: _plain(values[i]) for name, values in before.items() if values is not None})
        for i, case_id in enumerate(features.case_ids)
    ]
    rows, findings = columns.merged(known)
    added = {_named(name): _column([row.get(name) for row in rows]) for name in columns.names}
    return replace(features, covariates={**features.covariates, **added}), findings


def _plain(value: np.generic) -> MetadataValue:
    """Return a covariate's value as metadata; None where it is not known."""
    plain: MetadataValue = value.item()
    return None if plain == "" or plain != plain else plain  # noqa: PLR0124 (only NaN differs from itself)


def _named(column: str) -> str:
    return f"{column}_given" if column in MEASURED else column


def _column(values: list[MetadataValue]) -> np.ndarray:
    known = [v for v in values if v is not None]
    if known and len(known) == len(values) and all(isinstance(v, bool) for v in known):
        return np.array(values, dtype=bool)
    if known and all(isinstance(v, int | float) and not isinstance(v, bool) for v in known):
        return np.array([math.nan if v is None else float(v) for v in values], dtype=np.float64)
    return np.array(["" if v is None else str(v) for v in values], dtype=np.str_)
