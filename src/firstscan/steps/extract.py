"""Crops and a trained network → the feature table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from firstscan._version import __version__
from firstscan.domain.features import FeatureTable
from firstscan.learning import CaseFeatures, Extractor
from firstscan.store import CaseCache, identity

from .check import Checked
from .config import PretrainConfig
from .covariates import covariates
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


def _write(path: Path, measured: CaseFeatures) -> None:
    CaseCache.write_arrays(
        path,
        embedding=measured.embedding.astype(np.float32),
        uncertainty=np.array(measured.uncertainty, dtype=np.float64),
    )


def _read(path: Path) -> tuple[np.ndarray, float]:
    with np.load(path) as arrays:
        return arrays["embedding"], float(arrays["uncertainty"])
