"""A cohort small enough to run the whole job on it in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from firstscan.imaging import write_image


def write_cohort(folder: Path, n: int = 9, seed: int = 0) -> Path:
    """Write ``n`` noisy ellipsoids of different size and texture."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, s) for s in (20, 22, 18)], indexing="ij"))
    for i in range(n):
        radii = rng.uniform(0.5, 0.8, 3)[:, None, None, None]
        inside = ((grid / radii) ** 2).sum(axis=0) < 1
        texture = 100 + 20 * np.sin(grid[i % 3] * (2 + i)) + rng.normal(0, 1 + i, grid.shape[1:])
        voxels = np.where(inside, texture, rng.random(grid.shape[1:])).astype(np.float32)
        write_image(folder / f"scan_{i:02d}.nii.gz", voxels, np.diag([1.0, 1.0, 1.5, 1.0]))
    return folder


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine usable scans, one exact copy and one file that is no image."""
    folder = write_cohort(tmp_path_factory.mktemp("cohort") / "scans")
    (folder / "scan_copy.nii.gz").write_bytes((folder / "scan_00.nii.gz").read_bytes())
    (folder / "broken.nii.gz").write_bytes(b"not an image")
    return folder
