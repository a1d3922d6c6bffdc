from types import SimpleNamespace

import numpy as np
import pytest

from firstscan.domain.features import FeatureTable
from firstscan.segmentation.grids import Grid, sitk, write_labels


def write_cohort(folder, names, seed=0):
    """Tiny scans: a bright ball in a dimmer one, with label maps."""
    rng = np.random.default_rng(seed)
    grid = Grid((18, 16, 16), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    x = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"))
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for name in names:
        centre = rng.uniform(6, 10, 3)[:, None, None, None]
        far = ((x - centre) ** 2).sum(0)
        label = np.where(far < 4, 2, np.where(far < rng.uniform(9, 20), 1, 0)).astype(np.int32)
        voxels = (np.array([0.0, 4.0, 9.0])[label] + rng.normal(0, 0.4, grid.shape)).astype(np.float32)
        image = sitk().GetImageFromArray(np.ascontiguousarray(voxels.T))
        sitk().WriteImage(image, str(folder / "images" / f"{name}.nii.gz"))
        write_labels(label, grid, folder / "labels" / f"{name}.nii.gz")


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder, [f"case{i:02d}" for i in range(9)])
    return folder


@pytest.fixture
def study_world(cohort):
    """A plan on the tiny cohort, and features that need no network."""

    def content(**changes):
        return {
            "pool": {"source": str(cohort / "images"), "labels": str(cohort / "labels")},
            "test": {"fraction": 0.3, "seed": 0},
            "budgets": [1, 2],
            "strategies": ["random", "strided", "kcenter"],
            "selection_seeds": {"random": 3, "default": 1},
            "segmenter": {"name": "unet", "iterations": 2, "features": 4, "patch": 16},
            **changes,
        }

    def features(pool, entry):
        rng = np.random.default_rng(0)
        n = len(pool.case_ids)
        return FeatureTable(pool.case_ids, rng.normal(size=(n, 4)), rng.random(n))

    return SimpleNamespace(content=content, features=features, cohort=cohort)
