"""Crops and a trained network → the feature table."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from firstscan._version import __version__
from firstscan.domain.case import MetadataValue
from firstscan.domain.features import FeatureTable
from firstscan.learning import CaseFeatures, Extractor
from firstscan.store import CaseCache, identity

from .check import Checked
from .config import PretrainConfig
from .pretrain import Learned
from .run import Run
from .standardise import CropFiles


def extract(
    crops: CropFiles, learned: Learned, checked: Checked, config: PretrainConfig, run: Run, *, region: str
) -> FeatureTable:
    """Measure every case that has not been measured with these weights; return the pool's table, sorted by case id."""
    preset = learned.preset
    folder = identity(__version__, learned.sha256, preset.name, preset.size, config.seed, region)
    cache = CaseCache(run.workspace.folder("features", folder))
    paths = [cache.path(i, crops.keys[i], ".npz") for i in crops.case_ids]
    found = [cache.read_or_none(path, _read) for path in paths]
    missing = [i for i, features in enumerate(found) if features is None]
    if missing:
        extractor = Extractor(
            learned.weights,
            preset,
            channels=len(crops.channels),
            seed=config.seed,
            device=run.settings.device,
            region="all" if region == "all" else "foreground",
        )
    with run.stage("Measuring scans", len(paths)) as progress:
        progress.advance(len(paths) - len(missing))
        for i in missing:
            (measured,) = extractor([crops[i]])  # one at a time: a case's bytes never depend on its neighbours
            _write(paths[i], measured)
            found[i] = _read(paths[i])
            progress.advance()
    embeddings, uncertainty = zip(*found, strict=True)
    return FeatureTable(
        case_ids=crops.case_ids,
        embeddings=np.stack(embeddings),
        uncertainty=np.array(uncertainty, dtype=np.float64),
        covariates=covariates(checked),
    )


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


def _write(path: Path, measured: CaseFeatures) -> None:
    CaseCache.write_arrays(
        path,
        embedding=measured.embedding.astype(np.float32),
        uncertainty=np.array(measured.uncertainty, dtype=np.float64),
    )


def _read(path: Path) -> tuple[np.ndarray, float]:
    with np.load(path) as arrays:
        return arrays["embedding"], float(arrays["uncertainty"])
